"""Legacy text completions to a provider that has them. https://platform.openai.com/docs/api-reference/completions"""

import orjson

from tollkeeper.dialects import openai_mend as mend
from tollkeeper.dialects.base import Chunk, Json, StreamDecoder, Target, WireRequest
from tollkeeper.dialects.endpoint import endpoint
from tollkeeper.dialects.error_bodies import error_from_tree, not_json
from tollkeeper.dialects.fields import drop_unsupported, forwarded_headers, unsupported_by_profile, upstream_fields
from tollkeeper.dialects.hub_stream import FramedDecoder, SseData, as_index, as_objects
from tollkeeper.dialects.native import one_limit
from tollkeeper.dialects.openai_chat import OpenAIChat
from tollkeeper.errors import UpstreamProtocolError


class NativeCompletions(OpenAIChat):
    """See native.NativeDialect."""

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises UnsupportedParams."""
        body = upstream_fields(request, target) | {"model": target.model}
        drop_unsupported(body, unsupported_by_profile(target), target)
        one_limit(body, "max_tokens")
        if body.get("stream") is True and "no_stream_options" not in target.quirks:
            options = body.get("stream_options")
            body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        headers = {"content-type": "application/json", **forwarded_headers(request)}
        return WireRequest(url=endpoint(target, "/completions"), body=orjson.dumps(body), headers=headers)

    def decode(self, body: bytes, target: Target) -> Json:
        """Raises UpstreamProtocolError for a body that is no completion, or the typed error that hides in it."""
        try:
            tree = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise not_json(body, target) from None
        if isinstance(tree, dict) and tree.get("error"):
            raise error_from_tree(tree, target)
        if not isinstance(tree, dict) or not isinstance(tree.get("choices"), list):
            raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without `choices`.", upstream_status=200)
        return {**tree, "object": "text_completion", "model": target.alias}

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return CompletionStream(target)

    def usage(self, answer: Json) -> Json | None:
        return mend.mend_usage(answer.get("usage"))


class ChunkPasser:
    """See hub_stream.Reader. Not `done` with the last finish reason: usage may follow it."""

    def __init__(self, target: Target) -> None:
        self.done = False
        self.usage: Json | None = None
        self._target = target
        self._finished: dict[int, bool] = {}

    @property
    def finished(self) -> bool:
        return bool(self._finished) and all(self._finished.values())

    def read(self, event: Json) -> list[Chunk]:
        if event.get("error"):
            raise error_from_tree(event, self._target)
        choices = as_objects(event.get("choices"))
        for choice in choices:
            place = as_index(choice.get("index"))
            self._finished[place] = self._finished.get(place, False) or bool(choice.get("finish_reason"))
        self.usage = mend.mend_usage(event.get("usage")) or self.usage
        said = sum(len(str(choice.get("text") or "").encode()) for choice in choices)
        data = {**event, "object": "text_completion", "model": self._target.alias}
        stated = self.usage if event.get("usage") and not choices else None
        return [Chunk(data, has_content=said > 0, usage=stated, text_bytes=said)]


class CompletionStream(FramedDecoder):
    """See base.StreamDecoder."""

    def __init__(self, target: Target) -> None:
        self._chunks = ChunkPasser(target)
        super().__init__(target, SseData(), self._chunks)

    def close(self) -> list[Chunk]:
        self._chunks.done = self._chunks.finished
        return super().close()
