"""Forms fed whole and cut at every byte."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkeeper.dialects.multipart import Field, File, compose
from tollkeeper.edge.multipart import Event, MultipartReader, Part, boundary_of, fields_of
from tollkeeper.errors import BadRequest

FIELDS = {"purpose": "batch", "expires_after[seconds]": "3600", "empty": ""}
CONTENT = b'\r\n--nearly a boundary\r\n{"a": 1}\n\r\n--'


def form() -> tuple[bytes, bytes]:
    """As httpx, and so the openai client, sends one."""
    request = httpx.Request("POST", "http://x", data=FIELDS, files={"file": ('na"me.jsonl', CONTENT, "text/plain")})
    return boundary_of(request.headers["content-type"]), request.read()


def gathered(events: list[Event]) -> dict[str, tuple[Part, bytes]]:
    found: dict[str, tuple[Part, bytes]] = {}
    part, data = None, b""
    for event in events:
        if isinstance(event, Part):
            part, data = event, b""
        elif event is None:
            assert part is not None
            found[part.name] = (part, data)
        else:
            data += event
    return found


def test_a_form_is_read_however_it_is_cut() -> None:
    boundary, body = form()
    for cut in range(len(body) + 1):
        reader = MultipartReader(boundary)
        found = gathered(reader.feed(body[:cut]) + reader.feed(body[cut:]))
        reader.close()
        assert {name: data.decode() for name, (_, data) in found.items() if name != "file"} == FIELDS
        part, data = found["file"]
        assert (part.filename, part.content_type, data) == ("na%22me.jsonl", "text/plain", CONTENT)


def test_a_quoted_file_name_is_unquoted() -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a\\"b.txt"\r\n\r\n\r\n--b--'
    assert MultipartReader(b"b").feed(head)[0] == Part("file", 'a"b.txt', "application/octet-stream")


def test_a_form_byte_by_byte() -> None:
    boundary, body = form()
    reader = MultipartReader(boundary)
    events = [event for at in range(len(body)) for event in reader.feed(body[at : at + 1])]
    assert gathered(events)["file"][1] == CONTENT


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "ends before"),
        (b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx', "ends before"),
        (b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--", "no name"),
        (b"--b\r\n" + b"x" * 20_000, "too long"),
        (b"--b" + b"x" * 20_000, "does not end"),
    ],
)
def test_what_is_no_form_is_said(body: bytes, said: str) -> None:
    reader = MultipartReader(b"b")
    with pytest.raises(BadRequest, match=said):
        reader.feed(body)
        reader.close()


@pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/form-data", 'multipart/form-data; boundary=""'])
def test_a_body_without_a_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(BadRequest, match="boundary"):
        boundary_of(content_type)


NAMES = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=20)


@given(st.lists(st.tuples(NAMES, st.text(max_size=50) | st.builds(File, NAMES, st.just("audio/x"), st.binary(max_size=200))), max_size=6))
def test_what_is_composed_is_read_as_it_was(fields: list[Field]) -> None:
    body, content_type = compose(fields)
    assert fields_of(body, content_type) == fields


def test_a_name_cannot_end_its_header() -> None:
    body, content_type = compose([('a"; filename="x\r\nX-Evil: 1', "v"), ("f", File('n"\r\nX-Evil: 1', "text/plain\r\nX-Evil: 1", b"d"))])
    assert b"\r\nX-Evil" not in body
    assert [name for name, _ in fields_of(body, content_type)] == ['a"; filename="x  X-Evil: 1', "f"]
