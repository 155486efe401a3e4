"""`make bench`: what a request costs. Prints; asserts nothing. Milliseconds are this machine's, the ratios travel.

1. In process: CPU per small buffered chat and per 100-chunk stream through the whole edge (key, model access, plan, provider on a socket in
   another process, ledger row in SQLite), one at a time and 16 at once, beside a bare Starlette + httpx proxy doing none of that. With a
   plain key, and with one that has a budget and a rate limit (a hold, its settlement and a minute's counter more in the store).
2. What functions/proxy imports: CPU seconds, number of modules, and whether anything heavy is among them.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from tests.bench import dialects
from tests.support.gateway import MASTER_KEY, config_of, free_port, model

from tollkeeper.bootstrap import Installation, keys_app
from tollkeeper.config.compile import compile_config
from tollkeeper.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
CHUNKS = 100
App = Callable[[Any, Any, Any], Awaitable[None]]


async def main() -> None:
    port = free_port()
    upstream = subprocess.Popen([sys.executable, "-m", "tests.bench.upstream", str(port), str(CHUNKS)], cwd=ROOT)
    try:
        await _listening(port)
        base = f"http://127.0.0.1:{port}/v1"
        gateway, keys = await _gateway(base)
        peer = _bare_proxy(base)
        print(f"{'CPU ms per request':38}{'ours':>10}{'bare proxy':>12}{'ratio':>8}")
        for name, key, body, count, at_once in (
            ("buffered chat, 1 at a time", keys[0], _body(stream=False), 600, 1),
            ("buffered chat, 16 at once", keys[0], _body(stream=False), 1600, 16),
            ("… with budget and rpm, 1 at a time", keys[1], _body(stream=False), 600, 1),
            ("… with budget and rpm, 16 at once", keys[1], _body(stream=False), 1600, 16),
            (f"{CHUNKS}-chunk stream, 1 at a time", keys[0], _body(stream=True), 150, 1),
            (f"{CHUNKS}-chunk stream, 16 at once", keys[0], _body(stream=True), 320, 16),
        ):
            ours, theirs = await _paired(gateway, peer, key, body, count, at_once)
            print(f"{name:38}{ours:>10.3f}{theirs:>12.3f}{ours / theirs:>8.2f}")
    finally:
        upstream.terminate()
        upstream.wait()
    dialects.main()
    _imports()


async def _paired(ours: App, theirs: App, key: str, body: bytes, count: int, at_once: int) -> tuple[float, float]:
    """Median of interleaved rounds, so that a drifting machine drifts for both."""
    rounds = [[await _cpu_ms(app, key, body, count // 5, at_once) for app in (ours, theirs)] for _ in range(6)][1:]
    return tuple(sorted(column)[len(column) // 2] for column in zip(*rounds, strict=True))  # type: ignore[return-value]


async def _cpu_ms(app: App, key: str, body: bytes, count: int, at_once: int) -> float:
    async def worker(calls: int) -> None:
        for _ in range(calls):
            await _call(app, key, body)

    began = time.process_time()
    await asyncio.gather(*(worker(count // at_once) for _ in range(at_once)))
    return (time.process_time() - began) * 1000 / (count // at_once * at_once)


async def _call(app: App, key: str, body: bytes) -> None:
    headers = [(b"host", b"x"), (b"authorization", b"Bearer " + key.encode()), (b"content-type", b"application/json")]
    headers += [(b"user-agent", b"OpenAI/Python 3"), (b"x-stainless-lang", b"python"), (b"content-length", str(len(body)).encode())]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "headers": headers,
        "query_string": b"",
        "http_version": "1.1",
    }
    incoming = [{"type": "http.request", "body": body}]
    forever = asyncio.get_running_loop().create_future()
    status = []

    async def receive() -> Any:
        return incoming.pop() if incoming else await forever

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    await app(scope, receive, send)
    assert status == [200]


async def _gateway(base: str) -> tuple[App, list[str]]:
    """With two virtual keys, prices and a ledger, all in memory."""
    text = json.dumps(config_of(model("fast", "openai/gpt-4o-mini", base)))
    settings = Settings(state=":memory:", master_key=MASTER_KEY)
    running = await Installation(settings, snapshot=compile_config(text, env=lambda _: None)).start()
    transport = httpx.ASGITransport(app=keys_app(running))
    async with httpx.AsyncClient(transport=transport, base_url="http://x", headers={"authorization": f"Bearer {MASTER_KEY}"}) as admin:
        asked = [{"models": ["fast"]}, {"models": ["fast"], "max_budget": 100_000, "rpm_limit": 10_000_000}]
        keys = [(await admin.post("/key/generate", json=body)).json()["key"] for body in asked]
    return running.proxy_app(), keys


def _bare_proxy(base: str) -> App:
    """What forty lines do: pass bytes on, check nothing, count nothing."""
    client = httpx.AsyncClient(timeout=60)

    async def chat(request: Request) -> Response:
        body = await request.body()
        upstream = client.build_request("POST", f"{base}/chat/completions", content=body, headers={"content-type": "application/json"})
        answer = await client.send(upstream, stream=True)
        if json.loads(body).get("stream"):
            return StreamingResponse(answer.aiter_raw(), answer.status_code, {"content-type": "text/event-stream"})
        return Response(await answer.aread(), answer.status_code)

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])


def _body(*, stream: bool) -> bytes:
    return json.dumps(
        {"model": "fast", "stream": stream, "messages": [{"role": "user", "content": "Say hello to the bench, please."}]}
    ).encode()


async def _listening(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        except ConnectionRefusedError:
            await asyncio.sleep(0.02)


def _imports() -> None:
    code = (
        "import sys, time; sys.path[:0] = ['functions/proxy']; began = time.process_time(); import handler; "
        "cpu = time.process_time() - began; "
        "heavy = [m for m in ('fastapi', 'pydantic', 'boto3', 'botocore', 'httpx', 'yaml', 'openai') if m in sys.modules]; "
        "print(f'functions/proxy: {cpu * 1000:.0f} ms CPU to import, {len(sys.modules)} modules; heavy among them: {heavy or None}')"
    )
    env = {
        "PYTHONPATH": "layers/gateway/python",
        "TOLLKEEPER_CONFIG": "tests/bench/gateway.json",
        "PATH": "",
        "TOLLKEEPER_STORE": "dynamodb",
    }
    subprocess.run(
        [sys.executable, "-m", "tollkeeper.dev.cli", "config", "compile", "tests/bench/gateway.yaml", "-o", "tests/bench/gateway.json"],
        cwd=ROOT,
        env=env,
        check=True,
    )
    for _ in range(3):
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, check=True)
    (ROOT / "tests/bench/gateway.json").unlink()


asyncio.run(main())
