"""`GET /models`, in OpenAI's shape, and in Anthropic's for callers who say an anthropic-version.

https://platform.openai.com/docs/api-reference/models https://docs.claude.com/en/api/models-list
"""

from collections.abc import Mapping

from tollkeeper.dialects.base import Json
from tollkeeper.edge.http import Receive, Scope, Send, headers_of, query_of, send_json
from tollkeeper.edge.problems import anthropic_error, openai_error
from tollkeeper.edge.serving import Desk
from tollkeeper.errors import BadRequest, NotFound, TollkeeperError

_CREATED = 1677610602
_CREATED_AT = "2023-02-28T18:56:42Z"
"""A constant, as in LiteLLM: an alias has no birthday."""
_MOST, _USUAL = 1000, 20


class ModelsEdge:
    """Raw ASGI endpoints; method names are the routes' endpoints."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def models(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, send, None)

    async def model(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, send, scope["path_params"]["model"])

    async def _answer(self, scope: Scope, send: Send, wanted: str | None) -> None:
        call_id, headers, query = self._desk.clock.new_id(), headers_of(scope), query_of(scope)
        anthropic = "anthropic-version" in headers
        try:
            names = list(await self._desk.gateway.models(headers, query))
            if wanted is not None and wanted not in names:
                raise _no_such_model(wanted)
            one, many = (anthropic_model, anthropic_page) if anthropic else (openai_model, openai_list)
            body = many(names, query) if wanted is None else one(wanted)
            await send_json(send, 200, {"request-id" if anthropic else "x-request-id": call_id, "x-litellm-call-id": call_id}, body)
        except TollkeeperError as error:
            await send_json(send, *(anthropic_error if anthropic else openai_error)(error, call_id))


def openai_model(name: str) -> Json:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "openai"}


def openai_list(names: list[str], query: Mapping[str, str]) -> Json:
    return {"object": "list", "data": [openai_model(name) for name in names]}


def anthropic_model(name: str) -> Json:
    return {"type": "model", "id": name, "display_name": name, "created_at": _CREATED_AT}


def anthropic_page(names: list[str], query: Mapping[str, str]) -> Json:
    """`limit`, `after_id` and `before_id` as Anthropic has them. Raises BadRequest for a limit out of range."""
    limit = query.get("limit", str(_USUAL))
    if not limit.isdecimal() or not 1 <= int(limit) <= _MOST:
        raise BadRequest(f"limit: Input should be from 1 to {_MOST}", param="limit")
    size, after, before = int(limit), query.get("after_id"), query.get("before_id")
    end = names.index(before) if before in names else len(names)
    start = names.index(after) + 1 if after in names else max(0, end - size) if before in names else 0
    page = names[start : min(end, start + size)]
    more = start > 0 if before in names else start + size < len(names)
    ends = {"first_id": page[0] if page else None, "last_id": page[-1] if page else None}
    return {"data": [anthropic_model(name) for name in page], "has_more": more, **ends}


def _no_such_model(name: str) -> NotFound:
    return NotFound(f"The model `{name[:200]}` does not exist or you do not have access to it.", param="model", code="model_not_found")
