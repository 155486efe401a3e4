"""A batch's line as a call of its own: the same checks, budgets, limits, routing and books as if its caller had sent it just now."""

import orjson

from tollkeeper.admission.visit import Call
from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.auth.principal import Principal
from tollkeeper.batches.lines import Line, LineFault
from tollkeeper.batches.native.base import Intake
from tollkeeper.batches.owner import Owner
from tollkeeper.batches.runner import LineAnswer, NativeRun
from tollkeeper.edge.batch_native import Books, run_of
from tollkeeper.edge.completions import COMPLETIONS_API
from tollkeeper.edge.openai import CHAT_API
from tollkeeper.edge.plain import EMBEDDINGS_API
from tollkeeper.edge.responses import RESPONSES_API
from tollkeeper.edge.serving import Api
from tollkeeper.errors import NoDeployment, RateLimited, StoreUnavailable, TollkeeperError, UpstreamQuotaExceeded, UpstreamRateLimited
from tollkeeper.ledger.book import Ledger
from tollkeeper.ledger.entry import Entry
from tollkeeper.ledger.unknown import what_is_known
from tollkeeper.pipeline import Gateway

APIS = {api.endpoint.route: api for api in (CHAT_API, EMBEDDINGS_API, COMPLETIONS_API, RESPONSES_API)}
_PATIENT = (RateLimited, UpstreamRateLimited, NoDeployment, StoreUnavailable)
"""Failures that pass, and that nobody bills."""
_PAUSE_SECONDS = 10.0
_SAMPLE = {"messages": [{"role": "user", "content": "x"}], "input": "x", "prompt": "x"}
"""A body that every endpoint takes: which deployments serve a model does not depend on it."""


class GatewayLines:
    """Implements batches.runner.LineRunner."""

    def __init__(self, gateway: Gateway, authenticator: Authenticator, ledger: Ledger, books: Books) -> None:
        self._gateway, self._authenticator, self._ledger, self._books = gateway, authenticator, ledger, books

    async def fault(self, owner: Owner, endpoint: str, line: Line) -> LineFault | None:
        try:
            await self._gateway.group(_call(APIS[endpoint], line, await self._principal(owner)))
        except StoreUnavailable:
            raise
        except TollkeeperError as error:
            code = error.code or ("model_not_found" if error.param == "model" else error.type)
            return LineFault(code, f"Line {line.number}: {error.message}", line.number, error.param)
        return None

    async def run(self, owner: Owner, endpoint: str, line: Line, *, call_id: str, shown_id: str, deadline: float | None) -> LineAnswer:
        api = APIS[endpoint]
        try:
            call = _call(api, line, await self._principal(owner), call_id, shown_id, deadline=deadline)
            answer = await self._gateway.serve(call)
            say = api.native_say if answer.native else api.say
            return LineAnswer(200, say(answer.body or {}, call.body), call_id)
        except Exception as error:  # noqa: BLE001 - as at every edge: a failure is an answer
            status, _, body = api.error(error, call_id)
            return LineAnswer(status, body, call_id, again=_again(error))

    async def native(self, owner: Owner, intake: Intake, model: str, deployment_id: str | None = None) -> NativeRun | None:
        if deployment_id is not None:
            return await self._books.handed(owner, model, intake, deployment_id)
        principal = await self._principal(owner)
        if await self._books.line_by_line(principal, model, intake):
            return None
        call = _call(APIS[intake.endpoint], Line(0, "", {**_SAMPLE, "model": model}, 0), principal)
        rows = (await self._gateway.group(call)).deployments
        runs = (run_of(self._books, row, principal, model, intake, has_it=False) for row in rows)
        return next((run for run in runs if run is not None), None)

    async def lost(self, owner: Owner, endpoint: str, line: Line, *, call_id: str, shown_id: str, at: float) -> str:
        entry = Entry(
            request_id=call_id,
            call_id=shown_id,
            started_at=at,
            call_type="unconfirmed",
            model=line.body["model"],
            key_hash=owner.key_hash,
            team_id=owner.team_id,
            user_id=owner.user_id,
        )
        return await what_is_known(self._ledger, entry)

    async def _principal(self, owner: Owner) -> Principal:
        return await self._authenticator.by_hash(owner.key_hash, master=owner.admin)


def _call(api: Api, line: Line, principal: Principal, call_id: str = "", shown_id: str = "", *, deadline: float | None = None) -> Call:
    """Raises BadRequest."""
    body = api.check(line.body, {})
    return Call(call_id, shown_id, body, orjson.dumps(line.body), {}, {}, deadline, api.endpoint, api.to_hub, principal)


def _again(error: Exception) -> float | None:
    if not isinstance(error, _PATIENT) or isinstance(error, UpstreamQuotaExceeded):
        return None
    return error.retry_after or _PAUSE_SECONDS
