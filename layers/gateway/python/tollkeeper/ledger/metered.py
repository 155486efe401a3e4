"""A provider's stream on its way to the caller, with the account noting what passes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import orjson

from tollkeeper.dialects.base import Chunk
from tollkeeper.errors import TollkeeperError
from tollkeeper.ledger.account import Account
from tollkeeper.ledger.entry import STATUS_CANCELLED, STATUS_CUT, STATUS_FAILURE, STATUS_SUCCESS
from tollkeeper.money import nano_to_usd
from tollkeeper.providers.client import UpstreamStream

OnEnd = Callable[[str, BaseException | None], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream whose answer has begun, with the chunks read so far."""

    stream: UpstreamStream
    first: list[Chunk]


async def open_stream(stream: UpstreamStream) -> Opened:
    """Reads start-up frames until the first content, so that a stream which fails before it can still be tried elsewhere."""
    first: list[Chunk] = []
    try:
        async for batch in stream:
            first += batch
            if any(chunk.has_content for chunk in batch):
                break
    except BaseException:
        await stream.aclose()
        raise
    return Opened(stream, first)


class MeteredStream:
    """Lists of hub chunks. An object and not a generator: one that was never started would never run its `finally`.

    `on_end(status, error)` is called once, at the first of: the end, a failure, `aclose` (which the consumer always calls).
    """

    def __init__(self, opened: Opened, account: Account, on_end: OnEnd) -> None:
        self._stream = opened.stream
        self._first = opened.first
        self._account = account
        self._on_end = on_end
        self._ended = False
        account.first_token()

    def __aiter__(self) -> AsyncIterator[list[Chunk]]:
        return self

    async def __anext__(self) -> list[Chunk]:
        try:
            batch = await self._read()
        except StopAsyncIteration:
            await self._end(STATUS_SUCCESS, None)
            raise
        except TollkeeperError as error:
            await self._end(STATUS_CUT, error)
            raise
        self._heard(batch)
        return batch

    async def ready(self) -> None:
        """Before the status line."""

    async def _read(self) -> list[Chunk]:
        """What comes next, on the account."""
        batch, self._first = (self._first, []) if self._first else (await anext(self._stream), [])
        for chunk in batch:
            self._account.received(chunk.text_bytes)
            if chunk.usage is not None:
                self._account.stated(chunk.usage, chunk.data.get("service_tier") if chunk.raw is None else None)
                self._say_cost(chunk)
        return batch

    def _heard(self, batch: list[Chunk]) -> None:
        """By the caller."""
        if (transcript := self._account.transcript) is not None:
            for chunk in batch:
                transcript.hear(chunk.raw if chunk.raw is not None else orjson.dumps(chunk.data))

    async def aclose(self) -> None:
        await self._end(STATUS_CANCELLED, None)

    async def _end(self, status: str, error: BaseException | None) -> None:
        if self._ended:
            return
        self._ended = True
        self._account.stated(self._stream.stated_usage)
        try:
            await self._stream.aclose()
        finally:
            await self._on_end(status, error)

    def _say_cost(self, chunk: Chunk) -> None:
        if (cost := self._account.cost()) is not None and chunk.raw is None:
            chunk.data["usage"] = {**chunk.data["usage"], "cost": nano_to_usd(cost.total)}


Inspect = Callable[[list[Chunk]], Awaitable[None]]


class InspectedStream(MeteredStream):
    """Held back until it is whole, or has broken off, and `inspect` has seen it: that may change chunks, or raise TollkeeperError."""

    def __init__(self, opened: Opened, account: Account, on_end: OnEnd, inspect: Inspect) -> None:
        super().__init__(opened, account, on_end)
        self._inspect = inspect
        self._held: list[Chunk] | None = None
        self._failure: TollkeeperError | None = None

    async def __anext__(self) -> list[Chunk]:
        await self.ready()
        if self._held:
            held, self._held = self._held, []
            self._heard(held)
            return held
        if self._failure is None:
            await self._end(STATUS_SUCCESS, None)
            raise StopAsyncIteration
        await self._end(STATUS_CUT, self._failure)
        raise self._failure

    async def ready(self) -> None:
        """Raises what `inspect` raises; the books are closed then."""
        if self._held is not None:
            return
        try:
            held = await self._whole()
            await self._inspect(held)
        except BaseException as error:
            await self._end(STATUS_FAILURE if isinstance(error, Exception) else STATUS_CANCELLED, error)
            raise
        self._held = held

    async def _whole(self) -> list[Chunk]:
        held: list[Chunk] = []
        try:
            while True:
                held += await self._read()
        except StopAsyncIteration:
            return held
        except TollkeeperError as error:
            self._failure = error
            return held
