from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkeeper.dialects.framing import LineParser, SseParser
from tollkeeper.errors import UpstreamProtocolError

STREAM = (
    "\ufeffdata: one\n\n: a comment\n\nevent: named\ndata: two\n\ndata:three\ndata: and more\nid: 7\nretry: 5\n\n\n\ndata\n\ndata: víer\n\n"
).encode()
EVENTS = [(b"", b"one"), (b"named", b"two"), (b"", b"three\nand more"), (b"", b""), (b"", "víer".encode())]


def parse(pieces: list[bytes]) -> list[tuple[bytes, bytes]]:
    parser = SseParser()
    return [event for piece in pieces for event in parser.feed(piece)] + parser.close()


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 1_000])
def test_events_are_found_whatever_the_line_ends_and_the_split(line_end: bytes, size: int) -> None:
    stream = STREAM.replace(b"\n", line_end)
    assert parse([stream[start : start + size] for start in range(0, len(stream), size)]) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=6), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_split_gives_the_same_events(cuts: list[int], line_end: bytes) -> None:
    stream = STREAM.replace(b"\n", line_end)
    places = [0, *sorted(cuts), len(stream)]
    assert parse([stream[a:b] for a, b in pairwise(places)]) == EVENTS


def test_an_event_is_delivered_as_soon_as_its_blank_line_is_there() -> None:
    parser = SseParser()
    assert parser.feed(b"data: now\r\n\r") == [(b"", b"now")]
    assert parser.feed(b"\ndata: then\n\n") == [(b"", b"then")]


def test_the_end_of_the_stream_ends_the_last_event() -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\n\ndata: b") == [(b"", b"a")]
    assert parser.close() == [(b"", b"b")]
    assert parser.close() == []


def test_an_empty_stream_has_no_events() -> None:
    assert parse([b"", b"\xef", b""]) == []


def test_a_byte_order_mark_cut_in_two_is_still_one() -> None:
    assert parse([b"\xef\xbb", b"\xbfdata: x\n\n"]) == [(b"", b"x")]


def test_an_event_without_end_is_refused_before_it_fills_the_memory() -> None:
    parser = SseParser(limit=1_000)
    for _ in range(9):
        assert parser.feed(b"data: " + b"x" * 100) == []
    with pytest.raises(UpstreamProtocolError, match="1000 bytes"):
        parser.feed(b"x" * 100)


def test_the_limit_is_per_event() -> None:
    parser = SseParser(limit=100)
    assert len([event for _ in range(50) for event in parser.feed(b"data: " + b"x" * 50 + b"\n\n")]) == 50


@pytest.mark.parametrize("size", [1, 4, 100])
def test_lines_are_found_in_any_split(size: int) -> None:
    stream = b'{"a":1}\r\n\n{"b":2}\n{"c":3}'
    parser = LineParser()
    lines = [line for start in range(0, len(stream), size) for line in parser.feed(stream[start : start + size])]
    assert lines + parser.close() == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


def test_a_line_without_end_is_refused() -> None:
    parser = LineParser(limit=10)
    with pytest.raises(UpstreamProtocolError):
        parser.feed(b"x" * 11)
