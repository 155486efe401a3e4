"""What a deployment has lately done for the whole fleet, minute by minute, in the counters table.

    pk routing#<group>   sk use#<deployment>#<minute>   ttl the minute's end + 2 minutes
    requests  begun      ended      tokens  estimated at the start, corrected at the end
    first_ms, first_n    times to the first content of streams        token_us, token_n    times per output token of buffered answers

A call ends in the minute it began in, so `requests - ended` is what is in flight, and what a crash leaves behind is gone with the minute.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tollkeeper.store.items import minute_sk, routing_use_sk
from tollkeeper.store.table import Item

KEPT_SECONDS = 120
MINUTE = 60


@dataclass(frozen=True, slots=True)
class Statistics:
    """`in_flight` over the kept minutes; `requests` and `tokens` of the current one; sums of seconds with their counts."""

    in_flight: int = 0
    requests: int = 0
    tokens: int = 0
    first: tuple[float, int] = (0.0, 0)
    per_token: tuple[float, int] = (0.0, 0)

    def latency(self, *, streamed: bool) -> float | None:
        """Seconds to a stream's first content, or per token of a buffered answer. None: nothing measured."""
        total, count = self.first if streamed else self.per_token
        return total / count if count else None


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


def summed(items: Iterable[Item], current: str) -> Statistics:
    """One deployment's minutes; `current` is the sort key of the running one."""
    in_flight, first, per_token, requests, tokens = 0, (0.0, 0), (0.0, 0), 0, 0
    for item in items:
        in_flight += max(_number(item, "requests") - _number(item, "ended"), 0)
        first = (first[0] + _number(item, "first_ms") / 1e3, first[1] + _number(item, "first_n"))
        per_token = (per_token[0] + _number(item, "token_us") / 1e6, per_token[1] + _number(item, "token_n"))
        if item.get("sk") == current:
            requests, tokens = _number(item, "requests"), _number(item, "tokens")
    return Statistics(in_flight, requests, tokens, first, per_token)


def measured(seconds: float, *, streamed: bool, output_tokens: int) -> dict[str, int]:
    """What one good call adds: `seconds` to a stream's first content, or for `output_tokens` of a buffered answer."""
    if streamed:
        return {"first_ms": round(seconds * 1e3), "first_n": 1}
    return {"token_us": round(seconds * 1e6 / output_tokens), "token_n": 1} if output_tokens > 0 else {}


def _number(item: Item, name: str) -> int:
    value: Any = item.get(name)
    return int(value) if isinstance(value, int | float) else 0
