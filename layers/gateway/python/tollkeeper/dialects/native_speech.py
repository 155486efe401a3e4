"""OpenAI's audio endpoints, asked of Deepgram and ElevenLabs: sound to text and text to sound in their words, answers in OpenAI's.

https://developers.deepgram.com/reference/speech-to-text-api/listen · …/text-to-speech-api/speak
https://elevenlabs.io/docs/api-reference/speech-to-text/convert · …/text-to-speech/stream
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from tollkeeper.dialects.base import Json, StreamDecoder, Target, WireRequest
from tollkeeper.dialects.fields import GATEWAY_FIELDS, drop_unsupported, upstream_fields
from tollkeeper.dialects.hub_stream import as_object, as_objects
from tollkeeper.dialects.multipart import FORM, Field, File, compose
from tollkeeper.dialects.native_media import SoundStream, media_usage
from tollkeeper.dialects.native_plain import Plain, parsed
from tollkeeper.errors import BadRequest

_OPENAIS = {"model", "file", "response_format", "timestamp_granularities", "timestamp_granularities[]", "language", "metadata", "stream"}
_NEVER = ("prompt", "chunking_strategy", "include[]")
_SENTENCE_END = (".", "?", "!", "。", "？", "！")
_VOICES = {
    "alloy": "21m00Tcm4TlvDq8ikWAM",
    "ash": "TxGEqnHWrfWFTfGW9XjX",
    "coral": "EXAVITQu4vr4xnSDxMaL",
    "echo": "ErXwobaYiN019PkySvjV",
    "fable": "VR6AewLTigWG4xSOukaG",
    "nova": "MF3mGyEYCl7XYWbV9V6O",
    "onyx": "pNInz6obpgDQGcFmaJgB",
    "sage": "AZnzlk1XvdvUeBnXmlld",
    "shimmer": "AZnzlk1XvdvUeBnXmlld",
}
"""OpenAI's voices → ElevenLabs' stock voices; any other name is a voice id. https://elevenlabs.io/docs/product-guides/voices/default-voices"""
_ELEVEN_FORMATS = {"mp3": "mp3_44100_128", "opus": "opus_48000_128", "pcm": "pcm_24000", "wav": "wav_44100"}
_DEEPGRAM_FORMATS = {
    "mp3": {"encoding": "mp3"},
    "opus": {"encoding": "opus", "container": "ogg"},
    "aac": {"encoding": "aac"},
    "flac": {"encoding": "flac"},
    "wav": {"encoding": "linear16", "container": "wav"},
    "pcm": {"encoding": "linear16", "container": "none", "sample_rate": "24000"},
}


class DeepgramTranscriptions(Plain):
    """The sound is the body, everything else the query."""

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises UnsupportedParams."""
        fields, sound = _form(request, target)
        language = {"language": fields["language"]} if fields.get("language") else {"detect_language": "true"}
        given = {"model": target.model, **language, "smart_format": "true", **_own(fields)}
        url = f"{target.base_url}/listen?{urlencode(given)}"
        return WireRequest(url, sound.data, {"content-type": sound.content_type or "application/octet-stream"})

    def decode(self, body: bytes, target: Target) -> Json:
        tree = parsed(body, target, "results")
        channels = as_objects(as_object(tree["results"]).get("channels"))
        best = [(as_objects(channel.get("alternatives")) or [{}])[0] for channel in channels]
        words = [_word(word, "punctuated_word", "word") for row in best for word in as_objects(row.get("words"))]
        text = "\n".join(str(row.get("transcript") or "") for row in best)
        language = next((channel["detected_language"] for channel in channels if channel.get("detected_language")), None)
        return transcription(text, language, as_object(tree.get("metadata")).get("duration"), words)

    def usage(self, answer: Json) -> Json | None:
        return media_usage(answer)


class ElevenLabsTranscriptions(Plain):
    """A form, as OpenAI's, with other names in it."""

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises UnsupportedParams."""
        fields, sound = _form(request, target)
        language: list[Field] = [("language_code", fields["language"])] if fields.get("language") else []
        more: list[Field] = list(_own(fields).items())
        body, content_type = compose([("model_id", target.model), ("file", sound), *language, *more])
        return WireRequest(f"{target.base_url}/speech-to-text", body, {"content-type": content_type})

    def decode(self, body: bytes, target: Target) -> Json:
        tree = _with_text(body, target)
        words = [_word(word, "text") for word in as_objects(tree.get("words")) if word.get("type") in {None, "word"}]
        duration = tree.get("audio_duration_secs", words[-1]["end"] if words else None)
        return transcription(str(tree["text"]), tree.get("language_code"), duration, words)

    def usage(self, answer: Json) -> Json | None:
        return media_usage(answer)


class DeepgramSpeech(Plain):
    """A voice is a model here: OpenAI's names for voices say nothing to Deepgram."""

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises BadRequest or UnsupportedParams."""
        fields = _speech_fields(request, target, ("instructions", "speed"))
        voice = str(fields.pop("voice", ""))
        model = voice if voice.startswith("aura") else target.model
        form = _format(fields, _DEEPGRAM_FORMATS)
        url = f"{target.base_url}/speak?{urlencode({'model': model, **form, **{name: str(value) for name, value in fields.items()}})}"
        return WireRequest(url, orjson.dumps({"text": request.get("input")}), {"content-type": "application/json"})

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return SoundStream(target)


class ElevenLabsSpeech(Plain):
    """The voice is in the address."""

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises BadRequest or UnsupportedParams."""
        fields = _speech_fields(request, target, ("instructions",))
        voice = str(fields.pop("voice", "alloy"))
        form, speed = _format(fields, _ELEVEN_FORMATS), fields.pop("speed", None)
        body = {**fields, "text": request.get("input"), "model_id": target.model}
        if speed is not None:
            body["voice_settings"] = {**as_object(fields.get("voice_settings")), "speed": speed}
        url = f"{target.base_url}/text-to-speech/{quote(_VOICES.get(voice, voice), safe='')}/stream?output_format={form}"
        return WireRequest(url, orjson.dumps(body), {"content-type": "application/json"})

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return SoundStream(target)


