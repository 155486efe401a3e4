"""A batch of 10,000 lines, killed on its way: every line ends exactly once, none is paid twice, and memory stays where it was.

Figures go to stdout (`pytest -s`).
"""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.support.gateway import GatewayProcess, config_of, model
from tests.support.upstream import Received, Reply, Upstream, as_json, completion

from tollkeeper.batches.worker import LINES_AT_ONCE

PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001}
COST = 9 * 1_000 + 12 * 10_000


def peak_megabytes(gateway: GatewayProcess) -> float:
    assert gateway.process is not None
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def done(client: openai.OpenAI, batch_id: str, enough: int, seconds: float = 600) -> Any:
    """The batch once so many of its lines are through, or it has ended."""
    for _ in range(int(seconds / 0.1)):
        batch = client.batches.retrieve(batch_id)
        counts = batch.request_counts
        if batch.status in {"completed", "failed"} or (enough and counts.completed + counts.failed >= enough):
            return batch
        time.sleep(0.1)
    raise AssertionError(batch)


def content(client: openai.OpenAI, file_id: str | None) -> list[Any]:
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()] if file_id else []


def run(folder: Path, lines: int, kills: int) -> None:
    sent: Counter[str] = Counter()

    def provider(request: Received) -> Reply:
        said = request.json["messages"][-1]["content"].split(" ", 1)[0]
        sent[said] += 1
        return as_json(completion(f"echo {said} {'y' * 400}"))

    with Upstream(provider) as upstream:
        config = config_of(model("fast", "openai/gpt-4o-mini", f"{upstream.url}/v1", model_info=PRICES))
        gateway = GatewayProcess(folder, config).start()
        try:
            key = gateway.new_key(max_budget=100)
            with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, timeout=60) as client:
                before = peak_megabytes(gateway)
                rows = (
                    {"model": "fast", "messages": [{"role": "user", "content": f"r{number} {'x' * 1000}"}], "max_tokens": 12}
                    for number in range(lines)
                )
                data = b"".join(
                    json.dumps({"custom_id": f"r{number}", "method": "POST", "url": "/v1/chat/completions", "body": row}).encode() + b"\n"
                    for number, row in enumerate(rows)
                )
                file_id = client.files.create(file=("big.jsonl", data), purpose="batch").id
                began = time.monotonic()
                batch = client.batches.create(input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h")
                peaks = []
                for kill in range(kills):
                    seen = done(client, batch.id, lines * (kill + 1) // (kills + 1))
                    peaks.append(peak_megabytes(gateway))
                    gateway.kill()
                    print(f"killed at {seen.request_counts.completed} of {lines} lines, peak {peaks[-1]:.0f} MB (start {before:.0f} MB)")
                    gateway.start()
                batch = done(client, batch.id, 0)
                peaks.append(peak_megabytes(gateway))
                took = time.monotonic() - began
                good = [json.loads(line) for line in client.files.content(batch.output_file_id).text.splitlines()]
                bad = (
                    [json.loads(line) for line in client.files.content(batch.error_file_id).text.splitlines()]
                    if batch.error_file_id
                    else []
                )
        finally:
            gateway.stop()
    twice = [name for name, times in sent.items() if times > 1]
    entries = [entry for entry in gateway.ledger() if entry["call_id"].startswith(batch.id)]
    print(
        f"{len(good)} answered, {len(bad)} unconfirmed, {len(sent)} sent, {len(twice)} sent twice, {len(entries)} booked; "
        f"{took:.0f} s with {kills} kills, {len(data) / 2**20:.1f} MB in, peak {max(peaks):.0f} MB"
    )
    assert batch.status == "completed"
    assert (batch.request_counts.completed, batch.request_counts.failed, batch.request_counts.total) == (len(good), len(bad), lines)
    assert sorted(line["custom_id"] for line in [*good, *bad]) == sorted(f"r{number}" for number in range(lines))
    assert twice == []
    assert {line["error"]["code"] for line in bad} <= {"unconfirmed"}
    assert len(bad) <= kills * LINES_AT_ONCE
    assert all(line["response"]["body"]["choices"][0]["message"]["content"].startswith(f"echo {line['custom_id']} ") for line in good)
    paid = Counter(entry["call_id"] for entry in entries)
    assert max(paid.values()) == 1
    costs = {entry["request_id"]: entry["cost"] for entry in entries}
    assert all(costs[line["response"]["request_id"]] == COST for line in good)
    # What is booked beyond the answers belongs to lines that are said to be unconfirmed, and to no other.
    assert len(entries) == len(sent) + sum(1 for line in bad if line["custom_id"] not in sent)
    extra = set(costs) - {line["response"]["request_id"] for line in good}
    assert extra <= {line["error"]["request_id"] for line in bad}
    assert max(peaks) < before + 60


def test_a_batch_that_is_killed_goes_on(tmp_path: Path) -> None:
    run(tmp_path, 250, kills=1)


@pytest.mark.slow
def test_ten_thousand_lines_killed_twice(tmp_path: Path) -> None:
    run(tmp_path, 10_000, kills=2)
