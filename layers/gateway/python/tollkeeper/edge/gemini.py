"""Google's Gemini API: generateContent, streamGenerateContent, countTokens, embeddings, models. https://ai.google.dev/api"""

from collections.abc import Mapping
from dataclasses import replace

from tollkeeper.catalog.endpoints import EMBEDDINGS, GENERATE
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.hub_stream import as_object, as_objects
from tollkeeper.edge.counting import estimated_tokens
from tollkeeper.edge.gemini_answer import ArrayFrames, GenerateFrames, PassedArray, PassedGenerate, generated
from tollkeeper.edge.gemini_request import check_generate, check_stream, generate_to_hub
from tollkeeper.edge.http import ClientGone, Receive, Scope, Send, query_of, send_json
from tollkeeper.edge.problems import gemini_error
from tollkeeper.edge.serving import Api, ApiEndpoint, Desk
from tollkeeper.edge.sse import Media
from tollkeeper.errors import BadRequest

_ARRAY = Media("application/json; charset=UTF-8", b"\n")
"""White space between a JSON array's items is what a heartbeat may be."""
_EVENTS = Media(heartbeat=b"\n")
"""Google's client takes every line that is not empty and no data for a piece of an error: comments, too."""
GENERATE_API = Api(GENERATE, check_generate, say=generated, to_hub=generate_to_hub, error=gemini_error)
STREAM_API = Api(
    GENERATE,
    check_stream,
    frames=GenerateFrames,
    native_frames=PassedGenerate,
    to_hub=generate_to_hub,
    error=gemini_error,
    media=lambda _: _EVENTS,
)
ARRAY_API = replace(STREAM_API, frames=ArrayFrames, native_frames=PassedArray, media=lambda _: _ARRAY)


class StreamGenerate:
    """Server-sent events with `?alt=sse`, else one JSON array in pieces."""

    def __init__(self, desk: Desk) -> None:
        self._events = ApiEndpoint(desk, STREAM_API)
        self._array = ApiEndpoint(desk, ARRAY_API)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._events if query_of(scope).get("alt") == "sse" else self._array)(scope, receive, send)


class CountGenerate:
    """`countTokens`, free of charge: Google's own count where the model is Google's, else an estimate."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._api = Api(GENERATE, check_counted, error=gemini_error)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call_id = self._desk.clock.new_id()
        try:
            call = await self._desk.read(scope, receive, call_id, self._api)
            group = await self._desk.gateway.group(call)
            counted = await self._desk.gateway.count_tokens(call, group, "count_generate")
            await send_json(send, 200, {"x-litellm-call-id": call.shown_id}, counted or {"totalTokens": estimated_tokens(call.body)})
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the edge is where every failure gets its answer
            await send_json(send, *gemini_error(error, call_id))


def check_counted(body: Json, headers: Mapping[str, str]) -> Json:
    """`contents`, or a whole request under `generateContentRequest`."""
    whole = body.get("generateContentRequest") or body.get("generate_content_request")
    return check_generate({**(whole if isinstance(whole, dict) else body), "model": body["model"]}, headers)


def check_embed(body: Json, headers: Mapping[str, str]) -> Json:
    return _embeddings([body], body["model"])


def check_batch_embed(body: Json, headers: Mapping[str, str]) -> Json:
    requests = as_objects(body.get("requests"))
    if not requests:
        raise BadRequest("requests must be a non-empty list of objects.", param="requests")
    return _embeddings(requests, body["model"])


def _embeddings(requests: list[Json], model: str) -> Json:
    """OpenAI's words for it. `taskType` and `title` have none and are left out."""
    sizes = {request.get("outputDimensionality") or request.get("output_dimensionality") for request in requests} - {None}
    if len(sizes) > 1:
        raise BadRequest("outputDimensionality must be the same in all requests.", param="outputDimensionality")
    made: Json = {"model": model, "input": [_text(request) for request in requests]}
    return {**made, "dimensions": sizes.pop()} if sizes else made


def _text(request: Json) -> str:
    content = request.get("content")
    if isinstance(content, str):
        return content
    parts = as_objects(as_object(content).get("parts"))
    if not parts or not all(isinstance(part.get("text"), str) for part in parts):
        raise BadRequest("content must have parts of text.", param="content")
    return "\n".join(part["text"] for part in parts)


def embedded_many(answer: Json, request: Json) -> Json:
    return {"embeddings": [{"values": row.get("embedding")} for row in as_objects(answer.get("data"))]}


def embedded_one(answer: Json, request: Json) -> Json:
    return {"embedding": embedded_many(answer, request)["embeddings"][0]}


EMBED_API = Api(EMBEDDINGS, check_embed, native_say=embedded_one, error=gemini_error)
BATCH_EMBED_API = Api(EMBEDDINGS, check_batch_embed, native_say=embedded_many, error=gemini_error)
