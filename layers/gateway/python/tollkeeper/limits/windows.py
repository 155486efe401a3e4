"""Fixed windows of one minute and of one UTC day. The window is in the key, so nothing is ever reset."""

from dataclasses import dataclass

from tollkeeper.store.items import day_sk, minute_sk

MINUTE, DAY = 60, 86_400
_TTL_GRACE = 300


@dataclass(frozen=True, slots=True)
class RateWindow:
    """`key` is the counter's sort key; `end` and `ttl` are epoch seconds."""

    key: str
    end: int

    @property
    def ttl(self) -> int:
        return self.end + _TTL_GRACE


def minute_at(now: float) -> RateWindow:
    return RateWindow(minute_sk(now), (int(now) // MINUTE + 1) * MINUTE)


def day_at(now: float) -> RateWindow:
    return RateWindow(day_sk(now), (int(now) // DAY + 1) * DAY)
