"""Bedrock's InvokeModel in the words of each model family but Claude's (bedrock_invoke.py), for models that Converse does not have:
imported ones above all, and whatever `bedrock/invoke/<model>` asks for.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
Three kinds: families that take OpenAI's chat format, Nova, whose body is Converse's, and families that continue a prompt
(bedrock_prompts.py has their rows). Streams are AWS event streams of `chunk` messages, each `{"bytes": base64 of one event}`.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import orjson

from tollkeeper.dialects.base import Chunk, Json, StreamDecoder, StreamFailed, Target, WireRequest
from tollkeeper.dialects.bedrock_converse import BedrockConverse, model_path
from tollkeeper.dialects.bedrock_errors import error_from_bedrock, good
from tollkeeper.dialects.bedrock_prompts import TextFamily, TextReader, decode_text, text_body, text_family
from tollkeeper.dialects.bedrock_stream import ConverseStream
from tollkeeper.dialects.eventstream import EventStream, encode_message
from tollkeeper.dialects.hub_stream import FramedDecoder, Reframed, as_object
from tollkeeper.dialects.openai_chat import chat_body
from tollkeeper.dialects.openai_decode import decode_completion
from tollkeeper.dialects.openai_mend import said_bytes
from tollkeeper.dialects.openai_stream import OpenAIStreamDecoder
from tollkeeper.dialects.text_answers import ReasoningSplitter, split_reasoning, usage_of
from tollkeeper.errors import UpstreamError, UpstreamProtocolError

FAMILY = "family:"
"""Prefix of the quirk that says what an ARN does not: `family:llama`, from LiteLLM's `bedrock/llama/arn:…`."""

_NOVA = re.compile(r"nova")
_CHATS = re.compile(
    r"openai|gpt-oss|qwen|jamba|pixtral|mistral-large-(?:2407|3)|ministral|magistral|voxtral|deepseek\.v3|minimax|moonshot|kimi|glm|gemma|nemotron"
)
_METRICS = "amazon-bedrock-invocationMetrics"


class Codec(Protocol):
    """One kind of family."""

    def body(self, request: Json, target: Target) -> Json: ...
    def decode(self, body: bytes, target: Target) -> Json: ...
    def decoder(self, target: Target) -> StreamDecoder: ...


class BedrockFamily:
    """See base.ChatDialect and base.TellsByHeaders."""

    name = "bedrock_family"

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises BadRequest or UnsupportedParams naming the field at fault."""
        body = codec_of(target).body(request, target)
        operation = "invoke-with-response-stream" if request.get("stream") is True else "invoke"
        url = f"{target.base_url}/model/{model_path(target.model)}/{operation}"
        return WireRequest(url=url, body=orjson.dumps(body), headers={"content-type": "application/json"})

    def decode(self, body: bytes, target: Target) -> Json:
        return codec_of(target).decode(body, target)

    def usage_in(self, headers: Mapping[str, str]) -> Json | None:
        counts = [headers.get(f"x-amzn-bedrock-{side}-token-count", "") for side in ("input", "output")]
        return usage_of(*map(int, counts)) if all(count.isdecimal() for count in counts) else None

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return codec_of(target).decoder(target)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_bedrock(status, headers, body, target)


def codec_of(target: Target) -> Codec:
    hint = next((quirk.removeprefix(FAMILY) for quirk in target.quirks if quirk.startswith(FAMILY)), "")
    name = hint or target.model
    if _NOVA.search(name):
        return NovaCodec()
    if (family := None if _CHATS.search(name) else text_family(name)) is not None:
        return TextCodec(family, name)
    return ChatCodec()


class ChatCodec:
    """OpenAI's chat format, without the model's name."""

    def body(self, request: Json, target: Target) -> Json:
        body = chat_body(request, target)
        return {name: value for name, value in body.items() if name not in {"model", "stream", "stream_options"}}

    def decode(self, body: bytes, target: Target) -> Json:
        answer = decode_completion(body, target)
        for choice in answer["choices"]:
            message = choice["message"]
            if isinstance(content := message.get("content"), str) and message.get("reasoning_content") is None:
                thought, message["content"] = split_reasoning(content)
                message |= {"reasoning_content": thought} if thought else {}
        return answer

    def decoder(self, target: Target) -> StreamDecoder:
        return ChatStream(target)


class NovaCodec:
    """Converse's messages with a version beside them. https://docs.aws.amazon.com/nova/latest/userguide/complete-request-schema.html"""

    def __init__(self) -> None:
        self._converse = BedrockConverse()

    def body(self, request: Json, target: Target) -> Json:
        body: Json = orjson.loads(self._converse.encode(request, target).body)
        additional = body.pop("additionalModelRequestFields", {})
        inference = {**body.pop("inferenceConfig", {}), **as_object(additional.pop("inferenceConfig", None))}
        return {"schemaVersion": "messages-v1", **body, **additional, **({"inferenceConfig": inference} if inference else {})}

    def decode(self, body: bytes, target: Target) -> Json:
        return self._converse.decode(body, target)

    def decoder(self, target: Target) -> StreamDecoder:
        return NovaStream(target)


