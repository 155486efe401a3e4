"""Receipts and exports of the real program: official clients read answers that carry receipts, and what is exported is the ledger."""

import csv
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
from tests.support.gateway import GatewayProcess, config_of, model
from tests.support.upstream import Received, Reply, Upstream, as_json, as_sse, completion, text_stream

from tollkeeper.clock import iso, system
from tollkeeper.dev.cli import main
from tollkeeper.reports.export_files import ledger_entries
from tollkeeper.reports.export_merge import merged
from tollkeeper.reports.receipts import verify

PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001}
ASK = {"x-tollkeeper-receipt": "true"}
CHAT = {"model": "fast", "messages": [{"role": "user", "content": "hello"}]}


def provider(request: Received) -> Reply:
    if "slow" in str(request.json["messages"]):
        return as_sse(0.8, *text_stream("Hel", "lo"))
    return as_sse(*text_stream("Hel", "lo")) if request.json.get("stream") else as_json(completion())


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("finance")
    with Upstream(provider) as upstream:
        config = config_of(model("fast", "openai/gpt-4o-mini", f"{upstream.url}/v1", **PRICES))
        running = GatewayProcess(folder, config, {"TOLLKEEPER_HEARTBEAT_SECONDS": "0.2"})
        running.start()
        yield running
        running.stop()


def claims(gateway: GatewayProcess, receipt: str) -> dict[str, Any]:
    return verify(receipt, gateway.admin("GET", "/reports/receipts/keys").json())


def comments(text: str) -> list[str]:
    return re.findall(r"^: x-tollkeeper-receipt: (\S+)$", text, re.MULTILINE)


def test_an_answer_carries_its_receipt_where_it_is_asked_for(gateway: GatewayProcess, tmp_path: Path) -> None:
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(), max_retries=0)
    plain = client.chat.completions.with_raw_response.create(**CHAT)
    assert "x-tollkeeper-receipt" not in plain.headers
    signed = client.chat.completions.with_raw_response.create(**CHAT, extra_headers=ASK)
    said = claims(gateway, signed.headers["x-tollkeeper-receipt"])
    entry = next(item for item in gateway.ledger() if item["request_id"] == said["request_id"])
    assert (said["cost_nano_usd"], said["output_tokens"], said["status"]) == (entry["cost"], 12, "success")
    assert said["cost_nano_usd"] == 9 * 1_000 + 12 * 10_000
    fetched = gateway.admin("GET", f"/reports/receipts/{said['request_id']}").json()["receipt"]
    assert {**claims(gateway, fetched), "iat": 0} == {**said, "iat": 0}
    (tmp_path / "receipt").write_text(signed.headers["x-tollkeeper-receipt"])
    arguments = ["receipt", "verify", str(tmp_path / "receipt"), "--keys", gateway.url, "--key", gateway.new_key()]
    assert main(arguments) == 0


@pytest.mark.parametrize(
    ("path", "body", "end"),
    [
        ("/v1/chat/completions", CHAT, "data: [DONE]"),
        ("/v1/completions", {"model": "fast", "prompt": "hello"}, "data: [DONE]"),
        ("/v1/messages", {**CHAT, "max_tokens": 50}, "message_stop"),
        ("/v1/responses", {"model": "fast", "input": "hello"}, "response.completed"),
    ],
)
def test_a_stream_carries_it_as_a_comment(gateway: GatewayProcess, path: str, body: dict[str, Any], end: str) -> None:
    headers = {"authorization": f"Bearer {gateway.new_key()}"}
    quiet = httpx.post(f"{gateway.url}{path}", headers=headers, json={**body, "stream": True}).text
    assert (comments(quiet), end in quiet) == ([], True)
    text = httpx.post(f"{gateway.url}{path}", headers={**headers, **ASK}, json={**body, "stream": True}).text
    (receipt,) = comments(text)
    said = claims(gateway, receipt)
    entry = next(item for item in gateway.ledger() if item["request_id"] == said["request_id"])
    assert (said["cost_nano_usd"], said["status"]) == (entry["cost"], "success")
    assert entry["cost"] > 0
    assert end in text


def test_a_stream_whose_client_knows_no_comments_has_none(gateway: GatewayProcess) -> None:
    """google-genai takes every line that is not empty and no data for a piece of an error."""
    headers = {"x-goog-api-key": gateway.new_key(), **ASK}
    for text, begins in (("hello", "data: "), ("slow", "\n")):
        body = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        answer = httpx.post(f"{gateway.url}/v1beta/models/fast:streamGenerateContent?alt=sse", headers=headers, json=body)
        assert {line[:6] for line in answer.text.splitlines() if line} == {"data: "}
        assert answer.text.startswith(begins)
    body = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
    whole = httpx.post(f"{gateway.url}/v1beta/models/fast:generateContent", headers=headers, json=body)
    assert claims(gateway, whole.headers["x-tollkeeper-receipt"])["status"] == "success"


def test_official_clients_pass_over_it(gateway: GatewayProcess) -> None:
    key = gateway.new_key()
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0, default_headers=ASK)
    chunks = list(client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello"
    events = list(client.responses.create(model="fast", input="hello", stream=True))
    assert events[-1].type == "response.completed"
    other = anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=0, default_headers=ASK)
    with other.messages.stream(model="fast", max_tokens=50, messages=[{"role": "user", "content": "hello"}]) as stream:
        assert "".join(stream.text_stream) == "Hello"
        assert stream.get_final_message().usage.output_tokens == 12


def test_what_is_exported_is_the_ledger(gateway: GatewayProcess, tmp_path: Path) -> None:
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(key_alias="=1+1"), max_retries=0)

    def export(body: dict[str, str]) -> Path:
        started = gateway.admin("POST", "/reports/exports", body)
        assert started.status_code == 202, started.text
        for _ in range(200):
            found = gateway.admin("GET", f"/reports/exports/{started.json()['id']}").json()
            if found["status"] != "in_progress":
                assert found["status"] == "completed"
                return Path(found["location"])
            time.sleep(0.05)
        raise AssertionError(found)

    begun = system.now()
    client.chat.completions.create(**CHAT)
    full = export({"type": "full"})
    client.chat.completions.create(**CHAT)
    list(client.chat.completions.create(**CHAT, stream=True))
    changes = export({"type": "incremental", "from": iso(begun - 1800)})
    read = sorted(ledger_entries(merged([full, changes])), key=lambda item: str(item["sk"]))
    assert read == gateway.ledger()
    out = tmp_path / "books.csv"
    assert main(["finance", "csv", str(full), str(changes), "-o", str(out)]) == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["cost_nano_usd"]) for row in rows) == sum(item["cost"] for item in read)
    assert {row["key_alias"] for row in rows} >= {"'=1+1"}
    assert main(["finance", "focus", str(full), str(changes), "-o", str(tmp_path / "focus.csv")]) == 0
    viewer = gateway.admin("POST", "/user/new", {"user_id": "viewer", "user_role": "proxy_admin_viewer"}).json()["key"]
    for caller, status in ((gateway.new_key(), 403), (viewer, 403)):
        answer = gateway.request("POST", "/reports/exports", {"type": "full"}, {"authorization": f"Bearer {caller}"})
        assert answer.status_code == status
    assert gateway.request("GET", "/reports/exports", None, {"authorization": f"Bearer {viewer}"}).status_code == 200
