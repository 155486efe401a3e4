"""AWS event stream framing (`application/vnd.amazon.eventstream`), fed in any split.

One message, all numbers big-endian:

    total length (4) · headers length (4) · CRC-32 of those 8 bytes (4) · headers · payload · CRC-32 of everything before it (4)

A header is `name length (1) · name · type (1) · value`. The prelude has its own checksum so that a wrong length is noticed before
anybody waits for that many bytes.
https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html
https://smithy.io/2.0/aws/amazon-eventstream.html
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tollkeeper.errors import UpstreamProtocolError

HeaderValue = bool | int | bytes | str

_PRELUDE = struct.Struct(">III")
_CHECKSUM = struct.Struct(">I")
_SIZE = struct.Struct(">H")
_OVERHEAD = _PRELUDE.size + _CHECKSUM.size
# The limits of the Smithy specification; a longer message is damage, not data.
_MAX_HEADERS = 128 * 1024
_MAX_MESSAGE = 24 * 1024 * 1024 + _MAX_HEADERS + _OVERHEAD

_BOOLEANS = {0: True, 1: False}
_FIXED = {2: struct.Struct(">b"), 3: struct.Struct(">h"), 4: struct.Struct(">i"), 5: struct.Struct(">q"), 8: struct.Struct(">q")}
_BYTES, _STRING, _UUID = 6, 7, 9
_UUID_SIZE = 16


@dataclass(frozen=True, slots=True)
class Message:
    """Headers by name (`:event-type`, `:exception-type` …; a timestamp is epoch milliseconds) and the payload."""

    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    payload: bytes = b""

    def text(self, name: str) -> str:
        """A header as text; empty when it is absent."""
        return str(self.headers.get(name, ""))


class EventStream:
    """Bytes in, whole messages out. Raises UpstreamProtocolError on a bad checksum, length or header."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yields each message as it is complete; damage raises after the good messages before it were yielded. Exhaust it."""
        self._buffer += data
        while (size := self._size()) and len(self._buffer) >= size:
            message = bytes(self._buffer[:size])
            del self._buffer[:size]
            yield _parse(message)

    def close(self) -> None:
        """Raises UpstreamProtocolError when the stream ended inside a message."""
        if self._buffer:
            raise UpstreamProtocolError("The provider's event stream ended inside a message.")

    def _size(self) -> int:
        """The length of the message at the head of the buffer; 0 while its prelude is incomplete."""
        if len(self._buffer) < _PRELUDE.size:
            return 0
        total, headers, checksum = _PRELUDE.unpack_from(self._buffer)
        if zlib.crc32(self._buffer[:8]) != checksum:
            raise UpstreamProtocolError("The provider's answer is not an AWS event stream (bad prelude checksum).")
        if headers > _MAX_HEADERS or not headers + _OVERHEAD <= total <= _MAX_MESSAGE:
            raise UpstreamProtocolError("The provider's event stream has a message of an impossible length.")
        return int(total)


def _parse(message: bytes) -> Message:
    if zlib.crc32(message[:-4]) != _CHECKSUM.unpack(message[-4:])[0]:
        raise UpstreamProtocolError("The provider's event stream is damaged (bad message checksum).")
    end = _PRELUDE.size + _PRELUDE.unpack_from(message)[1]
    try:
        headers = dict(_headers(message[_PRELUDE.size : end]))
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise UpstreamProtocolError("The provider's event stream has a malformed header.") from error
    return Message(headers, message[end:-4])


def _headers(data: bytes) -> Iterator[tuple[str, HeaderValue]]:
    at = 0
    while at < len(data):
        start = at + 1
        name_end = start + data[at]
        name, kind = data[start:name_end].decode(), data[name_end]
        value, at = _value(data, name_end + 1, kind)
        yield name, value


def _value(data: bytes, at: int, kind: int) -> tuple[HeaderValue, int]:
    """The header value at `at` and where the next header begins."""
    if kind in _BOOLEANS:
        return _BOOLEANS[kind], at
    if kind in _FIXED:
        number: int = _FIXED[kind].unpack_from(data, at)[0]
        return number, at + _FIXED[kind].size
    if kind == _UUID:
        return _slice(data, at, _UUID_SIZE).hex(), at + _UUID_SIZE
    if kind in (_BYTES, _STRING):
        size: int = _SIZE.unpack_from(data, at)[0]
        raw = _slice(data, at + 2, size)
        return (raw if kind == _BYTES else raw.decode()), at + 2 + size
    raise UpstreamProtocolError(f"The provider's event stream has a header of unknown type {kind}.")


def _slice(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise IndexError(at)
    return data[at : at + size]


def encode_message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message with string headers, as a provider sends it: for the scripted upstream and for tests."""
    head = b"".join(_encode_header(name.encode(), value.encode()) for name, value in headers.items())
    lengths = struct.pack(">II", len(head) + len(payload) + _OVERHEAD, len(head))
    body = lengths + _CHECKSUM.pack(zlib.crc32(lengths)) + head + payload
    return body + _CHECKSUM.pack(zlib.crc32(body))


def _encode_header(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + bytes([_STRING]) + _SIZE.pack(len(value)) + value
