"""A text that comes in pieces is one text, wherever it was cut; what replaces it is in the stream once."""

from typing import Any

import orjson
import pytest

from tollkeeper.dialects.base import Chunk
from tollkeeper.dialects.native import framed
from tollkeeper.guardrails.streamed import Whole

SECRET = "write to jo@example.com, please"


def hub(*pieces: str, index: int = 0) -> list[Chunk]:
    events = [
        {"id": "c", "choices": [{"index": index, "delta": {"content": piece}, "logprobs": {"content": [{"token": piece}]}}]}
        for piece in pieces
    ]
    return [Chunk(raw=orjson.dumps(event), has_content=True) for event in events]


def native(*pieces: str) -> list[Chunk]:
    events: list[dict[str, Any]] = [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}} for piece in pieces),
        {"type": "content_block_stop", "index": 0},
    ]
    return [Chunk(event, raw=framed(event["type"], orjson.dumps(event)), has_content=True) for event in events]


def said(chunks: list[Chunk]) -> str:
    """As a client reads it, from the bytes."""
    text = ""
    for chunk in chunks:
        event = orjson.loads(chunk.payload().rpartition(b"data: ")[2] or chunk.payload())
        delta = event.get("delta") or (event.get("choices") or [{"delta": {}}])[0]["delta"]
        text += delta.get("text") or delta.get("content") or ""
    return text


@pytest.mark.parametrize("make", [hub, native])
@pytest.mark.parametrize("cut", range(1, len(SECRET)))
def test_a_text_cut_anywhere_is_read_whole_and_replaced(make: Any, cut: int) -> None:
    chunks = make(SECRET[:cut], SECRET[cut:])
    whole = Whole(chunks)
    assert whole.texts == [SECRET]
    whole.put(["write to [EMAIL], please"])
    assert said(chunks) == "write to [EMAIL], please"
    assert b"example" not in b"".join(chunk.payload() for chunk in chunks)


def test_what_is_not_changed_keeps_its_bytes() -> None:
    chunks = native("a", "b")
    before = [chunk.payload() for chunk in chunks]
    whole = Whole(chunks)
    whole.put(whole.texts)
    assert [chunk.payload() for chunk in chunks] == before


def test_two_answers_and_their_tools_are_texts_of_their_own() -> None:
    tools = [
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}}]}
        for piece in ("ab", "cd")
        for number in (0, 1)
    ]
    chunks = [*hub("one ", index=0), *hub("two ", index=1), *hub("more", index=0), *(Chunk(event, has_content=True) for event in tools)]
    assert Whole(chunks).texts == ["one more", "two ", "abcd", "abcd"]


def test_a_response_says_its_text_in_pieces_and_again_at_the_end() -> None:
    place = {"item_id": "i", "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "r", "output": []}},
        *({"type": "response.output_text.delta", **place, "delta": piece} for piece in ("jo@exa", "mple.com")),
        {"type": "response.output_text.done", **place, "text": "jo@example.com"},
        {
            "type": "response.completed",
            "response": {"output": [{"type": "message", "content": [{"type": "output_text", "text": "jo@example.com"}]}]},
        },
    ]
    chunks = [Chunk(event, raw=framed(event["type"], orjson.dumps(event)), has_content=True) for event in events]
    whole = Whole(chunks)
    assert whole.texts == ["jo@example.com"] * 3
    whole.put(["[EMAIL]"] * 3)
    assert b"example" not in b"".join(chunk.payload() for chunk in chunks)
