"""A provider's stream on its way to the caller, with the account noting what passes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import orjson

from tollkeeper.dialects.base import Chunk
from tollkeeper.errors import TollkeeperError
from tollkeeper.ledger.account import Account
from tollkeeper.ledger.entry import STATUS_CANCELLED, STATUS_CUT, STATUS_SUCCESS
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
            batch, self._first = (self._first, []) if self._first else (await anext(self._stream), [])
        except StopAsyncIteration:
            await self._end(STATUS_SUCCESS, None)
            raise
        except TollkeeperError as error:
            await self._end(STATUS_CUT, error)
            raise
        for chunk in batch:
            self._account.received(chunk.text_bytes)
            if self._account.transcript is not None:
                self._account.transcript.hear(chunk.raw if chunk.raw is not None else orjson.dumps(chunk.data))
            if chunk.usage is not None:
                self._account.stated(chunk.usage, chunk.data.get("service_tier") if chunk.raw is None else None)
                self._say_cost(chunk)
        return batch

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
