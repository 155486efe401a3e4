"""`GET /models`, in OpenAI's shape, in Anthropic's for callers who say an anthropic-version, in Google's under /v1beta or with its key.

https://platform.openai.com/docs/api-reference/models https://docs.claude.com/en/api/models-list https://ai.google.dev/api/models
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tollkeeper.admission.visit import serving
from tollkeeper.catalog.endpoints import EMBEDDINGS, GENERATE, mode_of
from tollkeeper.dialects.base import Json
from tollkeeper.edge.http import Receive, Scope, Send, headers_of, query_of, send_json
from tollkeeper.edge.problems import anthropic_error, gemini_error, openai_error
from tollkeeper.edge.serving import Desk, ErrorShape
from tollkeeper.errors import BadRequest, NotFound, TollkeeperError
from tollkeeper.routing.resolve import ModelGroup

_CREATED = 1677610602
_CREATED_AT = "2023-02-28T18:56:42Z"
"""A constant, as in LiteLLM: an alias has no birthday."""
_MOST, _USUAL, _GOOGLES_USUAL = 1000, 20, 50
Groups = Mapping[str, ModelGroup]


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
        shape = _shape(scope["path"], headers)
        try:
            groups = await self._desk.gateway.models(headers, query)
            if wanted is not None and wanted not in groups:
                raise _no_such_model(wanted)
            body = shape.many(groups, query) if wanted is None else shape.one(wanted, groups[wanted])
            await send_json(send, 200, {shape.id_header: call_id, "x-litellm-call-id": call_id}, body)
        except TollkeeperError as error:
            await send_json(send, *shape.error(error, call_id))


def openai_model(name: str, group: ModelGroup) -> Json:
    """With LiteLLM's additions."""
    limits = {"max_input_tokens": _most(group, "max_input_tokens"), "max_output_tokens": _most(group, "max_output_tokens")}
    known = {key: value for key, value in limits.items() if value is not None}
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "openai", "mode": mode_of(group.deployments[0]), **known}


def openai_list(groups: Groups, query: Mapping[str, str]) -> Json:
    return {"object": "list", "data": [openai_model(name, group) for name, group in groups.items()]}


def google_model(name: str, group: ModelGroup) -> Json:
    methods = {GENERATE: ("generateContent", "streamGenerateContent", "countTokens"), EMBEDDINGS: ("embedContent", "batchEmbedContents")}
    able = [method for endpoint, named in methods.items() if serving(group, endpoint) for method in named]
    limits = {"inputTokenLimit": _most(group, "max_input_tokens"), "outputTokenLimit": _most(group, "max_output_tokens")}
    known = {key: value for key, value in limits.items() if value is not None}
    return {"name": f"models/{name}", "displayName": name, "version": "1", **known, "supportedGenerationMethods": able}


def google_page(groups: Groups, query: Mapping[str, str]) -> Json:
    """`pageSize` and `pageToken` as Google has them; the token is the next page's first place."""
    size, token = query.get("pageSize") or str(_GOOGLES_USUAL), query.get("pageToken") or "0"
    if not size.isdecimal() or not token.isdecimal():
        raise BadRequest("pageSize and pageToken must be whole numbers of this API's.", param="pageToken")
    start, end = int(token), int(token) + min(int(size) or _GOOGLES_USUAL, _MOST)
    models = [google_model(name, group) for name, group in list(groups.items())[start:end]]
    return {"models": models, "nextPageToken": str(end)} if end < len(groups) else {"models": models}


def _most(group: ModelGroup, limit: str) -> int | None:
    """What every deployment of the group takes."""
    limits: list[Any] = [getattr(row, limit) for row in group.deployments]
    return None if None in limits else min(limits, default=None)


def anthropic_model(name: str, group: ModelGroup) -> Json:
    return {"type": "model", "id": name, "display_name": name, "created_at": _CREATED_AT}


def anthropic_page(groups: Groups, query: Mapping[str, str]) -> Json:
    """`limit`, `after_id` and `before_id` as Anthropic has them. Raises BadRequest for a limit out of range."""
    limit = query.get("limit", str(_USUAL))
    if not limit.isdecimal() or not 1 <= int(limit) <= _MOST:
        raise BadRequest(f"limit: Input should be from 1 to {_MOST}", param="limit")
    names = list(groups)
    size, after, before = int(limit), query.get("after_id"), query.get("before_id")
    end = names.index(before) if before in names else len(names)
    start = names.index(after) + 1 if after in names else max(0, end - size) if before in names else 0
    page = names[start : min(end, start + size)]
    more = start > 0 if before in names else start + size < len(names)
    ends = {"first_id": page[0] if page else None, "last_id": page[-1] if page else None}
    return {"data": [anthropic_model(name, groups[name]) for name in page], "has_more": more, **ends}


@dataclass(frozen=True, slots=True)
class _Shape:
    one: Callable[[str, ModelGroup], Json]
    many: Callable[[Groups, Mapping[str, str]], Json]
    error: ErrorShape
    id_header: str = "x-request-id"


_OPENAI = _Shape(openai_model, openai_list, openai_error)
_ANTHROPIC = _Shape(anthropic_model, anthropic_page, anthropic_error, "request-id")
_GOOGLE = _Shape(google_model, google_page, gemini_error)


def _shape(path: str, headers: Mapping[str, str]) -> _Shape:
    if "anthropic-version" in headers:
        return _ANTHROPIC
    return _GOOGLE if path.startswith("/v1beta/") or "x-goog-api-key" in headers else _OPENAI


def _no_such_model(name: str) -> NotFound:
    return NotFound(f"The model `{name[:200]}` does not exist or you do not have access to it.", param="model", code="model_not_found")
