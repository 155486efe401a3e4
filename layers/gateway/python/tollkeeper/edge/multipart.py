"""multipart/form-data, fed in any split: a file passes through in pieces and is never whole in memory. Sans I/O.

https://www.rfc-editor.org/rfc/rfc7578 · https://www.rfc-editor.org/rfc/rfc2046#section-5.1.1
"""

import re
from dataclasses import dataclass
from email.message import Message as MimeHeaders
from urllib.parse import unquote

from tollkeeper.dialects.multipart import Field, File
from tollkeeper.errors import BadRequest

MAX_HEADER_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Part:
    """A part begins. `filename` None: a plain field."""

    name: str
    filename: str | None
    content_type: str


Event = Part | bytes | None
"""A part begins, some of its bytes, or it ends."""


def boundary_of(content_type: str) -> bytes:
    """Raises BadRequest where there is none."""
    headers = MimeHeaders()
    headers["content-type"] = content_type
    boundary = headers.get_param("boundary")
    if headers.get_content_type() != "multipart/form-data" or not isinstance(boundary, str) or not boundary:
        raise BadRequest("The request body must be multipart/form-data with a boundary.", param="request_body")
    return boundary.encode("latin-1", "replace")


def fields_of(body: bytes, content_type: str) -> list[Field]:
    """The fields of a whole form, in order. Raises BadRequest."""
    reader = MultipartReader(boundary_of(content_type))
    events = reader.feed(body)
    reader.close()
    fields: list[Field] = []
    pieces: list[bytes] = []
    part: Part | None = None
    for event in events:
        if isinstance(event, Part):
            part, pieces = event, []
        elif event is not None:
            pieces.append(event)
        elif part is not None:
            fields.append((part.name, _value(part, b"".join(pieces))))
    return fields


def _value(part: Part, data: bytes) -> str | File:
    return data.decode("utf-8", "replace") if part.filename is None else File(part.filename, part.content_type, data)


class MultipartReader:
    """`feed` gives the events of what has come so far. Both raise BadRequest for what is no multipart body."""

    def __init__(self, boundary: bytes) -> None:
        self._mark = b"\r\n--" + boundary
        # The first boundary may stand at the very beginning; as if a line ended before it.
        self._rest = b"\r\n"
        self._state = "preamble"

    def feed(self, data: bytes) -> list[Event]:
        self._rest += data
        events: list[Event] = []
        while self._step(events):
            pass
        return events

    def close(self) -> None:
        if self._state != "done":
            raise _broken("it ends before its last boundary")

    def _step(self, events: list[Event]) -> bool:
        """Whether it got on."""
        if self._state == "done":
            self._rest = b""
            return False
        if self._state == "headers":
            return self._headers(events)
        return self._body(events)

    def _body(self, events: list[Event]) -> bool:
        at = self._rest.find(self._mark)
        if at < 0:
            # What could be the beginning of a boundary has to wait.
            keep = len(self._mark) - 1
            self._emit(events, self._rest[:-keep])
            self._rest = self._rest[-keep:]
            return False
        after = self._rest[at + len(self._mark) :]
        end = after.find(b"\r\n")
        if not after.startswith(b"--") and end < 0:
            if len(after) > MAX_HEADER_BYTES:
                raise _broken("a boundary does not end")
            return False
        self._emit(events, self._rest[:at])
        if self._state == "body":
            events.append(None)
        last = after.startswith(b"--")
        self._state = "done" if last else "headers"
        self._rest = b"" if last else after[end + 2 :]
        return True

    def _headers(self, events: list[Event]) -> bool:
        head, found, rest = self._rest.partition(b"\r\n\r\n")
        if not found:
            if len(self._rest) > MAX_HEADER_BYTES:
                raise _broken("a part's headers are too long")
            return False
        events.append(_part(head))
        self._state, self._rest = "body", rest
        return True

    def _emit(self, events: list[Event], data: bytes) -> None:
        if data and self._state == "body":
            events.append(data)


def _part(head: bytes) -> Part:
    fields = dict(line.split(":", 1) for line in head.decode("utf-8", "replace").split("\r\n") if ":" in line)
    named = {name.strip().lower(): value.strip() for name, value in fields.items()}
    disposition = named.get("content-disposition", "")
    name, filename = _param(disposition, "name"), _param(disposition, "filename") or _encoded_filename(disposition)
    if name is None:
        raise _broken("a part has no name")
    return Part(name, filename, named.get("content-type", "application/octet-stream"))


def _param(disposition: str, name: str) -> str | None:
    match = re.search(rf';\s*{name}=(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))', disposition, re.IGNORECASE)
    if match is None:
        return None
    quoted, bare = match.groups()
    return re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare


def _encoded_filename(disposition: str) -> str | None:
    """Forms should not have it, some clients do where a name is not ASCII; and an empty name is one.
    https://www.rfc-editor.org/rfc/rfc5987
    """
    given = _param(disposition, r"filename\*")
    if given is None:
        return _param(disposition, "filename")
    return unquote(given.rpartition("'")[2], errors="replace")


def _broken(why: str) -> BadRequest:
    return BadRequest(f"The request body is not valid multipart/form-data: {why}.", param="request_body")
