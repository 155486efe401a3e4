"""Responses that can be asked for again. https://platform.openai.com/docs/api-reference/responses"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import orjson

from tollkeeper.admission.visit import Call
from tollkeeper.catalog.endpoints import RESPONSES
from tollkeeper.dialects.base import Json
from tollkeeper.edge.counting import estimated_tokens
from tollkeeper.edge.http import ClientGone, Receive, Scope, Send, headers_of, query_of, send_json
from tollkeeper.edge.problems import openai_error
from tollkeeper.edge.responses import RESPONSES_API
from tollkeeper.edge.responses_answer import KEY
from tollkeeper.edge.responses_kept import KIND, Kept, items_of, kept_of, may_read, no_such_response, owner_of, retold
from tollkeeper.edge.responses_request import check_response
from tollkeeper.edge.responses_stream import PassedResponse, ResponseFrames
from tollkeeper.edge.serving import Api, ApiEndpoint, Desk, Frames
from tollkeeper.errors import BadRequest, StoreUnavailable
from tollkeeper.pipeline import Answer
from tollkeeper.store.archive import Archive

_MOST_ITEMS, _USUAL_ITEMS = 100, 20
_Answering = Callable[[Kept, Mapping[str, str]], Awaitable[Json]]


class CreateResponse(ApiEndpoint):
    """Keeps what it answers, unless the caller says `store: false` or the installation keeps nothing."""

    watches = True

    def __init__(self, desk: Desk, archive: Archive | None) -> None:
        super().__init__(desk, RESPONSES_API)
        self._archive = archive

    async def prepared(self, call: Call) -> Call:
        """A conversation that is kept here goes on from what is kept; what is not known here is its provider's to find."""
        identifier = call.body.get("previous_response_id")
        call = replace(call, asked={**call.body, KEY: call.id})
        if self._archive is None:
            return replace(call, asked={**call.shown, "store": False})
        if not identifier:
            return call
        if not isinstance(identifier, str):
            raise BadRequest("'previous_response_id' must be a string.", param="previous_response_id", code="invalid_type")
        found = await self._archive.find(KIND, identifier)
        if found is None:
            return call
        owner, tree = found
        principal = await self._desk.gateway.caller(call.headers, call.query, RESPONSES.route)
        if not may_read(principal, owner):
            raise BadRequest(
                f"Previous response with id '{identifier[:100]}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return _continued(call, kept_of(tree))

    async def told(self, call: Call, answer: Answer, said: Json) -> Json:
        return said if await self._keep(call, answer, said) else {**said, "store": False}

    async def before_write(self, call: Call, answer: Answer, frames: Frames) -> None:
        """A response is kept before its caller learns that it is complete, since the next request may be on its way already."""
        if isinstance(frames, PassedResponse | ResponseFrames) and frames.whole is not None:
            whole, frames.whole = frames.whole, None
            await self._keep(call, answer, whole)

    async def _keep(self, call: Call, answer: Answer, said: Json) -> bool:
        identifier = said.get("id")
        if self._archive is None or call.shown.get("store") is False or not isinstance(identifier, str) or answer.entry is None:
            return answer.native
        before = call.context.history() if isinstance(call.context, Kept) else []
        deployment = answer.entry.deployment_id if answer.native else None
        kept = Kept(said, items_of(call.shown.get("input"), identifier.removeprefix("resp_")), before, deployment)
        try:
            owner = owner_of(answer.entry.key_hash, answer.entry.user_id)
            return await self._archive.keep(KIND, identifier, owner, kept.as_json()) or answer.native
        except StoreUnavailable:
            # It has been paid for: an answer that cannot be asked for again is better than none.
            return answer.native


def _continued(call: Call, kept: Kept) -> Call:
    whole = retold(kept, call.body)
    if kept.deployment is None:
        return replace(call, body=whole, raw=orjson.dumps(whole), context=kept)

    def there(body: Json, deployment_id: str) -> Json:
        return body if deployment_id == kept.deployment else retold(kept, body)

    to_hub = call.to_hub
    return replace(
        call,
        raw=orjson.dumps(whole),
        context=kept,
        to_native=lambda body, deployment: there(body, deployment.id),
        to_hub=None if to_hub is None else lambda body, deployment: to_hub(retold(kept, body), deployment),
    )


class KeptResponses:
    """Raw ASGI endpoints over what is kept; method names are the routes' endpoints."""

    def __init__(self, desk: Desk, archive: Archive | None) -> None:
        self._desk = desk
        self._archive = archive

    async def get(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(kept: Kept, query: Mapping[str, str]) -> Json:
            if query.get("stream") in {"true", "1"}:
                raise BadRequest("A kept response is not streamed again; ask for it without 'stream'.", param="stream")
            return kept.response

        await self._answer(scope, send, answer)

    async def delete(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(kept: Kept, query: Mapping[str, str]) -> Json:
            assert self._archive is not None
            identifier = str(kept.response["id"])
            if kept.deployment is not None:
                await self._desk.gateway.forget_response(kept.deployment, identifier)
            await self._archive.forget(KIND, identifier)
            return {"id": identifier, "object": "response", "deleted": True}

        await self._answer(scope, send, answer)

    async def cancel(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(kept: Kept, query: Mapping[str, str]) -> Json:
            raise BadRequest("Cannot cancel a synchronous response.", param="response_id")

        await self._answer(scope, send, answer)

    async def input_items(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(kept: Kept, query: Mapping[str, str]) -> Json:
            return page_of(kept.input, query)

        await self._answer(scope, send, answer)

    async def _answer(self, scope: Scope, send: Send, answer: _Answering) -> None:
        call_id, headers, query = self._desk.clock.new_id(), headers_of(scope), query_of(scope)
        try:
            principal = await self._desk.gateway.caller(headers, query, RESPONSES.route)
            identifier = scope["path_params"]["response_id"]
            found = await self._archive.find(KIND, identifier) if self._archive is not None else None
            if found is None or not may_read(principal, found[0]):
                raise no_such_response(identifier)
            await send_json(send, 200, {"x-litellm-call-id": call_id}, await answer(kept_of(found[1]), query))
        except Exception as error:  # noqa: BLE001 - the edge is where every failure gets its answer
            await send_json(send, *openai_error(error, call_id))


def page_of(items: list[Json], query: Mapping[str, str]) -> Json:
    """Newest first, as OpenAI has it. Raises BadRequest for a limit out of range."""
    limit = query.get("limit", str(_USUAL_ITEMS))
    if not limit.isdecimal() or not 1 <= int(limit) <= _MOST_ITEMS:
        raise BadRequest(f"'limit' must be from 1 to {_MOST_ITEMS}.", param="limit")
    ordered = items if query.get("order") == "asc" else items[::-1]
    ids = [item.get("id") for item in ordered]
    start = ids.index(query["after"]) + 1 if query.get("after") in ids else 0
    page = ordered[start : start + int(limit)]
    ends = {"first_id": page[0].get("id") if page else None, "last_id": page[-1].get("id") if page else None}
    return {"object": "list", "data": page, "has_more": start + len(page) < len(ordered), **ends}


class CountInput:
    """`POST /responses/input_tokens`, free of charge. https://platform.openai.com/docs/api-reference/responses/input-tokens"""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._api = Api(RESPONSES, check_response)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call_id = self._desk.clock.new_id()
        try:
            call = await self._desk.read(scope, receive, call_id, self._api)
            counted = await self._desk.gateway.count_tokens(call, await self._desk.gateway.group(call), "count_response")
            said = counted or {"object": "response.input_tokens", "input_tokens": estimated_tokens(call.body)}
            await send_json(send, 200, {"x-litellm-call-id": call.shown_id}, said)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the edge is where every failure gets its answer
            await send_json(send, *openai_error(error, call_id))
