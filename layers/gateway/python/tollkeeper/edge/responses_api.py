"""Responses that can be asked for again. https://platform.openai.com/docs/api-reference/responses"""

from collections.abc import Awaitable, Callable, Mapping

from tollkeeper.admission.visit import Call
from tollkeeper.catalog.endpoints import RESPONSES
from tollkeeper.dialects.base import Json
from tollkeeper.edge.counting import estimated_tokens
from tollkeeper.edge.http import ClientGone, Receive, Scope, Send, headers_of, query_of, send_json
from tollkeeper.edge.problems import openai_error
from tollkeeper.edge.responses import RESPONSES_API
from tollkeeper.edge.responses_background import Background
from tollkeeper.edge.responses_kept import KIND, Kept, kept_of, may_read, no_such_response
from tollkeeper.edge.responses_memory import Memory
from tollkeeper.edge.responses_request import check_response
from tollkeeper.edge.responses_stream import PassedResponse, ResponseFrames
from tollkeeper.edge.serving import Api, ApiEndpoint, Desk, Frames
from tollkeeper.errors import BadRequest
from tollkeeper.pipeline import Answer
from tollkeeper.store.archive import Archive

_MOST_ITEMS, _USUAL_ITEMS = 100, 20
_Answering = Callable[[Kept, Mapping[str, str]], Awaitable[Json | None]]


class CreateResponse(ApiEndpoint):
    """Keeps what it answers, unless the caller says `store: false` or the installation keeps nothing."""

    watches = True

    def __init__(self, desk: Desk, archive: Archive | None, background: Background | None) -> None:
        super().__init__(desk, RESPONSES_API)
        self._memory = Memory(desk.gateway, archive)
        self._background = background

    async def prepared(self, call: Call) -> Call:
        return await self._memory.recalled(call)

    async def answer(self, call: Call, receive: Receive, send: Send) -> None:
        if not call.body.get("background"):
            await super().answer(call, receive, send)
        elif self._background is None:
            raise BadRequest("'background' is not supported here: this gateway keeps no responses.", param="background")
        else:
            await self._background.begin(self._desk, call, receive, send)

    async def told(self, call: Call, answer: Answer, said: Json) -> Json:
        return said if await self._memory.keep(call, answer, said) else {**said, "store": False}

    async def before_write(self, call: Call, answer: Answer, frames: Frames) -> None:
        """A response is kept before its caller learns that it is complete, since the next request may be on its way already."""
        if isinstance(frames, PassedResponse | ResponseFrames) and frames.whole is not None:
            whole, frames.whole = frames.whole, None
            await self._memory.keep(call, answer, whole)


class KeptResponses:
    """Raw ASGI endpoints over what is kept; method names are the routes' endpoints."""

    def __init__(self, desk: Desk, archive: Archive | None, background: Background | None) -> None:
        self._desk = desk
        self._archive = archive
        self._background = background

    async def get(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(kept: Kept, query: Mapping[str, str]) -> Json | None:
            if query.get("stream") not in {"true", "1"}:
                return await self._now(kept)
            if self._background is None or not await self._background.replay(self._desk, kept, query, receive, send):
                why = "only one that was created with 'background' and 'stream' can be"
                raise BadRequest(f"This response cannot be streamed again: {why}. Ask for it without 'stream'.", param="stream")
            return None

        await self._answer(scope, send, answer)

    async def delete(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(kept: Kept, query: Mapping[str, str]) -> Json:
            assert self._archive is not None
            identifier = str(kept.response["id"])
            if self._background is not None:
                await self._background.cancel(kept)
            if kept.deployment is not None:
                await self._desk.gateway.forget_response(kept.deployment, kept.provider_id)
            await self._archive.forget(KIND, identifier)
            return {"id": identifier, "object": "response", "deleted": True}

        await self._answer(scope, send, answer)

    async def cancel(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(kept: Kept, query: Mapping[str, str]) -> Json:
            if self._background is None or not kept.response.get("background"):
                raise BadRequest("Cannot cancel a synchronous response.", param="response_id")
            await self._background.cancel(kept)
            return await self._now(kept)

        await self._answer(scope, send, answer)

    async def input_items(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(kept: Kept, query: Mapping[str, str]) -> Json:
            return page_of(kept.input, query)

        await self._answer(scope, send, answer)

    async def _now(self, kept: Kept) -> Json:
        return await self._background.now(kept) if self._background is not None else kept.response

    async def _answer(self, scope: Scope, send: Send, answer: _Answering) -> None:
        call_id, headers, query = self._desk.clock.new_id(), headers_of(scope), query_of(scope)
        try:
            principal = await self._desk.gateway.caller(headers, query, RESPONSES.route)
            identifier = scope["path_params"]["response_id"]
            found = await self._archive.find(KIND, identifier) if self._archive is not None else None
            if found is None or not may_read(principal, found[0]):
                raise no_such_response(identifier)
            if (said := await answer(kept_of(found[1]), query)) is not None:
                await send_json(send, 200, {"x-litellm-call-id": call_id}, said)
        except ClientGone:
            return
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
