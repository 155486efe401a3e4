"""The hub's images, files, audio and video → Gemini's inlineData and fileData parts.

https://ai.google.dev/gemini-api/docs/file-input-methods
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference#parameters
"""

import base64
from urllib.parse import unquote_to_bytes, urlsplit

from tollkeeper.dialects.base import Json
from tollkeeper.errors import BadRequest

MEDIA_TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif", "heic": "image/heic",
    "heif": "image/heif", "bmp": "image/bmp", "pdf": "application/pdf", "txt": "text/plain", "md": "text/md", "html": "text/html",
    "csv": "text/csv", "xml": "text/xml", "json": "application/json", "rtf": "text/rtf", "mp3": "audio/mp3", "wav": "audio/wav",
    "flac": "audio/flac", "ogg": "audio/ogg", "opus": "audio/opus", "aac": "audio/aac", "aiff": "audio/aiff", "m4a": "audio/m4a",
    "pcm16": "audio/pcm", "mp4": "video/mp4", "mov": "video/mov", "mpeg": "video/mpeg", "mpg": "video/mpg", "avi": "video/avi",
    "webm": "video/webm", "wmv": "video/wmv", "flv": "video/x-flv", "3gp": "video/3gpp",
}  # fmt: skip
"""File name endings and the media types Gemini's documentation uses for them."""

_UPLOADED = "/v1beta/files/"
"""Gemini knows the type of what was uploaded to its Files API."""


def media_part(source: str, media_type: str | None, fallback: str | None) -> Json:
    """A data: URL → inlineData; any other URL → fileData. `fallback` is the media type when neither caller nor file name tells one."""
    if source.startswith("data:"):
        found, data = split_data_url(source)
        return {"inlineData": {"mimeType": media_type or found or fallback or "application/octet-stream", "data": data}}
    if urlsplit(source).scheme not in {"http", "https", "gs"}:
        raise BadRequest("A file must be a data: URL, or a URL with http(s) or gs.", param="messages")
    if _UPLOADED in source:
        fallback = None
    kind = media_type or guess_media_type(source) or fallback
    return {"fileData": {"fileUri": source, **({"mimeType": kind} if kind else {})}}


def guess_media_type(name: str) -> str | None:
    """By the ending of a file name or of a URL's path."""
    path = urlsplit(name).path if "://" in name else name
    return MEDIA_TYPES.get(path.rpartition(".")[2].lower())


def split_data_url(url: str) -> tuple[str, str]:
    """`data:image/png;base64,…` → ("image/png", base64 text). Whether it is good base64 is for the provider to say: it decodes it anyway.

    Raises BadRequest (https://www.rfc-editor.org/rfc/rfc2397).
    """
    head, comma, data = url[len("data:") :].partition(",")
    if not comma:
        raise BadRequest("A data: URL has no data.", param="messages")
    kind, *flags = head.split(";")
    if "base64" not in flags:
        return kind, base64.b64encode(unquote_to_bytes(data)).decode()
    return kind, data


def image_part(part: Json) -> Json:
    image = part.get("image_url")
    fields = image if isinstance(image, dict) else {"url": image}
    return media_part(_text(fields.get("url"), "image_url.url"), _optional(fields.get("format")), "image/jpeg")


def audio_part(part: Json) -> Json:
    audio = part.get("input_audio")
    fields = audio if isinstance(audio, dict) else {}
    data, kind = _text(fields.get("data"), "input_audio.data"), str(fields.get("format") or "wav")
    media_type = kind if "/" in kind else MEDIA_TYPES.get(kind, f"audio/{kind}")
    if data.startswith(("data:", "http:", "https:", "gs:")):
        return media_part(data, media_type, media_type)
    return {"inlineData": {"mimeType": media_type, "data": data}}


def video_part(part: Json) -> Json:
    video = part.get("video_url")
    fields = video if isinstance(video, dict) else {"url": video}
    return media_part(_text(fields.get("url"), "video_url.url"), _optional(fields.get("format")), "video/mp4")


def file_part(part: Json) -> Json:
    """OpenAI's file part: `file_data` (a data: URL or bare base64) or `file_id` (a URL, as LiteLLM allows)."""
    file = part.get("file")
    fields = file if isinstance(file, dict) else {}
    source = _text(fields.get("file_data") or fields.get("file_id"), "file.file_data")
    media_type = _optional(fields.get("format")) or guess_media_type(str(fields.get("filename") or ""))
    if fields.get("file_data") and not source.startswith(("data:", "http:", "https:", "gs:")):
        return {"inlineData": {"mimeType": media_type or "application/pdf", "data": source}}
    return media_part(source, media_type, "application/pdf")


def _text(value: object, name: str) -> str:
    if isinstance(value, str) and value:
        return value
    raise BadRequest(f"A content part needs {name}.", param="messages")


def _optional(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