class TextCodec:
    """A family that continues a prompt."""

    def __init__(self, family: TextFamily, name: str) -> None:
        self._family = family
        self._name = name

    def body(self, request: Json, target: Target) -> Json:
        return text_body(self._family, self._name, request, target)

    def decode(self, body: bytes, target: Target) -> Json:
        return decode_text(self._family, body, target)

    def decoder(self, target: Target) -> StreamDecoder:
        return FramedDecoder(target, ChunkFrames(target), TextReader(self._family, target))


class ChunkFrames:
    """See hub_stream.Frames: the JSON inside `chunk` messages. Raises the typed error of an exception message."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._frames = EventStream()

    def feed(self, data: bytes) -> Iterator[bytes]:
        for message in good(self._frames.feed(data), self._target):
            if message.text(":event-type") != "chunk":
                continue
            try:
                yield base64.b64decode(orjson.loads(message.payload)["bytes"])
            except (orjson.JSONDecodeError, binascii.Error, KeyError, TypeError):
                provider = self._target.provider or "The provider"
                raise UpstreamProtocolError(f"{provider} sent a stream event that is not a JSON object.", upstream_status=200) from None

    def close(self) -> list[bytes]:
        self._frames.close()
        return []


class ChatStream(Reframed):
    """OpenAI's chunks. What a model thinks between tags is told apart."""

    def __init__(self, target: Target) -> None:
        super().__init__(ChunkFrames(target), OpenAIStreamDecoder(target, fast=False))
        self._splitter = ReasoningSplitter()

    def feed(self, data: bytes) -> list[Chunk]:
        """Raises StreamFailed."""
        try:
            return self._split(super().feed(data))
        except StreamFailed as failed:
            raise StreamFailed(failed.error, self._split(failed.chunks)) from None

    def close(self) -> list[Chunk]:
        """Raises UpstreamProtocolError if the answer is not finished."""
        return self._split(super().close())

    def _framed(self, payload: bytes) -> bytes:
        tree = _parsed(payload)
        metrics = as_object(tree.pop(_METRICS, None)) if isinstance(tree, dict) else {}
        told = usage_of(metrics.get("inputTokenCount"), metrics.get("outputTokenCount"))
        if told and not tree.get("usage"):
            tree["usage"] = told
        return b"data: " + orjson.dumps(tree) + b"\n\n"

    def _split(self, chunks: list[Chunk]) -> list[Chunk]:
        made: list[Chunk] = []
        for chunk in chunks:
            choices = chunk.data.get("choices") or []
            delta = choices[0]["delta"] if len(choices) == 1 else {}
            finished = bool(choices and choices[0].get("finish_reason"))
            if not finished and not isinstance(delta.get("content"), str):
                made.append(chunk)
                continue
            pieces = self._splitter.feed(delta.pop("content", None) or "") + (self._splitter.close() if finished else [])
            rest = [piece for piece in pieces if piece[1]]
            made += [_saying(chunk, name, text) for name, text in rest]
            if finished or delta or not rest:
                made.append(
                    Chunk({**chunk.data}, has_content=bool(delta.get("tool_calls")), text_bytes=said_bytes(delta), usage=chunk.usage)
                )
        return made


def _saying(chunk: Chunk, name: str, text: str) -> Chunk:
    data = {**chunk.data, "choices": [{"index": chunk.data["choices"][0]["index"], "delta": {name: text}, "finish_reason": None}]}
    return Chunk(data, has_content=True, text_bytes=len(text.encode()))


class NovaStream(Reframed):
    """Converse's events, each named by its only key."""

    def __init__(self, target: Target) -> None:
        super().__init__(ChunkFrames(target), ConverseStream(target))

    def _framed(self, payload: bytes) -> bytes:
        tree = _parsed(payload)
        frames = [(name, value) for name, value in tree.items() if isinstance(value, dict)] if isinstance(tree, dict) else []
        return b"".join(encode_message({":message-type": "event", ":event-type": name}, orjson.dumps(value)) for name, value in frames)


def _parsed(event: bytes) -> Any:
    """What is not JSON is for the decoder of the framing to say."""
    try:
        return orjson.loads(event)
    except orjson.JSONDecodeError:
        return event.decode("utf-8", "replace")
