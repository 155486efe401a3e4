"""Counts that no provider means: they become no money, and break no books."""

from typing import Any

import orjson
import pytest

from tollkeeper.dialects.base import Target
from tollkeeper.dialects.openai_chat import OpenAIChat
from tollkeeper.dialects.usage import count_of, usage_from_hub

TARGET = Target(model="m", alias="m", base_url="http://x", created=1_700_000_000)


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (9, 9),
        (9.0, 9),
        ("9", 9),
        (None, 0),
        (-9, 0),
        ("nine", 0),
        (10**30, 0),
        (1e300, 0),
        (float("inf"), 0),
        ("9" * 40, 0),
        ([], 0),
        ({}, 0),
    ],
)
def test_a_count(given: Any, count: int) -> None:
    assert count_of(given) == count
    assert usage_from_hub({"prompt_tokens": given, "completion_tokens": 2}).input == count


def test_a_stream_with_them_can_be_sent_on() -> None:
    decoder = OpenAIChat().stream_decoder(TARGET)
    said = b'data: {"created": 1e30, "choices": [{"index": 0, "delta": {"content": "x"}}]}\n\n'
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 1000000000000000000000, "completion_tokens": 2}}\n\n'
    chunks = [*decoder.feed(b"data: null\n\n" + said + usage + b"data: [DONE]\n\n"), *decoder.close()]
    events = [orjson.loads(chunk.payload()) for chunk in chunks]
    assert events[0]["created"] == TARGET.created
    assert events[-1]["usage"] == {"prompt_tokens": 0, "completion_tokens": 2, "total_tokens": 2}
