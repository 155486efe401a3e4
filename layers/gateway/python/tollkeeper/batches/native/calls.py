"""Walks a provider's steps over the wire, with our credential."""

from collections.abc import AsyncIterator

import orjson

from tollkeeper.batches.lines import LineSplitter, LineTooLong
from tollkeeper.batches.native.base import Made, Request, Steps
from tollkeeper.clock import Clock
from tollkeeper.dialects import registry
from tollkeeper.dialects.base import Json
from tollkeeper.errors import UpstreamProtocolError
from tollkeeper.providers.client import ProviderClient
from tollkeeper.providers.target import target_for
from tollkeeper.providers.transport import OutboundRequest, Response, Timeouts, read_all

MAX_ROW_BYTES = 32 * 2**20
"""Of a line of results: some providers repeat the request in it."""
_TIMEOUTS = Timeouts(first_byte=120.0, read=120.0)


class Calls:
    """Raises UpstreamError where the provider said no, or nothing."""

    def __init__(self, client: ProviderClient, clock: Clock) -> None:
        self._client, self._clock = client, clock

    async def walk(self, steps: Steps[Made]) -> Made:
        body: bytes | None = None
        while True:
            try:
                request = next(steps) if body is None else steps.send(body)
            except StopIteration as done:
                made: Made = done.value
                return made
            if request.wait:
                await self._clock.sleep(request.wait)
            body = await read_all(await self._sent(request))

    async def rows(self, file: Request) -> AsyncIterator[Json]:
        """A JSONL file, streamed. A line that is broken is passed over, as it answers nothing; a file in which no line is whole is an
        error page. Raises UpstreamProtocolError for that.
        """
        response = await self._sent(file)
        splitter, good, seen = LineSplitter(most=MAX_ROW_BYTES), 0, False
        try:
            async for block in response.chunks():
                for raw in splitter.feed(block):
                    seen = True
                    if (row := _row(raw.data)) is not None:
                        good += 1
                        yield row
            for raw in splitter.close():
                seen = True
                if (row := _row(raw.data)) is not None:
                    good += 1
                    yield row
        except LineTooLong as long:
            raise UpstreamProtocolError(f"Line {long.number} of a batch's results is larger than {MAX_ROW_BYTES} bytes.") from None
        finally:
            await response.aclose()
        if seen and not good:
            raise UpstreamProtocolError(f"{file.through.provider} sent results of a batch that are not JSONL.")

    async def _sent(self, request: Request) -> Response:
        deployment = request.through
        headers = {"content-type": "application/json", **request.headers}
        response = await self._client.raw(deployment, OutboundRequest(request.url, request.body, headers, request.method, _TIMEOUTS))
        if response.status < 300:
            return response
        said = await read_all(response, 2**20)
        dialect, target = registry.get(deployment.dialect), target_for(deployment, deployment.group, 0)
        raise dialect.decode_error(response.status, response.headers, said, target)


def _row(data: bytes) -> Json | None:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
