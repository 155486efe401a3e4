"""multipart/form-data of a body that is in memory, for providers; edge/multipart.py reads it. https://www.rfc-editor.org/rfc/rfc7578"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2s


@dataclass(frozen=True, slots=True)
class File:
    """One file of a form."""

    filename: str
    content_type: str
    data: bytes = field(repr=False)


FORM = "form"
"""Of a request that came as a form: its fields in order, files among them."""
Field = tuple[str, str | File]


def compose(fields: Iterable[Field]) -> tuple[bytes, str]:
    """(body, content type). The boundary follows from the content, so that the same form is the same bytes."""
    parts = [(_head(name, value), value.data if isinstance(value, File) else value.encode()) for name, value in fields]
    digest = blake2s(b"\0".join(piece for part in parts for piece in part), digest_size=16).hexdigest()
    mark = f"--tollkeeper-{digest}".encode()
    body = b"".join(mark + b"\r\n" + head + b"\r\n\r\n" + data + b"\r\n" for head, data in parts)
    return body + mark + b"--\r\n", f"multipart/form-data; boundary=tollkeeper-{digest}"


def _head(name: str, value: str | File) -> bytes:
    shown = f'Content-Disposition: form-data; name="{_quoted(name)}"'
    if isinstance(value, File):
        shown += f'; filename="{_quoted(value.filename)}"\r\nContent-Type: {_one_line(value.content_type)}'
    return shown.encode()


def _quoted(text: str) -> str:
    """What a caller wrote between quotes must not end them, nor the header."""
    return _one_line(text).replace("\\", "\\\\").replace('"', '\\"')


def _one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")
