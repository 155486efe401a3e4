"""Chat completions, the hub itself. https://platform.openai.com/docs/api-reference/chat"""

from collections.abc import Mapping

from tollkeeper.catalog.endpoints import CHAT
from tollkeeper.dialects.base import Chunk, Json
from tollkeeper.edge.problems import openai_error_event
from tollkeeper.edge.serving import Api, model_named
from tollkeeper.errors import BadRequest

DONE = b"data: [DONE]\n\n"


class OpenAIFrames:
    """See serving.Frames. Chunks leave as they came in; usage only if it was asked for."""

    def __init__(self, request: Json) -> None:
        options = request.get("stream_options")
        self._wants_usage = isinstance(options, dict) and bool(options.get("include_usage"))

    def feed(self, batch: list[Chunk]) -> bytes:
        wanted = self._wants_usage
        return b"".join([b"data: " + chunk.payload() + b"\n\n" for chunk in batch if wanted or not _only_usage(chunk)])

    def end(self) -> bytes:
        return DONE

    def fail(self, error: BaseException, call_id: str) -> bytes:
        return openai_error_event(error, call_id)


def _only_usage(chunk: Chunk) -> bool:
    return chunk.usage is not None and not chunk.data.get("choices")


def _check_chat(body: Json, headers: Mapping[str, str]) -> Json:
    if "messages" not in body:
        raise BadRequest("Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter")
    if not isinstance(body["messages"], list) or not all(isinstance(message, dict) for message in body["messages"]):
        raise BadRequest("'messages' must be an array of message objects.", param="messages", code="invalid_type")
    return model_named(body, "/chat/completions")


CHAT_API = Api(CHAT, _check_chat, OpenAIFrames, OpenAIFrames)
