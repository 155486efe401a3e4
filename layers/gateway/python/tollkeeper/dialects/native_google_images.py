"""OpenAI's images, asked of Google: Imagen by `:predict`, Gemini's image models by `:generateContent`.

https://ai.google.dev/gemini-api/docs/imagen · https://ai.google.dev/gemini-api/docs/image-generation
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/imagen-api · …/imagen-api-edit

Imagen paints four images in one request, Gemini one: for more there are several, and the answer is one list. Neither gives addresses of
images, so who asks for URLs gets `data:` URLs. What OpenAI has no word for (`aspectRatio`, `negativePrompt`, `personGeneration` …) passes.
"""

import base64
import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

from tollkeeper.dialects.base import Ask, Json, Opening, Steps, Target, WireRequest
from tollkeeper.dialects.fields import drop_unsupported, upstream_fields
from tollkeeper.dialects.gemini_answer import usage_of
from tollkeeper.dialects.gemini_errors import error_from_google
from tollkeeper.dialects.hub_stream import as_object, as_objects
from tollkeeper.dialects.multipart import FORM, File
from tollkeeper.dialects.native_gemini import model_url, parsed_answer
from tollkeeper.dialects.native_media import media_usage
from tollkeeper.dialects.native_plain import Plain
from tollkeeper.errors import BadRequest, ContentPolicyViolation, UpstreamError, UpstreamProtocolError

_UNSUPPORTED = ("quality", "style", "background", "partial_images", "input_fidelity", "stream")
_OPENAIS = frozenset(
    {"model", "prompt", "n", "size", "response_format", "user", "moderation", "output_format", "output_compression", "image", "mask"}
)
_SIZE = re.compile(r"(\d{2,5})x(\d{2,5})")
_IMAGEN_RATIOS = ("1:1", "3:4", "4:3", "9:16", "16:9")
_GEMINI_RATIOS = (*_IMAGEN_RATIOS, "2:3", "3:2", "4:5", "5:4", "21:9")
_LARGE, _HUGE = 2_048, 4_096
_CHOOSES_SIZE = re.compile(r"imagen-4\.0-(?:ultra-)?generate|gemini-3")
_AT_ONCE = 4


class GoogleImages(Plain):
    """See native.NativeDialect and base.SteppedDialect."""

    answers_with: ClassVar[str] = ""

    def encode(self, request: Json, target: Target) -> WireRequest:
        """The first request. Raises BadRequest, UnsupportedParams."""
        return self._requests(request, target)[0]

    def exchange(self, request: Json, target: Target) -> Steps:
        requests = self._requests(request, target)
        bodies: list[bytes] = []
        for start in range(0, len(requests), _AT_ONCE):
            bodies += yield Ask(tuple(requests[start : start + _AT_ONCE]))
        answers = [_read(body, target) for body in bodies]
        return _answer([image for images, _ in answers for image in images], [usage for _, usage in answers], request, target)

    def opening(self, request: Json, target: Target) -> Opening:
        """Nobody streams images here: `stream` is refused before."""
        yield Ask(())
        return self.encode(request, target)

    def decode(self, body: bytes, target: Target) -> Json:
        images, usage = _read(body, target)
        return _answer(images, [usage], {}, target)

    def usage(self, answer: Json) -> Json | None:
        return media_usage(answer, images=len(as_objects(answer.get("data"))))

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_google(status, headers, body, target)

    def _requests(self, request: Json, target: Target) -> list[WireRequest]:
        fields = upstream_fields({name: value for name, value in request.items() if name != FORM}, target)
        drop_unsupported(fields, _UNSUPPORTED, target)
        files = [(name, value) for name, value in request.get(FORM, ()) if isinstance(value, File)]
        pictures = [file for name, file in files if name.startswith("image")]
        mask = next((file for name, file in files if name == "mask"), None)
        if "imagen" not in target.model:
            if mask is not None:
                raise BadRequest("Gemini's models take no 'mask': say in the prompt what to change.", param="mask")
            body = _generate_body(fields, pictures, target)
            return [_wire(target, "generateContent", body)] * (fields.get("n") or 1)
        counts = _split(fields.get("n") or 1, _AT_ONCE)
        return [_wire(target, "predict", _predict_body(fields, count, pictures, mask, target=target)) for count in counts]


