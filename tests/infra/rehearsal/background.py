"""What happens without a caller: the ledger's stream is rolled up and reported, the janitor sweeps, a batch is worked off."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from openai import OpenAI
from tests.infra.rehearsal.stage import Emulator, Steps, expect

STREAM_SECONDS = 90.0
EXPORT_SECONDS = 30.0
BATCH = 3


class Background:
    def __init__(self, emulator: Emulator, steps: Steps, url: str) -> None:
        self._emulator, self._steps, self._url = emulator, steps, url

    def start(self, function: str) -> dict[str, Any]:
        """As its schedule does."""
        event = {"schedule": function, "time": datetime.now(UTC).isoformat()}
        answer = self._emulator.client("lambda").invoke(
            FunctionName=f"tollkeeper-rehearsal-{function}:live", Payload=json.dumps(event).encode()
        )
        payload = answer["Payload"].read().decode()
        expect("FunctionError" not in answer, f"{function} failed: {payload}")
        return dict(json.loads(payload))

    def sums(self, read: Any, calls: int, cost: int) -> None:
        """Waits for the stream to start the rollup, and for it to have added every entry once."""
        began, found = time.monotonic(), (0, 0)
        while found != (calls, cost) and time.monotonic() < began + STREAM_SECONDS:
            time.sleep(0.5)
            months = [item for item in read() if item["pk"]["S"] == "sum#all" and item["sk"]["S"].startswith("month#")]
            found = tuple(sum(int(item[name]["N"]) for item in months) for name in ("requests", "spend"))
        expect(found == (calls, cost), f"the sums say {found}, the ledger {(calls, cost)}")
        self._steps.say(f"the stream started the rollup: {found[0]} calls, {found[1]} nano-USD, each entry once")

    def report(self, master_key: str, cost: int) -> None:
        today = datetime.now(UTC).date()
        days = {"start_date": str(today - timedelta(days=1)), "end_date": str(today + timedelta(days=1))}
        headers = {"authorization": f"Bearer {master_key}"}
        answer = httpx.get(f"{self._url}/global/spend/report", params=days, headers=headers, timeout=60, trust_env=False)
        expect(answer.status_code == 200, f"/global/spend/report answered {answer.status_code}: {answer.text[:500]}")
        told = httpx.get(f"{self._url}/global/activity", params=days, headers=headers, timeout=60, trust_env=False).json()
        self._steps.say(f"reports: {answer.text[:160]}; {told.get('sum_api_requests')} requests, cost {cost} nano-USD")

    def exports(self, master_key: str) -> None:
        """The janitor's daily one, and one that is asked for, each with its own function's role. The emulator writes no files."""
        headers = {"authorization": f"Bearer {master_key}"}
        asked = httpx.post(f"{self._url}/reports/exports", json={"type": "full"}, headers=headers, timeout=60, trust_env=False)
        expect(asked.status_code == 202, f"POST /reports/exports answered {asked.status_code}: {asked.text[:500]}")
        began, found = time.monotonic(), list[dict[str, Any]]()
        while [export["status"] for export in found] != ["completed"] * 2 and time.monotonic() < began + EXPORT_SECONDS:
            time.sleep(0.5)
            found = httpx.get(f"{self._url}/reports/exports", headers=headers, timeout=60, trust_env=False).json()["data"]
        expect([export["status"] for export in found] == ["completed"] * 2, f"the exports are {found}")
        expect(sorted(export["planned"] for export in found) == [False, True], f"the janitor planned none: {found}")
        self._steps.say(f"exports: {', '.join(export['location'] for export in found)}")

    def batch(self, client: OpenAI) -> None:
        body = {"model": "scripted", "messages": [{"role": "user", "content": "Hello?"}], "max_tokens": 50}
        lines = [
            json.dumps({"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions", "body": body}) for number in range(BATCH)
        ]
        file = client.files.create(file=("batch.jsonl", "\n".join(lines).encode()), purpose="batch")
        made = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        slices = [self.start("batches")["slices"]]
        while (batch := client.batches.retrieve(made.id)).status not in {"completed", "failed", "expired"} and len(slices) < 5:
            slices.append(self.start("batches")["slices"])
        expect(batch.status == "completed", f"the batch is {batch.status}: {batch.errors}")
        assert batch.output_file_id is not None
        answers = client.files.content(batch.output_file_id).text.splitlines()
        expect(len(answers) == BATCH, f"{len(answers)} answers to {BATCH} lines")
        for name in (file.id, batch.output_file_id):
            client.files.delete(name)
        self._steps.say(f"a batch of {BATCH} lines, through the bucket of files, in {sum(slices)} slice(s)")
