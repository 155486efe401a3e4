"""JSONL, fed in any split, and what one line of a batch is. Sans I/O."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

MAX_LINE_BYTES = 4 * 2**20
"""A request larger than this could not be sent through the gateway by itself either."""


@dataclass(frozen=True, slots=True)
class RawLine:
    """`number` counts from 1 and every line of the file, also empty ones; `end` is where the next line begins, in bytes."""

    number: int
    data: bytes
    end: int


@dataclass(frozen=True, slots=True)
class Line:
    """One request of a batch."""

    number: int
    custom_id: str
    body: dict[str, Any]
    size: int


@dataclass(frozen=True, slots=True)
class LineFault:
    """What is wrong with one line, as the API shows it in `errors.data`."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None

    def shown(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "param": self.param, "line": self.line}


class LineTooLong(Exception):
    """`number` is the line's."""

    def __init__(self, number: int) -> None:
        super().__init__(str(number))
        self.number = number


class LineSplitter:
    """Begins at a place that an earlier `RawLine.end` named. Empty lines are passed over, but counted."""

    def __init__(self, number: int = 0, offset: int = 0, *, most: int = MAX_LINE_BYTES) -> None:
        """`number`: of the last line before `offset`; `most`: bytes of a line."""
        self._number = number
        self._most = most
        self._offset = offset
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[RawLine]:
        """Raises LineTooLong."""
        self._rest += data
        start = 0
        while (end := self._rest.find(b"\n", start)) >= 0:
            yield from self._line(self._rest[start : end + 1])
            start = end + 1
        self._rest = self._rest[start:]
        if len(self._rest) > self._most:
            raise LineTooLong(self._number + 1)

    def close(self) -> Iterator[RawLine]:
        """The last line may lack its end."""
        if self._rest:
            yield from self._line(self._rest)
            self._rest = b""

    def _line(self, data: bytes) -> Iterator[RawLine]:
        self._number += 1
        self._offset += len(data)
        if len(data) > self._most + 1:
            raise LineTooLong(self._number)
        if data.strip():
            yield RawLine(self._number, data, self._offset)


def line_of(raw: RawLine, endpoint: str) -> Line | LineFault:
    """One line as a request to `endpoint`, or the first thing that is wrong with it."""
    number = raw.number
    try:
        row = orjson.loads(raw.data)
    except orjson.JSONDecodeError as error:
        return LineFault("invalid_json_line", f"Line {number} is not valid JSON: {error.msg}.", number)
    if not isinstance(row, dict):
        return LineFault("invalid_json_line", f"Line {number} is not a JSON object.", number)
    custom_id = row.get("custom_id")
    if not isinstance(custom_id, str) or not custom_id:
        return LineFault("missing_required_parameter", f"Line {number} has no custom_id.", number, "custom_id")
    if row.get("method", "POST") != "POST":
        return LineFault("invalid_method", f"Line {number}: the method must be POST.", number, "method")
    if row.get("url") != endpoint:
        message = f"Line {number}: the url {str(row.get('url'))[:100]!r} is not the endpoint of the batch, {endpoint}."
        return LineFault("mismatched_endpoint", message, number, "url")
    body = row.get("body")
    if not isinstance(body, dict):
        return LineFault("missing_required_parameter", f"Line {number} has no body.", number, "body")
    if not isinstance(body.get("model"), str) or not body["model"]:
        return LineFault("missing_required_parameter", f"Line {number} has no model in its body.", number, "model")
    if body.get("stream"):
        return LineFault("unsupported_parameter", f"Line {number}: a batch has no stream.", number, "stream")
    return Line(number, custom_id, body, len(raw.data))