def _split(count: int, most: int) -> list[int]:
    return [most] * (count // most) + ([count % most] if count % most else [])


def _wire(target: Target, method: str, body: Json) -> WireRequest:
    return WireRequest(model_url(target, method), orjson.dumps(body), {"content-type": "application/json"})


def _predict_body(fields: Json, count: int, pictures: list[File], mask: File | None, *, target: Target) -> Json:
    instance: Json = {"prompt": fields["prompt"]}
    parameters: Json = {"sampleCount": count, **_dimensions(fields, _IMAGEN_RATIOS, "sampleImageSize", target)}
    options: Json = {"mimeType": f"image/{form}"} if (form := fields.get("output_format")) else {}
    if (quality := fields.get("output_compression")) is not None:
        options["compressionQuality"] = quality
    if options:
        parameters["outputOptions"] = options
    if pictures:
        instance["referenceImages"] = [*(_reference(place, picture) for place, picture in enumerate(pictures, 1)), *_masked(pictures, mask)]
        parameters["editMode"] = "EDIT_MODE_INPAINT_INSERTION" if mask is not None else "EDIT_MODE_DEFAULT"
    return {"instances": [instance], "parameters": parameters | _theirs(fields)}


def _reference(place: int, picture: File) -> Json:
    return {"referenceType": "REFERENCE_TYPE_RAW", "referenceId": place, "referenceImage": {"bytesBase64Encoded": _encoded(picture)}}


def _masked(pictures: list[File], mask: File | None) -> list[Json]:
    """OpenAI's masks are transparent where something is to change, Google's white: the caller's must be Google's."""
    if mask is None:
        return []
    config = {"maskMode": "MASK_MODE_USER_PROVIDED", "dilation": 0.01}
    image = {"bytesBase64Encoded": _encoded(mask)}
    return [{"referenceType": "REFERENCE_TYPE_MASK", "referenceId": len(pictures) + 1, "referenceImage": image, "maskImageConfig": config}]


def _generate_body(fields: Json, pictures: list[File], target: Target) -> Json:
    theirs = _theirs(fields)
    shown = [{"inlineData": {"mimeType": picture.content_type, "data": _encoded(picture)}} for picture in pictures]
    given = as_object(theirs.pop("generationConfig", None))
    config: Json = {"responseModalities": ["IMAGE"], **given}
    image = _dimensions(fields, _GEMINI_RATIOS, "imageSize", target)
    image |= {name: theirs.pop(name) for name in ("aspectRatio", "imageSize") if name in theirs} | as_object(given.get("imageConfig"))
    if image:
        config["imageConfig"] = image
    return {"contents": [{"role": "user", "parts": [*shown, {"text": fields["prompt"]}]}], "generationConfig": config, **theirs}


def _theirs(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if name not in _OPENAIS}


def _encoded(picture: File) -> str:
    return base64.b64encode(picture.data).decode()


def _dimensions(fields: Json, ratios: tuple[str, ...], size_name: str, target: Target) -> Json:
    """A size in pixels is the nearest of Google's shapes, and its class of size where the model has a choice."""
    size = fields.get("size")
    if size is None or size == "auto":
        return {}
    found = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if found is None:
        raise BadRequest("'size' must be 'auto' or WIDTHxHEIGHT in pixels.", param="size", code="invalid_value")
    width, height = int(found[1]), int(found[2])
    shape = min(ratios, key=lambda ratio: abs(math.log(width / height) - math.log(_quotient(ratio))))
    longest = max(width, height)
    if longest < _LARGE or not _CHOOSES_SIZE.search(target.model):
        return {"aspectRatio": shape}
    return {"aspectRatio": shape, size_name: "4K" if longest >= _HUGE and "gemini" in target.model else "2K"}


def _quotient(ratio: str) -> float:
    wide, _, high = ratio.partition(":")
    return int(wide) / int(high)


def _read(body: bytes, target: Target) -> tuple[list[Json], Json | None]:
    """(images in OpenAI's words, what was used). Raises ContentPolicyViolation where Google painted nothing, and says why."""
    tree = parsed_answer(body, target)
    images = [image for prediction in as_objects(tree.get("predictions")) if (image := _predicted(prediction))]
    candidates = as_objects(tree.get("candidates"))
    parts = [part for candidate in candidates for part in as_objects(as_object(candidate.get("content")).get("parts"))]
    images += [image for part in parts if (image := _inline(part))]
    if images:
        return images, usage_of(tree.get("usageMetadata"))
    if reason := _refusal(tree, candidates, parts):
        raise ContentPolicyViolation(f"The image was not made: {reason}", upstream_status=200, code="content_policy_violation")
    raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without an image.", upstream_status=200)


def _predicted(prediction: Json) -> Json | None:
    data = prediction.get("bytesBase64Encoded")
    if not isinstance(data, str) or not data:
        return None
    revised = {"revised_prompt": prediction["prompt"]} if isinstance(prediction.get("prompt"), str) else {}
    return {"b64_json": data, "mime_type": str(prediction.get("mimeType") or "image/png"), **revised}


def _inline(part: Json) -> Json | None:
    """Pictures of a model's thoughts are drafts."""
    blob = as_object(part.get("inlineData"))
    if part.get("thought") or not isinstance(blob.get("data"), str):
        return None
    return {"b64_json": blob["data"], "mime_type": str(blob.get("mimeType") or "image/png")}


def _refusal(tree: Json, candidates: list[Json], parts: list[Json]) -> str:
    filtered = [row.get("raiFilteredReason") for row in as_objects(tree.get("predictions"))]
    feedback = as_object(tree.get("promptFeedback"))
    said = [part.get("text") for part in parts if not part.get("thought")]
    ended = [candidate.get("finishMessage") or candidate.get("finishReason") for candidate in candidates]
    reasons: list[Any] = [*filtered, feedback.get("blockReasonMessage") or feedback.get("blockReason"), *said, *ended]
    if "predictions" not in tree and not candidates and not any(reasons):
        # Imagen's answer to a prompt that it filters whole is an empty object.
        return "Google's filters left nothing of it." if tree == {} else ""
    return next((str(reason)[:500] for reason in reasons if reason), "Google's filters left nothing of it.")


def _answer(images: list[Json], used: list[Json | None], request: Json, target: Target) -> Json:
    as_url = request.get("response_format") == "url"
    data = [_shown(image, as_url=as_url) for image in images]
    answer: Json = {"created": target.created, "data": data}
    stated = [usage for usage in used if usage is not None]
    return {**answer, "usage": _summed(stated)} if stated and len(stated) == len(used) else answer


def _shown(image: Json, *, as_url: bool) -> Json:
    rest = {name: value for name, value in image.items() if name not in {"b64_json", "mime_type"}}
    return {**({"url": f"data:{image['mime_type']};base64,{image['b64_json']}"} if as_url else {"b64_json": image["b64_json"]}), **rest}


def _summed(used: list[Json]) -> Json:
    """https://platform.openai.com/docs/api-reference/images/object#images/object-usage"""

    def total(name: str, detail: str = "") -> int:
        return sum(int((as_object(usage.get(name)) if detail else usage).get(detail or name) or 0) for usage in used)

    said, shown = total("prompt_tokens"), total("prompt_tokens_details", "image_tokens")
    made, painted = total("completion_tokens"), total("completion_tokens_details", "image_tokens")
    return {
        "input_tokens": said,
        "output_tokens": made,
        "total_tokens": said + made,
        "input_tokens_details": {"text_tokens": said - shown, "image_tokens": shown},
        "output_tokens_details": {"text_tokens": made - painted, "image_tokens": painted},
    }
