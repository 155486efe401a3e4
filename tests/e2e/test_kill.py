"""SIGKILL at any moment: whatever a caller was told is in the books after the restart, and what hung in the air still counts."""

import asyncio
import json
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import httpx
from tests.support.gateway import GatewayProcess, config_of, model
from tests.support.stores import StillClock
from tests.support.upstream import Received, Reply, Upstream, as_json, as_sse, completion, text_stream

from tollkeeper.bootstrap import Installation
from tollkeeper.config.compile import compile_config
from tollkeeper.reports.drift import drifts, standing
from tollkeeper.settings import Settings

PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001}


def provider(request: Received) -> Reply:
    return as_sse(*text_stream("a", "b", "c"), pauses=0.002) if request.json.get("stream") else as_json(completion())


def test_everything_acknowledged_before_a_kill_is_booked(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    keys: list[str] = []
    killed = threading.Event()

    def caller(gateway: GatewayProcess, key: str, *, stream: bool) -> None:
        body = {"model": "fast", "stream": stream, "max_tokens": 20, "messages": [{"role": "user", "content": "x"}]}
        with httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {key}"}, timeout=10, trust_env=False) as client:
            while not killed.is_set():
                try:
                    answer = client.post("/v1/chat/completions", json=body)
                except httpx.HTTPError:
                    return
                if answer.status_code == 200 and (not stream or answer.text.rstrip().endswith("[DONE]")):
                    acknowledged.append(answer.headers["x-litellm-call-id"])

    def minter(gateway: GatewayProcess) -> None:
        while not killed.is_set():
            try:
                keys.append(gateway.new_key())
            except (httpx.HTTPError, AssertionError):
                return

    with Upstream(provider) as upstream:
        gateway = GatewayProcess(tmp_path, config_of(model("fast", "openai/gpt-4o-mini", f"{upstream.url}/v1", model_info=PRICES))).start()
        key = gateway.new_key(max_budget=100, key_alias="busy")
        threads = [threading.Thread(target=caller, args=(gateway, key), kwargs={"stream": number % 2 == 0}) for number in range(4)]
        threads.append(threading.Thread(target=minter, args=(gateway,)))
        for thread in threads:
            thread.start()
        while len(acknowledged) < 60 or len(keys) < 5:
            assert all(thread.is_alive() for thread in threads)
            time.sleep(0.02)
        gateway.kill()
        killed.set()
        for thread in threads:
            thread.join(20)
        booked = {entry["call_id"] for entry in gateway.ledger()}
        assert set(acknowledged) <= booked
        gateway.start()
        try:
            assert all(gateway.admin("GET", "/key/info", key=minted).status_code == 200 for minted in keys)
        finally:
            gateway.stop()
        # A hold whose call died stays held until the janitor books it. Then the books agree to the nano-dollar.
        counter = asyncio.run(_swept(gateway))
        booked_for_key = sum(entry["cost"] for entry in gateway.ledger() if entry.get("key_hash") == counter["pk"].split("#")[1])
        assert counter.get("in_flight", 0) == 0
        assert counter["committed"] == counter["spent"] == booked_for_key > 0


async def _swept(gateway: GatewayProcess) -> dict[str, Any]:
    """The busy key's counter after a sweep twenty-five minutes from now, by a process of its own."""
    assert gateway.config_path is not None
    later = StillClock(time.time() + 1500)
    settings = Settings(state=str(gateway.state))
    installation = Installation(settings, snapshot=compile_config(gateway.config_path.read_text(), env=lambda _: None), clock=later)
    running = await installation.start()
    await running.housekeeping.sweep()
    store, drift = installation.store, running.drift
    for _ in range(4):
        later.advance(60)
        await drift.run()
    assert (await standing(store.counters)).amount == 0
    assert await drifts(running.reader, store.ledger, store.counters, later) == []
    installation.store.close()
    with sqlite3.connect(f"file:{gateway.state}/tollkeeper.db?mode=ro", uri=True) as connection:
        counters = [json.loads(body) for (body,) in connection.execute("SELECT body FROM counters WHERE pk LIKE 'key#%' AND sk = 'total'")]
    connection.close()
    (counter,) = counters
    return dict(counter)
