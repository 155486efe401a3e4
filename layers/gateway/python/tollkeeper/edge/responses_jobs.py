"""A response in the background as a call of its own: the same checks, budgets, limits, routing and books as if its caller had waited.

It is always asked for as a stream, whatever its caller wants to see of it: so a slow answer does not look like a dead connection, and one
that is cancelled costs what had come by then.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress

import orjson

from tollkeeper.admission.visit import Call
from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.background.jobs import FAILED, IN_PROGRESS, Job, Jobs, LeaseLost
from tollkeeper.background.said import KEEP_SECONDS, Event, Live, Said
from tollkeeper.catalog.endpoints import RESPONSES
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.framing import SseParser
from tollkeeper.dialects.native import framed
from tollkeeper.edge.problems import openai_error
from tollkeeper.edge.responses_answer import KEY
from tollkeeper.edge.responses_kept import KIND, UNFINISHED, kept_of
from tollkeeper.edge.responses_memory import Memory
from tollkeeper.edge.responses_request import response_to_hub
from tollkeeper.edge.responses_stream import PassedResponse, ResponseFrames
from tollkeeper.errors import OurError, StoreUnavailable, TollkeeperError, UpstreamProtocolError
from tollkeeper.ledger.book import Ledger
from tollkeeper.ledger.entry import Entry
from tollkeeper.ledger.unknown import what_is_known
from tollkeeper.pipeline import Gateway
from tollkeeper.store.archive import Archive

log = logging.getLogger("tollkeeper.background")

ASKED = "asked"
"""The archive's kind of requests that wait: {"body", "headers", "shown_id"}."""
_TELL_APART = ("background", "stream", "stream_options")
"""What a request says about how its caller wants the answer, and is not its provider's to know."""


class ResponseRunner:
    """Implements background.worker.Runner."""

    def __init__(self, gateway: Gateway, authenticator: Authenticator, ledger: Ledger, *, archive: Archive, jobs: Jobs, said: Said) -> None:
        self._gateway, self._authenticator, self._ledger = gateway, authenticator, ledger
        self._archive, self._jobs, self._said = archive, jobs, said
        self._memory = Memory(gateway, archive)

    async def run(self, job: Job, until: float | None) -> str:
        live = self._said.live(job)
        live.whole = True
        keeping = asyncio.create_task(self._keep_for_ever(live))
        try:
            return await self._answered(job, live, until)
        except LeaseLost:
            raise asyncio.CancelledError from None
        except Exception as error:
            if not isinstance(error, TollkeeperError):
                log.exception("background_response_broke %s", job.id)
            return await self._failed(job, openai_error(error, job.call_id)[2]["error"])
        finally:
            keeping.cancel()
            with suppress(StoreUnavailable):
                await self._said.keep(live)

    async def lost(self, job: Job) -> str:
        found = await self._archive.find(KIND, job.id)
        response = kept_of(found[1]).response if found else {}
        if response and response["status"] not in UNFINISHED:
            return str(response["status"])
        entry = Entry(
            request_id=job.call_id,
            call_id=job.call_id,
            started_at=job.began_at,
            call_type="unconfirmed",
            model=str(response.get("model")),
            key_hash=job.key_hash,
            team_id=job.team_id,
            user_id=job.user_id,
        )
        known = await what_is_known(self._ledger, entry)
        message = f"The gateway was stopped while it made this response; it is not asked for again. {known}"
        return await self._failed(job, {"code": "server_error", "message": message})

    async def _answered(self, job: Job, live: Live, until: float | None) -> str:
        call = await self._call(job, until)
        answer = await self._gateway.serve(call)
        assert answer.stream is not None
        frames: PassedResponse | ResponseFrames = (PassedResponse if answer.native else ResponseFrames)(call.shown)
        told = _Retold(job)
        try:
            async for batch in answer.stream:
                live.say(told.feed(frames.feed(batch)))
            last = told.feed(frames.end())
        finally:
            await answer.stream.aclose()
        if (whole := frames.whole) is None:
            raise UpstreamProtocolError("The provider's stream ended without its response.", upstream_status=200)
        await self._still_wanted(job)
        if not await self._memory.keep(call, answer, told.response(whole), known_as=str(whole["id"])):
            raise OurError("The response is too large to be kept.", status=500)
        live.say(last + told.held)
        return str(whole["status"])

    async def _call(self, job: Job, until: float | None) -> Call:
        found = await self._archive.find(ASKED, job.id)
        if found is None:
            raise OurError("What was asked for is not there any more.", status=500)
        asked: Json = found[1]
        body = {**{name: value for name, value in asked["body"].items() if name not in _TELL_APART}, "stream": True}
        principal = await self._authenticator.by_hash(job.key_hash, master=job.admin)
        call = Call(
            job.call_id,
            asked["shown_id"],
            body,
            orjson.dumps(body),
            asked["headers"],
            deadline=until,
            endpoint=RESPONSES,
            to_hub=response_to_hub,
            principal=principal,
            asked={**asked["body"], KEY: job.id.removeprefix("resp_")},
        )
        return await self._memory.recalled(call)

    async def _still_wanted(self, job: Job) -> None:
        """Raises LeaseLost."""
        now = await self._jobs.get(job.id)
        if now is None or now.status != IN_PROGRESS:
            raise LeaseLost

    async def _failed(self, job: Job, error: Json) -> str:
        await self.put(
            job, FAILED, error={"code": str(error.get("code") or error.get("type") or "server_error"), "message": error["message"]}
        )
        return FAILED

    async def put(self, job: Job, status: str, *, error: Json | None = None) -> None:
        """Keeps how it ended, without an answer. Raises StoreUnavailable."""
        if (found := await self._archive.find(KIND, job.id)) is not None:
            tree = found[1]
            response = {**tree["response"], "status": status, "error": error}
            await self._archive.keep(KIND, job.id, job.owner, {**tree, "response": response})
        await self._archive.forget(ASKED, job.id)

    async def _keep_for_ever(self, live: Live) -> None:
        while live.job.streamed:
            await asyncio.sleep(KEEP_SECONDS)
            with suppress(StoreUnavailable):
                await self._said.keep(live)


class _Retold:
    """A provider's events under the name that the caller knows the response by. `held`: the last event, which is said when it is kept."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._parser = SseParser()
        self.held: list[Event] = []

    def feed(self, data: bytes) -> list[Event]:
        if not self._job.streamed:
            return []
        events = list(self._events(data))
        ready = [event for event in events if not is_last(event[1])]
        self.held += events[len(ready) :]
        return ready

    def response(self, response: Json) -> Json:
        return {**response, "id": self._job.id, "background": True, "store": True}

    def _events(self, data: bytes) -> Iterator[Event]:
        for kind, text in self._parser.feed(data):
            event = orjson.loads(text)
            if names_it := isinstance(response := event.get("response"), dict):
                event["response"] = self.response(response)
            yield int(event.get("sequence_number") or 0), framed(kind.decode(), orjson.dumps(event) if names_it else text)


_LAST = tuple(f"event: response.{status}\n".encode() for status in ("completed", "incomplete", "failed", "cancelled"))


def is_last(event: bytes) -> bool:
    return event.startswith(_LAST)
