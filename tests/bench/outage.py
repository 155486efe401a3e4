"""One of three deployments dies in every way and recovers, behind the real program: what callers see of it.

    python -m tests.bench.outage [--requests 10000] [--together 16] [--seed 7]

Prints the success rate, the latency beside that of the same run without faults, and the calls wasted on the dying deployment.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from tests.support.faults import DNS_URL, WAYS, FaultyProvider, Schedule
from tests.support.gateway import MASTER_KEY, GatewayProcess, config_of, model

NAMES = ("a", "b", "c")
PATIENCE = {"timeout": 2, "stream_timeout": 1}


@dataclass
class Outcome:
    """`seconds` of the answered calls; `lost` by what the caller got; `cut`: streams that ended with an error event after content, which
    no gateway can undo.
    """

    requests: int = 0
    seconds: list[float] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    wasted: dict[str, int] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)

    def quantile(self, share: float) -> float:
        ranked = sorted(self.seconds)
        return ranked[min(int(share * len(ranked)), len(ranked) - 1)]

    def lines(self, name: str) -> list[str]:
        quantiles = ", ".join(f"p{share * 100:g} {self.quantile(share) * 1000:.0f} ms" for share in (0.5, 0.95, 0.99, 0.999))
        mean = sum(self.seconds) / len(self.seconds) * 1000
        lost, answered = sum(self.lost.values()), len(self.seconds) / self.requests
        return [
            f"{name}: {answered:.3%} of {self.requests} answered, {lost} lost {dict(self.lost)}, {self.cut} cut after their first content",
            f"  latency: mean {mean:.1f} ms, {quantiles}",
            f"  sent {self.sent}, wasted {sum(self.wasted.values())}: {self.wasted}",
        ]


def outage(folder: Path, *, requests: int, together: int = 16, seed: int = 7, ways: Sequence[str] = WAYS, dead: bool = False) -> Outcome:
    """`dead` adds two deployments that never work: a TLS failure and a name nobody knows."""
    with FaultyProvider(NAMES) as provider:
        urls = [*((name, provider.url(name)) for name in NAMES), *((("tls", provider.tls_url), ("dns", DNS_URL)) if dead else ())]
        rows = [model("g", "openai/m", url, model_info={"id": name}, **PATIENCE) for name, url in urls]
        gateway = GatewayProcess(folder, config_of(*rows))
        gateway.start()
        try:
            schedule = Schedule.of(seed, requests, ways=ways) if ways else Schedule(())
            outcome = asyncio.run(_load(gateway.url, provider, schedule, requests, together))
        finally:
            gateway.stop()
        outcome.sent = {name: seen.calls for name, seen in provider.seen.items()}
        outcome.wasted = dict(sum((seen.wasted for seen in provider.seen.values()), Counter()))
        return outcome


async def _load(url: str, provider: FaultyProvider, schedule: Schedule, requests: int, together: int) -> Outcome:
    outcome, numbers = Outcome(requests), iter(range(requests))
    limits = httpx.Limits(max_connections=together)
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False, limits=limits) as client:

        async def caller() -> None:
            for number in numbers:
                provider.ways["a"] = schedule.at(number)
                await _ask(client, outcome, streamed=number % 2 == 0)

        await asyncio.gather(*(caller() for _ in range(together)))
    return outcome


async def _ask(client: httpx.AsyncClient, outcome: Outcome, *, streamed: bool) -> None:
    body = {"model": "g", "messages": [{"role": "user", "content": "Say hello"}], "stream": streamed, "max_tokens": 50}
    began = time.perf_counter()
    try:
        answer = await client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {MASTER_KEY}"})
    except httpx.TransportError as error:
        outcome.lost[type(error).__name__] += 1
        return
    if answer.status_code != 200:
        outcome.lost[str(answer.status_code)] += 1
    elif streamed and "[DONE]" not in answer.text:
        begun = '"content":"Hello' in answer.text.replace(": ", ":")
        outcome.cut += begun
        if not begun:
            outcome.lost["stream without content"] += 1
    elif not streamed and not json.loads(answer.text)["choices"][0]["message"]["content"]:
        outcome.lost["empty"] += 1
    else:
        outcome.seconds.append(time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--together", type=int, default=16)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    runs = (
        ("all well", asked.requests // 5, (), False),
        ("one of three dies in every way", asked.requests, WAYS, False),
        ("and two more never work", asked.requests // 5, WAYS, True),
    )
    for name, requests, ways, dead in runs:
        with tempfile.TemporaryDirectory() as folder:
            outcome = outage(Path(folder), requests=requests, together=asked.together, seed=asked.seed, ways=ways, dead=dead)
        print("\n".join(outcome.lines(name)), flush=True)


if __name__ == "__main__":
    main()
