"""Streams repeat themselves: two content chunks differ in one JSON string (and, at some providers, in a string of padding). A template
learned from one chunk turns the next one into what we send without decoding or encoding JSON.

    prefix  │ the text │ middle                         │ padding │ suffix
    {…"delta":{"content":" Hello"},…,"usage":null,"obfuscation":"Xy3"}

Why the result is the same as the slow way's: `learn` puts a marker in place of the text, parses again, and goes on only if the marker
sits exactly where the decoder reads the text and nothing else changed. It then renders that marked event the slow way and cuts the
output at the marker. `apply` requires every byte outside the two holes to be equal and the text to be one JSON string (it is parsed as
one), so parsing the new event would give the marked tree with this string in it; and the decoder treats non-empty texts alike.
"""

import re
from collections.abc import Callable
from typing import Any

import orjson

MARKER = "\u2039tollkeeper-hole\u203a"
_MARKER_BYTES = MARKER.encode()
_STRING_REST = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*"')

Render = Callable[[Any], bytes | None]
"""A parsed event → the bytes sent for it, or None if there are none (or more than one message). May change its argument."""


class Template:
    """One learned event shape."""

    __slots__ = ("_middle", "_parts", "_prefix", "_start", "_suffix")

    def __init__(self, prefix: bytes, middle: bytes | None, suffix: bytes, parts: list[bytes]) -> None:
        self._prefix = prefix
        self._start = len(prefix)
        self._middle = middle
        self._suffix = suffix
        self._parts = parts

    def apply(self, event: bytes) -> tuple[bytes, int] | None:
        """(what the slow way would send for this event, UTF-8 bytes of its text), or None if it is not of this shape."""
        if not (event.startswith(self._prefix) and event.endswith(self._suffix)):
            return None
        end = len(event) - len(self._suffix)
        if self._middle is not None:
            quote = event.rfind(b'"', self._start, end)
            padding = event[quote + 1 : end]
            end = quote + 1 - len(self._middle)
            if end < self._start or (padding and not padding.isalnum()) or not event.startswith(self._middle, end):
                return None
        if end <= self._start:
            return None
        text = event[self._start : end]
        try:
            said: str = orjson.loads(b'"%b"' % text)
        except orjson.JSONDecodeError:
            return None
        return text.join(self._parts), len(said) if said.isascii() else len(said.encode())


def learn(event: bytes, key: str, padding_key: str | None, put: Callable[[Any, str], None], render: Render) -> Template | None:
    """A template from one event, or None if it cannot be proved right.

    `key` is the JSON key whose non-empty string value varies, `put` writes a text to that place in a parsed event. `padding_key` names a
    top-level string that the renderer ignores.
    """
    if _MARKER_BYTES in event:
        return None
    for found in re.finditer(rb'"%b"\s*:\s*"' % re.escape(key.encode()), event):
        start = found.end()
        closing = _STRING_REST.match(event, start)
        if closing is None:
            continue
        end = closing.end() - 1
        marked = orjson.loads(event)
        put(marked, MARKER)
        if _parse(event[:start] + _MARKER_BYTES + event[end:]) != marked:
            continue
        middle, suffix = _split_padding(event[end:], padding_key)
        if middle is not None and _parse(event[:end] + middle + b"0" + suffix) != {**orjson.loads(event), padding_key: "0"}:
            middle, suffix = None, event[end:]
        rendered = render(marked)
        if rendered is None or _MARKER_BYTES not in rendered:
            return None
        return Template(event[:start], middle, suffix, rendered.split(_MARKER_BYTES))
    return None


def _split_padding(tail: bytes, padding_key: str | None) -> tuple[bytes | None, bytes]:
    found = re.search(rb'"%b"\s*:\s*"([A-Za-z0-9]*)"' % re.escape(padding_key.encode()), tail) if padding_key else None
    return (tail[: found.start(1)], tail[found.end(1) :]) if found else (None, tail)


def _parse(event: bytes) -> Any:
    try:
        return orjson.loads(event)
    except orjson.JSONDecodeError:
        return None
