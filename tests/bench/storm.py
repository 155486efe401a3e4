"""A storm against one small budget: hundreds of streamed calls at once, of random sizes, some without a limit, some whose caller leaves,
some whose provider fails or cuts the stream. Then: how much was spent over the budget, how many calls were refused though money was left,
and how much of the budget nobody could use.

Runs against any gateway by URL. It brings the provider: point the gateway's `fast` model (OpenAI chat, api_base = the printed URL, input
$1 and output $10 per million tokens) at it, make a key with the budget, and

    python -m tests.bench.storm --url http://127.0.0.1:4000 --key sk-… --budget 0.05 --provider-port 9100

`tests/e2e/test_storm.py` runs the same against ours, watching the counters and the ledger.
"""

import argparse
import asyncio
import json
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

INPUT_NANO, OUTPUT_NANO = 1_000, 10_000
PROMPT_TOKENS = 40
WORD = " measure"


class Provider:
    """Streams as many tokens as the call asks for and allows, and keeps its own bill of what it generated."""

    def __init__(self) -> None:
        self.billed_nano = 0
        self.calls = 0
        self.over_limit = 0

    async def start(self, port: int = 0) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def stop(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                request = json.loads(await reader.readexactly(length))
                if not await self._answer(request, writer):
                    break
        writer.close()

    async def _answer(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        order = json.loads(request["messages"][-1]["content"])
        self.calls += 1
        if order["fate"] == "error":
            body = b'{"error": {"message": "overloaded", "type": "server_error"}}'
            writer.write(b"HTTP/1.1 500 X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            return True
        limits = [request[name] for name in ("max_tokens", "max_completion_tokens") if request.get(name)]
        tokens = min([order["tokens"], *limits])
        self.billed_nano += PROMPT_TOKENS * INPUT_NANO
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for number in range(tokens):
            self.billed_nano += OUTPUT_NANO
            _write(writer, _chunk({"content": WORD}))
            await writer.drain()
            await asyncio.sleep(0.002)
            if order["fate"] == "cut" and number >= tokens // 2:
                return False
        usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": tokens, "total_tokens": PROMPT_TOKENS + tokens}
        _write(writer, _chunk({}, "stop"))
        _write(writer, {**_chunk({}), "choices": [], "usage": usage})
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        await writer.drain()
        return True


def _chunk(delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini", "choices": [choice]}


def _write(writer: asyncio.StreamWriter, event: dict[str, Any]) -> None:
    data = b"data: " + json.dumps(event).encode() + b"\n\n"
    writer.write(b"%x\r\n%s\r\n" % (len(data), data))


@dataclass
class Report:
    """What callers saw, and what the provider billed (nano-dollars)."""

    budget: int
    billed: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    left_at_first_final_refusal: int | None = None
    least_call: int = PROMPT_TOKENS * INPUT_NANO + 16 * OUTPUT_NANO

    def lines(self) -> list[str]:
        over = max(self.billed - self.budget, 0)
        unused = max(self.budget - self.billed, 0)
        return [
            f"outcomes             {dict(sorted(self.outcomes.items()))}",
            f"budget               ${self.budget / 10**9:.6f}",
            f"provider billed      ${self.billed / 10**9:.6f}",
            f"overshoot            ${over / 10**9:.6f} ({100 * over / self.budget:.1f} %)",
            f"unused at the end    ${unused / 10**9:.6f} ({100 * unused / self.budget:.1f} %)",
        ]


def orders(calls: int, seed: int) -> list[dict[str, Any]]:
    """The storm's calls: a third without an output limit; one in eight fails, one in eight is cut, one in six is left by its caller."""
    chance = random.Random(seed)
    made = []
    for _ in range(calls):
        tokens = chance.randint(10, 120)
        fate = chance.choices(["ok", "error", "cut", "leave"], weights=[58, 12, 12, 18])[0]
        limit = None if chance.random() < 1 / 3 else tokens + chance.randint(0, 40)
        made.append({"tokens": tokens, "fate": fate, "limit": limit, "leave_at": chance.choice([0.1, 0.5, 0.9])})
    return made


async def storm(url: str, key: str, made: list[dict[str, Any]], report: Report, *, at_once: int = 300, model: str = "fast") -> None:
    """Every call as soon as it may; outcomes are counted, never retried."""
    gate = asyncio.Semaphore(at_once)
    limits = httpx.Limits(max_connections=at_once)
    async with httpx.AsyncClient(
        base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=120, limits=limits, trust_env=False
    ) as client:

        async def one(order: dict[str, Any]) -> None:
            async with gate:
                report.outcomes[await _call(client, model, order)] += 1

        await asyncio.gather(*(one(order) for order in made))


async def short_calls(url: str, key: str, report: Report, *, model: str = "fast", most: int = 2000) -> int:
    """One short call after the other until the first refusal that says `budget`; returns how many were answered."""
    answered = 0
    async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=60, trust_env=False) as client:
        for _ in range(most):
            outcome = await _call(client, model, {"tokens": 16, "fate": "ok", "limit": 16, "leave_at": 1})
            if outcome != "answered":
                report.outcomes[f"short: {outcome}"] += 1
                return answered
            answered += 1
    return answered


async def _call(client: httpx.AsyncClient, model: str, order: dict[str, Any]) -> str:
    body: dict[str, Any] = {"model": model, "stream": True, "messages": [{"role": "user", "content": json.dumps(order)}]}
    if order["limit"]:
        body["max_tokens"] = order["limit"]
    leave_after = max(1, int(order["tokens"] * order["leave_at"])) if order["fate"] == "leave" else None
    seen = 0
    async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        if answer.status_code != 200:
            error = json.loads(await answer.aread()).get("error", {})
            return f"{answer.status_code} {error.get('code') or error.get('type')}"
        async for line in answer.aiter_lines():
            if line == "data: [DONE]":
                return "answered"
            if '"error"' in line:
                return "cut"
            seen += '"content"' in line
            if leave_after is not None and seen >= leave_after:
                return "left"
    return "cut"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--budget", type=float, required=True, help="dollars the key or its team may spend")
    parser.add_argument("--model", default="fast")
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--provider-port", type=int, default=9100)
    options = parser.parse_args()
    provider = Provider()
    print(f"provider on {await provider.start(options.provider_port)}")
    report = Report(round(options.budget * 10**9))
    await storm(options.url, options.key, orders(options.calls, options.seed), report, model=options.model)
    await short_calls(options.url, options.key, report, model=options.model)
    report.billed = provider.billed_nano
    print("\n".join(report.lines()))
    await provider.stop()


if __name__ == "__main__":
    asyncio.run(main())
