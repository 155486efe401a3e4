"""Images and sound, to providers that have OpenAI's addresses for them. Forms travel as forms, sound as bytes, events as they came.

https://platform.openai.com/docs/api-reference/images · …/audio
"""

import base64
import binascii
import re
from typing import Any, ClassVar

import orjson

from tollkeeper.dialects.base import Chunk, Json, StreamDecoder, Target, WireRequest
from tollkeeper.dialects.endpoint import endpoint
from tollkeeper.dialects.error_bodies import error_from_tree, not_json
from tollkeeper.dialects.fields import GATEWAY_FIELDS, forwarded_headers, upstream_fields
from tollkeeper.dialects.hub_stream import FramedDecoder, SseData, as_object, as_objects, as_word
from tollkeeper.dialects.multipart import FORM, Field, compose
from tollkeeper.dialects.native import RAW, framed
from tollkeeper.dialects.native_plain import Plain, parsed
from tollkeeper.errors import UpstreamProtocolError

PLAIN_FORMATS = {"text": "text/plain; charset=utf-8", "srt": "text/plain; charset=utf-8", "vtt": "text/vtt; charset=utf-8"}
_CUE = re.compile(rb"-->\s*(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})")


class Images(Plain):
    """https://platform.openai.com/docs/api-reference/images/create"""

    path = "/images/generations"
    answers_with = "data"

    def decode(self, body: bytes, target: Target) -> Json:
        return parsed(body, target, self.answers_with)

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return EventStream(target)

    def usage(self, answer: Json) -> Json | None:
        return media_usage(answer, images=len(as_objects(answer.get("data"))))


class Form(Plain):
    """A form with files: the caller's fields in their order, the deployment's name for the model."""

    skipped: ClassVar[frozenset[str]] = frozenset()

    def encode(self, request: Json, target: Target) -> WireRequest:
        left_out = GATEWAY_FIELDS | target.drop | self.skipped | {"model", "metadata"}
        given: list[Field] = [(name, value) for name, value in request[FORM] if name not in left_out]
        names = {name for name, _ in given}
        more: list[Field] = [(name, str(value)) for name, value in self.more(request, target).items() if name not in names]
        body, content_type = compose([("model", target.model), *given, *more])
        return WireRequest(endpoint(target, self.path), body, {"content-type": content_type, **forwarded_headers(request)})

    def more(self, request: Json, target: Target) -> Json:
        return dict(target.extra_body)

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return EventStream(target)


class ImageEdits(Form):
    """https://platform.openai.com/docs/api-reference/images/createEdit"""

    path = "/images/edits"

    def decode(self, body: bytes, target: Target) -> Json:
        return parsed(body, target, "data")

    def usage(self, answer: Json) -> Json | None:
        return media_usage(answer, images=len(as_objects(answer.get("data"))))


class ImageVariations(ImageEdits):
    """https://platform.openai.com/docs/api-reference/images/createVariation"""

    path = "/images/variations"


class Transcriptions(Form):
    """https://platform.openai.com/docs/api-reference/audio/createTranscription

    Bare text says nothing of how long the sound was, so it is asked for as JSON.
    """

    path = "/audio/transcriptions"
    skipped = frozenset({"response_format"})

    def more(self, request: Json, target: Target) -> Json:
        form = request.get("response_format")
        wanted = {} if form is None else {"response_format": "json" if form == "text" else form}
        return {**super().more(request, target), **wanted}

    def decode(self, body: bytes, target: Target) -> Json:
        try:
            tree = orjson.loads(body)
        except orjson.JSONDecodeError:
            if body.lstrip()[:1] in {b"{", b"<"}:
                raise not_json(body, target) from None
            return {RAW: body}
        if isinstance(tree, dict) and tree.get("error"):
            raise error_from_tree(tree, target)
        if not isinstance(tree, dict) or not isinstance(tree.get("text"), str):
            raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without `text`.", upstream_status=200)
        return tree

    def usage(self, answer: Json) -> Json | None:
        if RAW in answer:
            return heard(_last_cue(answer[RAW]))
        return media_usage(answer)


class Translations(Transcriptions):
    path = "/audio/translations"


class Speech(Plain):
    """https://platform.openai.com/docs/api-reference/audio/createSpeech"""

    path = "/audio/speech"
    answers_with = ""

    def encode(self, request: Json, target: Target) -> WireRequest:
        body = {**upstream_fields(request, target), "model": target.model}
        body.pop("stream", None)
        return WireRequest(
            endpoint(target, self.path), orjson.dumps(body), {"content-type": "application/json", **forwarded_headers(request)}
        )

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return SoundStream(target)


