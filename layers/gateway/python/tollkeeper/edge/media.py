"""Images and sound. https://platform.openai.com/docs/api-reference/images · …/audio

What a request says of its cost is measured here, from the request alone: before the call nothing else is known.
"""

from collections.abc import Mapping

from tollkeeper.admission.visit import Measured
from tollkeeper.budgets.units import PAINTED_TOKENS, SHOWN_TOKENS, SPOKEN_TOKENS_PER_CHARACTER, Units, heard_ms
from tollkeeper.catalog.endpoints import IMAGE_EDITS, IMAGE_VARIATIONS, IMAGES, SPEECH, TRANSCRIPTIONS, TRANSLATIONS
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.multipart import FORM, File
from tollkeeper.dialects.native import CONTENT_TYPE, RAW
from tollkeeper.dialects.native_media import PLAIN_FORMATS, heard
from tollkeeper.dialects.native_speech import subtitles
from tollkeeper.edge.serving import Api, model_named
from tollkeeper.edge.sse import EVENTS, Media
from tollkeeper.errors import BadRequest

_MOST_IMAGES = 10
_PROMPT_TOKENS = 1_024
"""Beside a prompt's bytes: what the provider adds."""
_LIKELY_BYTES_PER_SECOND = 4_000
"""Of compressed speech at 32 kbit/s; most recordings have more, and so are shorter."""
_LIKELY_PAINTED_TOKENS = 1_056
"""Of one image of middling quality."""
_SOUND_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
_PAINTING = frozenset({"image", "image_output", "output", "request"})
_HEARING = frozenset({"audio_hour", "audio_input", "input", "request"})
_SPEAKING = frozenset({"character", "audio_output", "output", "request"})


def check_images(body: Json, headers: Mapping[str, str]) -> Json:
    text(body, "prompt")
    whole(body, "n", _MOST_IMAGES)
    return model_named(body, "/images/generations")


def check_edit(body: Json, headers: Mapping[str, str]) -> Json:
    text(body, "prompt")
    whole(body, "n", _MOST_IMAGES)
    if not any(isinstance(value, File) and name.startswith("image") for name, value in body[FORM]):
        raise BadRequest("Missing required parameter: 'image'.", param="image", code="missing_required_parameter")
    return model_named(body, "/images/edits")


def check_variation(body: Json, headers: Mapping[str, str]) -> Json:
    whole(body, "n", _MOST_IMAGES)
    if not any(isinstance(value, File) and name == "image" for name, value in body[FORM]):
        raise BadRequest("Missing required parameter: 'image'.", param="image", code="missing_required_parameter")
    return model_named(body, "/images/variations")


def check_sound(body: Json, headers: Mapping[str, str]) -> Json:
    if not any(isinstance(value, File) and name == "file" for name, value in body[FORM]):
        raise BadRequest("Missing required parameter: 'file'.", param="file", code="missing_required_parameter")
    return model_named(body, "/audio/transcriptions")


def check_speech(body: Json, headers: Mapping[str, str]) -> Json:
    """Sound is always streamed: who wants it whole waits for the end."""
    text(body, "input")
    form = body.get("response_format")
    if form is not None and not isinstance(form, str):
        raise BadRequest("'response_format' must be a string.", param="response_format", code="invalid_type")
    return {**model_named(body, "/audio/speech"), "stream": True}


def text(body: Json, name: str) -> None:
    if body.get(name) is None:
        raise BadRequest(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    if not isinstance(body[name], str):
        raise BadRequest(f"'{name}' must be a string.", param=name, code="invalid_type")


def whole(body: Json, name: str, most: int) -> None:
    """Forms have numbers as text."""
    value = body.get(name)
    if isinstance(value, str) and value.isdecimal():
        body[name] = value = int(value)
    if value is not None and (type(value) is not int or not 1 <= value <= most):
        raise BadRequest(f"'{name}' must be a whole number from 1 to {most}.", param=name, code="invalid_value")


def painted(body: Json) -> Measured:
    count = body.get("n") or 1
    shown = sum(isinstance(value, File) for _, value in body.get(FORM, ()))
    prompt = len(str(body.get("prompt") or "").encode())
    units = Units(
        _PAINTING,
        images=count,
        input_tokens=prompt + _PROMPT_TOKENS + shown * SHOWN_TOKENS,
        output_tokens=count * PAINTED_TOKENS,
    )
    likely = {"prompt_tokens": prompt // 4 + shown * 1_024, "completion_tokens": count * _LIKELY_PAINTED_TOKENS, "images": count}
    return Measured(units, likely)


def listened(body: Json) -> Measured:
    sounds = [value.data for name, value in body[FORM] if isinstance(value, File) and name == "file"]
    most = sum(heard_ms(sound) for sound in sounds)
    likely = sum(heard_ms(sound, bytes_per_second=_LIKELY_BYTES_PER_SECOND) for sound in sounds)
    # 32 tokens a second is the most that is documented, and nobody says more than ten words a second.
    said = len(str(body.get("prompt") or "").encode())
    units = Units(_HEARING, audio_ms=most, input_tokens=most * 32 // 1_000 + said + _PROMPT_TOKENS, output_tokens=most * 20 // 1_000 + 64)
    tokens = {"prompt_tokens": likely * 10 // 1_000, "completion_tokens": likely * 3 // 1_000}
    return Measured(units, {**heard(likely / 1_000), **tokens})


def spoken(body: Json) -> Measured:
    """Characters are exact; tokens are told by few providers, and guessed from them."""
    count = len(body["input"])
    tokens = len((body["input"] + str(body.get("instructions") or "")).encode())
    units = Units(
        _SPEAKING,
        characters=count,
        input_tokens=tokens + _PROMPT_TOKENS,
        output_tokens=count * SPOKEN_TOKENS_PER_CHARACTER + 256,
    )
    heard_tokens = -(-count * 3 // 2)
    likely = {"prompt_tokens": -(-tokens // 3), "completion_tokens": heard_tokens, "characters": count}
    return Measured(units, {**likely, "completion_tokens_details": {"audio_tokens": heard_tokens}}, exact=True)


def transcript(answer: Json, request: Json) -> Json:
    """As text where text was asked for, from an answer that says more."""
    content_type = PLAIN_FORMATS.get(str(request.get("response_format")))
    form = str(request.get("response_format"))
    if form in {"srt", "vtt"} and isinstance(answer.get("segments"), list):
        return {RAW: subtitles(answer["segments"], form), CONTENT_TYPE: content_type or ""}
    if RAW in answer:
        return {RAW: answer[RAW], CONTENT_TYPE: content_type or "text/plain; charset=utf-8"}
    return {RAW: f"{answer['text']}\n".encode(), CONTENT_TYPE: content_type} if content_type else answer


def sound(request: Json) -> Media:
    """Nothing can be put between bytes of sound."""
    if request.get("stream_format") == "sse":
        return EVENTS
    return Media(_SOUND_TYPES.get(str(request.get("response_format") or "mp3"), "application/octet-stream"), b"")


IMAGES_API = Api(IMAGES, check_images, measure=painted)
IMAGE_EDITS_API = Api(IMAGE_EDITS, check_edit, measure=painted, form=True)
IMAGE_VARIATIONS_API = Api(IMAGE_VARIATIONS, check_variation, measure=painted, form=True)
TRANSCRIPTIONS_API = Api(TRANSCRIPTIONS, check_sound, native_say=transcript, measure=listened, form=True)
TRANSLATIONS_API = Api(TRANSLATIONS, check_sound, native_say=transcript, measure=listened, form=True)
SPEECH_API = Api(SPEECH, check_speech, measure=spoken, media=sound)
