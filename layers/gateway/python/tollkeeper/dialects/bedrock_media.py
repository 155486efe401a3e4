"""The hub's images, files, video and audio → Converse blocks. Converse takes bytes or S3 objects; it fetches no URL.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ImageBlock.html · …_DocumentBlock.html · …_VideoBlock.html
"""

import re
from typing import Any

from tollkeeper.dialects.base import Json
from tollkeeper.dialects.gemini_media import guess_media_type, split_data_url
from tollkeeper.errors import BadRequest

_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/md": "md",
    "text/markdown": "md",
}
_VIDEOS = {
    "video/mp4": "mp4", "video/mov": "mov", "video/quicktime": "mov", "video/webm": "webm", "video/x-matroska": "mkv", "video/mpeg": "mpeg",
    "video/mpg": "mpg", "video/x-flv": "flv", "video/wmv": "wmv", "video/3gpp": "three_gp",
}  # fmt: skip
_FORMATS = {"image": _IMAGES, "document": _DOCUMENTS, "video": _VIDEOS}
_NAME_REFUSED = re.compile(r"[^A-Za-z0-9\-()\[\] ]+")
_SPACES = re.compile(r" {2,}")


class Media:
    """Makes blocks for one request; a document's name must be the only one of its kind in it."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def image(self, part: Json) -> Json:
        fields = _nested(part, "image_url")
        return _block("image", _text(fields.get("url"), "image_url.url"), _optional(fields.get("format")))

    def video(self, part: Json) -> Json:
        fields = _nested(part, "video_url")
        return _block("video", _text(fields.get("url"), "video_url.url"), _optional(fields.get("format")))

    def audio(self, part: Json) -> Json:
        fields = _nested(part, "input_audio")
        data = _text(fields.get("data"), "input_audio.data")
        return {"audio": {"format": str(fields.get("format") or "wav"), "source": {"bytes": data}}}

    def file(self, part: Json) -> Json:
        """OpenAI's file part: an image or a video goes as one, everything else as a document."""
        fields = _nested(part, "file")
        source = _text(fields.get("file_data") or fields.get("file_id"), "file.file_data")
        name = str(fields.get("filename") or "")
        if not source.startswith(("data:", "s3://")) and fields.get("file_data"):
            source = f"data:{guess_media_type(name) or 'application/pdf'};base64,{source}"
        media_type = _optional(fields.get("format")) or _type_of(source) or guess_media_type(name)
        kind = next((kind for kind, formats in _FORMATS.items() if media_type in formats), "document")
        block = _block(kind, source, media_type)
        if kind == "document":
            block["document"] = {"name": self._name(name), **block["document"]}
        return block

    def _name(self, filename: str) -> str:
        """Letters, digits, single spaces, hyphens and brackets only (…/APIReference/API_runtime_DocumentBlock.html)."""
        stem = filename.rpartition(".")[0] or filename
        wanted = _SPACES.sub(" ", _NAME_REFUSED.sub(" ", stem)).strip()[:190] or f"Document {len(self._names) + 1}"
        name, copy = wanted, 2
        while name in self._names:
            name, copy = f"{wanted} ({copy})", copy + 1
        self._names.add(name)
        return name


def _block(kind: str, source: str, media_type: str | None) -> Json:
    formats = _FORMATS[kind]
    if source.startswith("s3://"):
        found = media_type or guess_media_type(source) or ""
        location: Json = {"s3Location": {"uri": source}}
    elif source.startswith("data:"):
        stated, data = split_data_url(source)
        found, location = media_type or stated, {"bytes": data}
    else:
        raise BadRequest(f"Bedrock takes {kind}s as data: or s3:// URLs only, and fetches no other.", param="messages")
    if found not in formats:
        raise BadRequest(f"Bedrock takes no {kind} of type {found or 'unknown'!r}; it takes {', '.join(formats)}.", param="messages")
    return {kind: {"format": formats[found], "source": location}}


def _type_of(source: str) -> str | None:
    return split_data_url(source)[0] or None if source.startswith("data:") else guess_media_type(source)


def _nested(part: Json, name: str) -> Json:
    value = part.get(name)
    return value if isinstance(value, dict) else {"url": value}


def _text(value: Any, name: str) -> str:
    if isinstance(value, str) and value:
        return value
    raise BadRequest(f"A content part needs {name}.", param="messages")


def _optional(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