def media_usage(answer: Json, images: int = 0) -> Json | None:
    """Tokens, a duration, or nothing but the number of images; None if nothing is said."""
    usage = as_object(answer.get("usage"))
    if usage.get("type") == "duration" or (not usage and answer.get("duration") is not None):
        return heard(_seconds(usage.get("seconds", answer.get("duration"))))
    if not usage:
        return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "images": images} if images else None
    if seconds := _seconds(usage.get("prompt_audio_seconds")):
        return {**usage, **heard(seconds)}
    details = as_object(usage.get("input_tokens_details") or usage.get("input_token_details"))
    return {
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "total_tokens": usage.get("total_tokens"),
        "prompt_tokens_details": details,
        "completion_tokens_details": as_object(usage.get("output_tokens_details")),
        "images": images,
    }


def heard(seconds: float) -> Json:
    return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "audio_ms": -int(-seconds * 1_000)}


def _seconds(value: Any) -> float:
    try:
        return max(0.0, float(value))
    except (TypeError, ValueError):
        return 0.0


def _last_cue(subtitles: bytes) -> float:
    """The second at which the last subtitle ends."""
    times = [[int(number or 0) for number in found] for found in _CUE.findall(subtitles)]
    ends = [hour * 3600 + minute * 60 + second + thousandth / 1000 for hour, minute, second, thousandth in times]
    return max(ends, default=0.0)


class EventPasser:
    """See hub_stream.Reader. Not `done` with the last event: [DONE] or another image may follow it."""

    def __init__(self, target: Target) -> None:
        self.done = False
        self.finished = False
        self.usage: Json | None = None
        self._target = target

    def read(self, event: Json) -> list[Chunk]:
        kind = as_word(event.get("type"))
        if event.get("error") or kind == "error":
            raise error_from_tree(event if event.get("error") else {"error": event}, self._target)
        if kind.endswith((".done", ".completed")):
            self.finished = True
            self.usage = media_usage(event, images=int(kind.endswith(".completed"))) or self.usage
        said = sum(len(text.encode()) for name in ("delta", "text") if isinstance(text := event.get(name), str))
        return [Chunk(event, has_content=True, usage=self.usage if self.finished else None, text_bytes=said)]


class EventStream(FramedDecoder):
    """See base.StreamDecoder. Events leave byte for byte."""

    def __init__(self, target: Target) -> None:
        self._events = EventPasser(target)
        super().__init__(target, SseData(), self._events)

    def _read(self, message: bytes) -> list[Chunk]:
        chunks = super()._read(message)
        for chunk in chunks:
            chunk.raw = framed(as_word(chunk.data.get("type")), message)
        return chunks

    def close(self) -> list[Chunk]:
        self._events.done = self._events.finished
        return super().close()


class SoundStream:
    """See base.StreamDecoder. Sound passes as it comes; its first bytes tell events (`stream_format: sse`) and JSON from it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._head = b""
        self._events: EventStream | None = None
        self._plain = False

    @property
    def usage(self) -> Json | None:
        return self._events.usage if self._events is not None else None

    def feed(self, data: bytes) -> list[Chunk]:
        if self._events is not None:
            return self._events.feed(data)
        if self._plain:
            return [_sound(data)] if data else []
        self._head += data
        if self._head[:2] == b'{"' or len(self._head) < _TELLING:
            return []
        head, self._head = self._head, b""
        if head.startswith((b"data:", b"event:")):
            self._events = EventStream(self._target)
            return self._events.feed(head)
        self._plain = True
        return [_sound(head)]

    def close(self) -> list[Chunk]:
        if self._events is not None:
            return self._events.close()
        head, self._head = self._head, b""
        if not head and not self._plain:
            raise UpstreamProtocolError(f"{self._target.provider or 'The provider'} answered without sound.", upstream_status=200)
        return [_sound(_unpacked(head, self._target))] if head else []


_TELLING = 6


def _sound(data: bytes) -> Chunk:
    return Chunk({}, raw=data, has_content=True)


def _unpacked(head: bytes, target: Target) -> bytes:
    """Mistral answers with JSON, `audio_data` in base64 (https://docs.mistral.ai/api/#tag/audio); raw samples may begin like it."""
    try:
        tree = orjson.loads(head)
    except orjson.JSONDecodeError:
        return head
    if isinstance(tree, dict) and tree.get("error"):
        raise error_from_tree(tree, target)
    try:
        return base64.b64decode(as_object(tree)["audio_data"])
    except (KeyError, TypeError, binascii.Error):
        return head
