"""The batch function as Lambda calls it: what the proxy has taken in, a schedule's invocation finishes."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import yaml
from tests.support.gateway import MASTER_KEY, config_of, model

from tollkeeper import bootstrap
from tollkeeper.settings import Settings

INVOKE = """
from functions.batches.handler import handler

class Context:
    def get_remaining_time_in_millis(self):
        return 900_000

print(handler({}, Context()), handler({}, Context()))
"""
ROOT = Path(__file__).parents[2]


def invoked(state: Path, config: Path) -> str:
    """Two invocations in one sandbox."""
    own = {"TOLLKEEPER_STORE": "sqlite", "TOLLKEEPER_STATE": str(state), "TOLLKEEPER_CONFIG": str(config)}
    path = f"{ROOT}{os.pathsep}{ROOT / 'layers/gateway/python'}"
    done = subprocess.run(
        [sys.executable, "-c", INVOKE], env={**os.environ, "PYTHONPATH": path, **own}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def taken_in(folder: Path, config: Path) -> tuple[bootstrap.Installation, httpx.AsyncClient, str]:
    """An installation that serves requests and does nothing beside them, as on Lambda."""
    installation = bootstrap.Installation(Settings(state=str(folder), config=str(config)))
    running = await installation.start()
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=running.proxy_app()),
        base_url="http://gateway",
        headers={"authorization": f"Bearer {MASTER_KEY}"},
    )
    body = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
    rows = [json.dumps({"custom_id": f"r{n}", "method": "POST", "url": "/v1/chat/completions", "body": body}) for n in range(5)]
    file = await client.post("/v1/files", data={"purpose": "batch"}, files={"file": ("in.jsonl", "\n".join(rows).encode())})
    asked = {"input_file_id": file.json()["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    return installation, client, (await client.post("/v1/batches", json=asked)).json()["id"]


async def test_a_caller_who_follows_a_response_need_not_wait_for_the_schedule(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(yaml.safe_dump(config_of(model("demo", "openai/demo", "http://127.0.0.1:9/v1", mock_response="hello"))))
    installation, client, _ = await taken_in(tmp_path / "state", config)
    body = {"model": "demo", "input": "hi", "background": True, "stream": True}
    events = (await client.post("/v1/responses", json=body)).text
    assert "event: response.completed" in events
    await client.aclose()
    installation.store.close()


async def test_an_invocation_works_off_what_waits(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(yaml.safe_dump(config_of(model("demo", "openai/demo", "http://127.0.0.1:9/v1", mock_response="hello"))))
    installation, client, batch_id = await taken_in(tmp_path / "state", config)
    assert (await client.get(f"/v1/batches/{batch_id}")).json()["status"] == "validating"
    response = (await client.post("/v1/responses", json={"model": "demo", "input": "hi", "background": True})).json()
    assert (await client.get(f"/v1/responses/{response['id']}")).json()["status"] == "queued"
    assert await asyncio.to_thread(invoked, tmp_path / "state", config) == "{'slices': 1, 'responses': 1} {'slices': 0, 'responses': 0}"
    batch = (await client.get(f"/v1/batches/{batch_id}")).json()
    assert (batch["status"], batch["request_counts"]) == ("completed", {"total": 5, "completed": 5, "failed": 0})
    made = (await client.get(f"/v1/responses/{response['id']}")).json()
    assert (made["status"], made["output"][0]["content"][0]["text"]) == ("completed", "hello")
    output = (await client.get(f"/v1/files/{batch['output_file_id']}/content")).text
    assert [json.loads(line)["custom_id"] for line in output.splitlines()] == [f"r{n}" for n in range(5)]
    await client.aclose()
    installation.store.close()
