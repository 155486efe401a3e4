"""The only source of time and of ids, so that tests can hold both still.

`Clock` is passed to whatever needs it; `system` is the real one. Wall time is UTC. Durations come from `monotonic`.
"""

import asyncio
import os
import time
from datetime import UTC, datetime
from typing import Protocol

_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"


class Clock(Protocol):
    """Time and ids. `now` is epoch seconds (UTC); `monotonic` is seconds since some start, for durations."""

    def now(self) -> float: ...
    def monotonic(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...
    def new_id(self) -> str: ...


class SystemClock:
    """The machine's clock and the kernel's random bytes (fresh after a SnapStart restore, unlike a seeded generator)."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def new_id(self) -> str:
        return time_ordered_id(self.now(), os.urandom(10))


def time_ordered_id(now: float, noise: bytes) -> str:
    """26 characters of Crockford base 32: 48 bits of milliseconds, then 80 of noise. Sorts by age (ULID, https://github.com/ulid/spec)."""
    number = (int(now * 1000) & (2**48 - 1)) << 80 | int.from_bytes(noise[:10], "big")
    return "".join(_BASE32[(number >> shift) & 31] for shift in range(125, -1, -5))


def id_time(identifier: str) -> float:
    """The epoch seconds at which `time_ordered_id` made this id."""
    number = 0
    for char in identifier[:10]:
        number = number << 5 | _BASE32.index(char)
    return number / 1000


def iso(epoch: float) -> str:
    """Epoch seconds → ISO 8601 with `Z`, to the millisecond: sorts as text, and every client parses it."""
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(text: str) -> float:
    """ISO 8601 → epoch seconds; a time without a zone is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


system: Clock = SystemClock()
