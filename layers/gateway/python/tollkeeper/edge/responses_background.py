"""Responses that are made in the background: begun, looked at, followed, cancelled. https://platform.openai.com/docs/guides/background

A response exists from its creation on, as every kept one does; how far it has come is its job's to say, until both have ended.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from tollkeeper.admission.visit import Call
from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.background.jobs import CANCELLED, QUEUED, Job, Jobs
from tollkeeper.background.said import Said
from tollkeeper.background.worker import Worker
from tollkeeper.catalog.endpoints import RESPONSES
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.native import framed
from tollkeeper.edge.http import Receive, Send, send_json
from tollkeeper.edge.responses_answer import KEY, envelope
from tollkeeper.edge.responses_jobs import ASKED, ResponseRunner, is_last
from tollkeeper.edge.responses_kept import KIND, UNFINISHED, Kept, items_of, kept_of, owner_of
from tollkeeper.edge.responses_stream import error_event
from tollkeeper.edge.serving import Desk, stopping
from tollkeeper.edge.sse import EventStream
from tollkeeper.errors import BadRequest, Forbidden, PayloadTooLarge
from tollkeeper.store.archive import Archive


@dataclass(frozen=True, slots=True)
class Background:
    """One per process. `at_once`: this process outlives its requests, so that a job can begin here; else one whose caller follows it does,
    and every other waits for the schedule.
    """

    archive: Archive
    authenticator: Authenticator
    jobs: Jobs
    said: Said
    runner: ResponseRunner
    worker: Worker
    keep_seconds: int
    at_once: bool = False

    async def begin(self, desk: Desk, call: Call, receive: Receive, send: Send) -> None:
        """Raises BadRequest, Forbidden and the rest that is known before anything is spent."""
        if call.shown.get("store") is False:
            raise BadRequest("'background' needs 'store' to be true: its answer is fetched later.", param="background")
        principal = await desk.gateway.caller(call.headers, call.query, RESPONSES.route)
        if not await self.authenticator.returns(principal):
            raise Forbidden("A response in the background is made after its caller has left: it needs a virtual key.", type="auth_error")
        await desk.gateway.group(call)
        now = int(desk.clock.now())
        job = Job(
            f"resp_{call.id}",
            call.id,
            owner_of(principal.key_hash, principal.user_id),
            principal.key_hash,
            now,
            now + self.keep_seconds,
            admin=principal.is_master,
            user_id=principal.user_id,
            team_id=principal.team_id,
            streamed=call.streamed,
        )
        response = {**envelope(call.id, now, call.shown), "status": QUEUED, "background": True}
        await self._keep(job, call, response)
        if self.at_once or call.streamed:
            self._start(job, call.deadline)
        headers = {"x-litellm-call-id": call.shown_id, "x-request-id": call.id}
        if call.streamed:
            await self._follow(desk, job, -1, receive, send, headers=headers)
        else:
            await send_json(send, 200, headers, response)

    async def now(self, kept: Kept) -> Json:
        """The response as it stands."""
        response = kept.response
        if not response.get("background") or (job := await self.jobs.get(str(response["id"]))) is None:
            return response
        if job.status == CANCELLED:
            return {**response, "status": CANCELLED}
        if response["status"] in UNFINISHED and job.status not in UNFINISHED:  # it ended between the two reads
            found = await self.archive.find(KIND, job.id)
            return kept_of(found[1]).response if found else response
        return {**response, "status": job.status} if response["status"] in UNFINISHED else response

    async def cancel(self, kept: Kept) -> None:
        """What has ended stays as it is."""
        if not kept.response.get("background") or (job := await self.jobs.get(str(kept.response["id"]))) is None:
            return
        if await self.jobs.cancel(job.id):
            self.worker.stop(job.id)
            await self.runner.put(job, CANCELLED)

    async def replay(self, desk: Desk, kept: Kept, query: Mapping[str, str], receive: Receive, send: Send) -> bool:
        """The events of a response, from one on; False: it has none. Raises BadRequest."""
        after = query.get("starting_after", "-1")
        if not after.removeprefix("-").isdecimal():
            raise BadRequest("'starting_after' must be a sequence number.", param="starting_after", code="invalid_type")
        job = await self.jobs.get(str(kept.response["id"])) if kept.response.get("background") else None
        if job is None or not job.streamed:
            return False
        await self._follow(desk, job, int(after), receive, send, headers={"x-litellm-call-id": job.call_id})
        return True

    async def _keep(self, job: Job, call: Call, response: Json) -> None:
        body = {name: value for name, value in call.shown.items() if name != KEY}
        asked = {"body": body, "headers": self.authenticator.without_keys(call.headers), "shown_id": call.shown_id}
        kept = Kept(response, items_of(call.shown.get("input"), call.id), [], None)
        if not (
            await self.archive.keep(ASKED, job.id, job.owner, asked) and await self.archive.keep(KIND, job.id, job.owner, kept.as_json())
        ):
            raise PayloadTooLarge("The request is too large to be kept for a response in the background.", param="input")
        await self.jobs.add(job)

    def _start(self, job: Job, until: float | None) -> None:
        self.said.live(job)
        self.worker.start(job.id, until).add_done_callback(lambda _: self.said.close(job.id))

    async def _follow(self, desk: Desk, job: Job, after: int, receive: Receive, send: Send, *, headers: Mapping[str, str]) -> None:
        events = desk.events(receive, send)

        async def produce() -> None:
            await events.begin(headers)
            await self._relay(job, after, events)
            await events.end()

        try:
            await events.run(produce, headers)
        except (Exception, asyncio.CancelledError) as error:
            if not events.begun:
                raise
            # The response goes on where its worker is, and its caller may follow it again.
            await events.write(error_event(stopping() if isinstance(error, asyncio.CancelledError) else error, job.call_id, 0))
            await events.end()

    async def _relay(self, job: Job, after: int, events: EventStream) -> None:
        """One that failed or was cancelled has no last event of its own."""
        number, ended = -1, False
        async for number, event in self.said.follow(job):
            ended = is_last(event)
            if number > after:
                await events.write(event)
        if ended or (found := await self.archive.find(KIND, job.id)) is None:
            return
        response = await self.now(kept_of(found[1]))
        kind = f"response.{response['status']}"
        await events.write(framed(kind, orjson.dumps({"type": kind, "sequence_number": max(number, after) + 1, "response": response})))
