"""The framing of AWS event streams: every header type, any split, every kind of damage."""

import struct
import zlib

import pytest

from tollkeeper.dialects.eventstream import EventStream, Message, encode_message
from tollkeeper.errors import UpstreamProtocolError


def framed(head: bytes, payload: bytes = b"") -> bytes:
    lengths = struct.pack(">II", len(head) + len(payload) + 16, len(head))
    body = lengths + struct.pack(">I", zlib.crc32(lengths)) + head + payload
    return body + struct.pack(">I", zlib.crc32(body))


def header(name: str, kind: int, value: bytes) -> bytes:
    return bytes([len(name)]) + name.encode() + bytes([kind]) + value


def read(data: bytes) -> list[Message]:
    stream = EventStream()
    messages = list(stream.feed(data))
    stream.close()
    return messages


# The test vectors of the AWS SDKs (https://github.com/awslabs/aws-c-event-stream, tests/test_cases): nothing, and a payload only.
EMPTY = bytes.fromhex("00000010 00000000 05c248eb 7d98c8ff")
PAYLOAD = bytes.fromhex("0000001d 00000000 fd528c5a") + b"{'foo':'bar'}" + bytes.fromhex("c3653936")


def test_published_vectors() -> None:
    assert read(EMPTY) == [Message({}, b"")]
    assert read(PAYLOAD) == [Message({}, b"{'foo':'bar'}")]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (0, b"", True),
        (1, b"", False),
        (2, b"\xff", -1),
        (3, struct.pack(">h", -2), -2),
        (4, struct.pack(">i", 40_972), 40_972),
        (5, struct.pack(">q", 2**40), 2**40),
        (6, b"\x00\x03\x00\x01\x02", b"\x00\x01\x02"),
        (7, b"\x00\x05hall\xc3", None),
        (7, b"\x00\x05hall!", "hall!"),
        (8, struct.pack(">q", 1_700_000_000_000), 1_700_000_000_000),
        (9, bytes(range(16)), bytes(range(16)).hex()),
    ],
)
def test_header_types(kind: int, value: bytes, expected: object) -> None:
    data = framed(header("name", kind, value) + header("after", 7, b"\x00\x02ok"), b"body")
    if expected is None:
        with pytest.raises(UpstreamProtocolError, match="malformed header"):
            read(data)
        return
    assert read(data) == [Message({"name": expected, "after": "ok"}, b"body")]


def test_what_is_encoded_is_read_in_every_split() -> None:
    data = encode_message({":event-type": "chunk", "x": "ü"}, b"one") + encode_message({}, b"") + encode_message({"y": ""}, b"three")
    whole = read(data)
    assert [message.payload for message in whole] == [b"one", b"", b"three"]
    assert whole[0].text("x") == "ü"
    assert whole[1].text(":event-type") == ""
    for cut in range(len(data)):
        stream = EventStream()
        assert [*stream.feed(data[:cut]), *stream.feed(data[cut:])] == whole
        stream.close()


def test_every_flipped_bit_is_noticed() -> None:
    data = encode_message({"c": "d"}, b"second")
    for place in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(UpstreamProtocolError):
            read(bytes(damaged))


def test_good_messages_before_damage_are_given_out() -> None:
    good, bad = encode_message({}, b"good"), bytearray(encode_message({}, b"bad"))
    bad[-1] ^= 1
    messages = EventStream().feed(good + bytes(bad))
    assert next(messages).payload == b"good"
    with pytest.raises(UpstreamProtocolError, match="message checksum"):
        next(messages)


def test_a_stream_that_ends_inside_a_message_is_an_error() -> None:
    stream = EventStream()
    assert list(stream.feed(encode_message({}, b"x")[:-1])) == []
    with pytest.raises(UpstreamProtocolError, match="inside a message"):
        stream.close()


@pytest.mark.parametrize("body", [b'{"message":"no"}', b"<html><body>Bad gateway</body></html>", b"\x00" * 40])
def test_what_is_no_event_stream_is_told_at_once(body: bytes) -> None:
    with pytest.raises(UpstreamProtocolError, match="not an AWS event stream"):
        list(EventStream().feed(body))


@pytest.mark.parametrize(("total", "headers"), [(2**31, 0), (15, 0), (100, 200), (2**20, 200_000)])
def test_impossible_lengths_are_refused_before_memory_is_taken(total: int, headers: int) -> None:
    lengths = struct.pack(">II", total, headers)
    with pytest.raises(UpstreamProtocolError, match="impossible length"):
        list(EventStream().feed(lengths + struct.pack(">I", zlib.crc32(lengths))))


@pytest.mark.parametrize("head", [header("n", 12, b""), header("n", 4, b"\x00"), header("n", 7, b"\x00\x09short"), b"\x09n"])
def test_malformed_headers_are_errors(head: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        read(framed(head))