def transcription(text: str, language: Any, duration: Any, words: list[Json]) -> Json:
    """OpenAI's verbose answer, whose `text` alone is its short one. Times in seconds."""
    answer: Json = {"text": text, "words": words, "segments": [*_segments(words)]}
    if isinstance(language, str):
        answer["language"] = language
    if isinstance(duration, int | float) and not isinstance(duration, bool):
        answer |= {"duration": float(duration), "usage": {"type": "duration", "seconds": float(duration)}}
    return answer


def subtitles(segments: list[Json], form: str) -> bytes:
    """SubRip or WebVTT. https://www.w3.org/TR/webvtt1/"""
    mark, lines = (",", []) if form == "srt" else (".", ["WEBVTT", ""])
    for number, segment in enumerate(segments, 1):
        start, end = (_clock(float(segment.get(name) or 0.0), mark) for name in ("start", "end"))
        lines += [*([str(number)] if form == "srt" else []), f"{start} --> {end}", str(segment.get("text") or "").strip(), ""]
    return "\n".join(lines).encode()


def _clock(seconds: float, mark: str) -> str:
    whole = round(seconds * 1_000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1_000 % 60:02}{mark}{whole % 1_000:03}"


def _segments(words: list[Json]) -> Iterator[Json]:
    """Sentences, as far as the punctuation tells."""
    begun: list[Json] = []
    count = 0
    for place, word in enumerate(words):
        begun.append(word)
        if not word["word"].endswith(_SENTENCE_END) and place + 1 < len(words):
            continue
        yield {"id": count, "start": begun[0]["start"], "end": begun[-1]["end"], "text": " ".join(row["word"] for row in begun)}
        begun, count = [], count + 1


def _word(word: Json, *names: str) -> Json:
    said = next((word[name] for name in names if isinstance(word.get(name), str)), "")
    start, end = (float(value) if isinstance(value := word.get(name), int | float) else 0.0 for name in ("start", "end"))
    return {"word": said, "start": start, "end": end}


def _form(request: Json, target: Target) -> tuple[Json, File]:
    given = {**dict(target.extra_body), **{name: value for name, value in request[FORM] if name not in GATEWAY_FIELDS | target.drop}}
    sound = given.pop("file", None)
    if not isinstance(sound, File):
        raise BadRequest("Missing required parameter: 'file'.", param="file")
    drop_unsupported(given, _NEVER, target)
    return given, sound


def _own(fields: Json) -> dict[str, str]:
    """The provider's own parameters among the caller's."""
    return {name: str(value) for name, value in fields.items() if name not in _OPENAIS and not isinstance(value, File)}


def _speech_fields(request: Json, target: Target, unsupported: tuple[str, ...]) -> Json:
    fields = upstream_fields(request, target)
    if fields.get("speed") == 1:
        del fields["speed"]
    drop_unsupported(fields, unsupported, target)
    return {
        name: value for name, value in fields.items() if name not in {"model", "input", "stream", "stream_format"} and value is not None
    }


def _format(fields: Json, known: Mapping[str, Any]) -> Any:
    form = fields.pop("response_format", "mp3")
    if form not in known:
        raise BadRequest(f"response_format must be one of {', '.join(known)} for this model.", param="response_format")
    return known[form]


def _with_text(body: bytes, target: Target) -> Json:
    tree: Json = parsed(body, target, "words" if b'"words"' in body else "text", kinds=(list, str))
    return {"text": "", **tree}
