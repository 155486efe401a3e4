"""Routes whose code waits: they are the very routes it makes, and a chat loads none of it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.support.gateway import MASTER_KEY, config_of, model

from tollkeeper.bootstrap import Installation
from tollkeeper.settings import Settings

SECTIONS: dict[str, Any] = {"mcp_servers": {"maps": {"url": "http://127.0.0.1:9/mcp"}}}
CHAT = """
import asyncio, json, sys
import httpx
from tollkeeper.bootstrap import Installation
from tollkeeper.settings import Settings

async def main():
    running = await Installation(Settings(state=":memory:", config=sys.argv[1])).start()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=running.proxy_app()), base_url="http://gateway") as client:
        body = {"model": "demo", "messages": [{"role": "user", "content": "x"}]}
        answer = await client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {sys.argv[2]}"})
        assert answer.status_code == 200, answer.text
    print(*sorted(sys.modules))

asyncio.run(main())
"""
WAITING = {
    "tollkeeper.batches.worker", "tollkeeper.edge.files", "tollkeeper.edge.mcp", "tollkeeper.edge.a2a", "tollkeeper.sinks",
    "tollkeeper.admission.housekeeping", "tollkeeper.reports",
}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump(config_of(model("demo", "openai/demo", "http://127.0.0.1:9/v1", mock_response="hi"), **SECTIONS)))
    return path


async def test_waiting_routes_are_those_that_come(config: Path) -> None:
    from tollkeeper.bootstrap.batches import batch_rows
    from tollkeeper.bootstrap.passing import agent_rows, tool_rows

    running = await Installation(Settings(state=":memory:", config=str(config))).start()
    for rows in (batch_rows(running), tool_rows(running), agent_rows(running)):
        later: Any = rows[0][2]
        assert {path for _, path, _ in rows} == {path for _, path, _ in later._build()}
    await running.stop()


async def test_they_answer_as_others_do(config: Path) -> None:
    running = await Installation(Settings(state=":memory:", config=str(config))).start()
    headers = {"authorization": f"Bearer {MASTER_KEY}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=running.proxy_app()), base_url="http://gateway", headers=headers
    ) as client:
        assert (await client.get("/v1/batches")).json()["data"] == []
        assert (await client.get("/batches")).json()["data"] == []
        wrong = await client.patch("/v1/batches")
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST, GET")
        assert (await client.get("/v1/files/file-nobody")).status_code == 404
    await running.stop()


def test_a_chat_loads_none_of_it(config: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CHAT, str(config), MASTER_KEY], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not WAITING & set(done.stdout.split())
