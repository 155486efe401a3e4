"""What a deployment has lately done for the whole fleet, minute by minute, in the counters table.

    pk routing#<group>   sk use#<deployment>#<minute>   ttl the minute's end + 2 minutes
    requests  begun      ended      errors     tokens  estimated at the start, corrected at the end
    first_ms, first_n    times to the first content of streams        token_us, token_n    times per output token of buffered answers
    f<k>, w<k>           how many times to the first content, and to a whole buffered answer, fell into bucket k
    out_tokens, out_ms   output tokens and the time they took

Buckets are 1.6 times as wide as the one before, so a quantile is right to a quarter or so, whatever the scale.
A call ends in the minute it began in, so `requests - ended` is what is in flight, and what a crash leaves behind is gone with the minute.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import log
from typing import Any

from tollkeeper.store.items import minute_sk, routing_use_sk
from tollkeeper.store.table import Item

KEPT_SECONDS = 120
MINUTE = 60
SMALLEST_MS, GROWTH, BUCKETS = 10.0, 1.6, 26


@dataclass(frozen=True, slots=True)
class Statistics:
    """`in_flight`, `ended` and `errors` over the kept minutes; `requests` and `tokens` of the current one; sums of seconds with counts."""

    in_flight: int = 0
    requests: int = 0
    tokens: int = 0
    ended: int = 0
    errors: int = 0
    first: tuple[float, int] = (0.0, 0)
    per_token: tuple[float, int] = (0.0, 0)
    output: tuple[int, float] = (0, 0.0)
    firsts: Mapping[int, int] = field(default_factory=dict)
    wholes: Mapping[int, int] = field(default_factory=dict)

    def latency(self, *, streamed: bool) -> float | None:
        """Seconds to a stream's first content, or per token of a buffered answer. None: nothing measured."""
        total, count = self.first if streamed else self.per_token
        return total / count if count else None

    def quantile(self, share: float, *, streamed: bool, samples: int = 1) -> float | None:
        """Seconds within which this share of the first contents, or of the buffered answers, came. None: fewer than `samples` did."""
        counts = self.firsts if streamed else self.wholes
        total = sum(counts.values())
        if total < samples:
            return None
        passed = 0
        for bucket in sorted(counts):
            passed += counts[bucket]
            if passed >= share * total:
                return SMALLEST_MS * GROWTH**bucket / 1000
        return None

    @property
    def error_rate(self) -> float | None:
        done = self.ended + self.errors
        return self.errors / done if done else None

    @property
    def tokens_per_second(self) -> float | None:
        tokens, seconds = self.output
        return tokens / seconds if seconds else None


NOTHING = Statistics()


@dataclass(frozen=True, slots=True)
class Minute:
    """Where a call's use is counted."""

    sk: str
    ttl: int


def minute_of(deployment_id: str, now: float) -> Minute:
    end = (int(now) // MINUTE + 1) * MINUTE
    return Minute(routing_use_sk(deployment_id, minute_sk(now)), end + KEPT_SECONDS)


def seconds_left(now: float) -> float:
    """Of the running minute."""
    return MINUTE - now % MINUTE


def bucket_of(seconds: float) -> int:
    """The bucket whose upper bound is the first above it."""
    return min(max(round(log(max(seconds * 1000, SMALLEST_MS) / SMALLEST_MS, GROWTH) + 0.5), 0), BUCKETS - 1)


def summed(items: Iterable[Item], current: str) -> Statistics:
    """One deployment's minutes; `current` is the sort key of the running one."""
    total: dict[str, int] = {}
    now: Item = {}
    in_flight = 0
    for item in items:
        for name, value in item.items():
            if isinstance(value, int | float):
                total[name] = total.get(name, 0) + int(value)
        in_flight += max(_number(item, "requests") - _number(item, "ended"), 0)
        now = item if item.get("sk") == current else now
    get = total.get
    return Statistics(
        in_flight=in_flight,
        requests=_number(now, "requests"),
        tokens=_number(now, "tokens"),
        ended=get("answered", 0),
        errors=get("errors", 0),
        first=(get("first_ms", 0) / 1e3, get("first_n", 0)),
        per_token=(get("token_us", 0) / 1e6, get("token_n", 0)),
        output=(get("out_tokens", 0), get("out_ms", 0) / 1e3),
        firsts=_buckets("f", total),
        wholes=_buckets("w", total),
    )


def _buckets(letter: str, total: Mapping[str, int]) -> dict[int, int]:
    """`f3` → 3"""
    return {int(name[1:]): count for name, count in total.items() if name[0] == letter and name[1:].isdecimal() and count}


def measured(seconds: float, whole: float, *, streamed: bool, output_tokens: int) -> dict[str, int]:
    """What one good call adds: `seconds` to a stream's first content or a whole buffered answer; `whole` to the end of either."""
    taken = max(whole - seconds if streamed else seconds, 0.0)
    produced = {"out_tokens": output_tokens, "out_ms": round(taken * 1e3)} if output_tokens > 0 and taken > 0 else {}
    if streamed:
        return {"answered": 1, "first_ms": round(seconds * 1e3), "first_n": 1, f"f{bucket_of(seconds)}": 1, **produced}
    per_token = {"token_us": round(seconds * 1e6 / output_tokens), "token_n": 1} if output_tokens > 0 else {}
    return {"answered": 1, f"w{bucket_of(seconds)}": 1, **per_token, **produced}


def _number(item: Mapping[str, Any], name: str) -> int:
    value: Any = item.get(name)
    return int(value) if isinstance(value, int | float) else 0
