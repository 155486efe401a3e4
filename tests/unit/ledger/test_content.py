"""Prompts and answers are kept only where a key or team asks for it: redacted, bounded, with an end of their own."""

from typing import Any

import orjson
import pytest
from tests.support.gateway import model
from tests.support.stores import StillClock
from tests.support.upstream import completion, text_stream
from tests.support.wiring import Said, Wired, wire

from tollkeeper.ledger.content import ContentLog, Terms, Transcript, redacted, terms_of
from tollkeeper.store.objects import MemoryObjects
from tollkeeper.store.sqlite import SqliteStore

SECRET = "mail ann@example.com, card 4111 1111 1111 1111, key sk-abcdefghijklmnop1234"
DAY = 86400


def event(chunk: Any) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def answer(request: Any) -> Said:
    if orjson.loads(request.body).get("stream"):
        return Said(headers={"content-type": "text/event-stream"}, pieces=[*map(event, text_stream("Hel", "lo")), b"data: [DONE]\n\n"])
    return Said(body=completion())


async def gateway() -> Wired:
    prices = {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-5}
    return await wire(answer, model("fast", "openai/gpt-4o-mini", "http://upstream/v1", model_info=prices))


async def detail(wired: Wired, number: int = -1) -> dict[str, Any]:
    entry = (await wired.ledger())[number]
    return dict((await wired.admin("GET", f"/spend/logs/ui/{entry['request_id']}")).json())


async def test_nothing_is_kept_by_default() -> None:
    wired = await gateway()
    for metadata in ({}, {"log_content": False}, {"log_content": "yes"}):
        key = await wired.new_key(metadata=metadata)
        assert (await wired.chat(key, messages=[{"role": "user", "content": SECRET}])).status_code == 200
        row = await detail(wired)
        assert (row["messages"], row["response"]) == ({}, {})
    assert SECRET not in str(await wired.ledger())


async def test_a_key_that_wants_it_finds_what_was_said_without_the_secrets() -> None:
    wired = await gateway()
    key = await wired.new_key(metadata={"log_content": True})
    await wired.chat(key, messages=[{"role": "user", "content": SECRET}])
    row = await detail(wired)
    assert row["messages"] == [{"role": "user", "content": "mail [email], card [number], key [credential]"}]
    assert row["response"]["choices"][0]["message"]["role"] == "assistant"
    assert row["response"]["usage"]["prompt_tokens"] > 0
    assert "ann@example.com" not in str(await wired.ledger())


async def test_a_team_can_want_it_a_key_can_refuse_and_streams_are_kept_too() -> None:
    wired = await gateway()
    await wired.admin("POST", "/team/new", {"team_id": "t", "metadata": {"log_content": {"days": 1, "redact": False}}})
    await wired.chat(await wired.new_key(team_id="t"), stream=True, messages=[{"role": "user", "content": SECRET}])
    row = await detail(wired)
    assert row["messages"][0]["content"] == SECRET
    assert "Hel" in row["response"]["text"]
    await wired.chat(await wired.new_key(team_id="t", metadata={"log_content": False}))
    assert (await detail(wired))["messages"] == {}


async def test_it_has_an_end_and_a_size() -> None:
    clock, objects = StillClock(), MemoryObjects()
    store = SqliteStore(":memory:", clock=clock)
    content = ContentLog(objects, store.ledger, clock)
    await content.keep("small", {"messages": ["x"]}, Transcript(Terms(days=1), body={"a": 1}))
    await content.keep("large", {"messages": ["x" * 5000]}, Transcript(Terms(days=3, max_kb=1), body="y" * 5000))
    kept = await content.read("large")
    assert kept is not None
    assert (kept["request"]["cut_at_kb"], len(kept["request"]["text"]), len(kept["response"]["text"])) == (1, 1024, 1024)
    assert await content.read("small") == {"request": {"messages": ["x"]}, "response": {"a": 1}}
    clock.advance(DAY + 1)
    assert await content.read("small") is None
    clock.advance(DAY)
    assert (await content.sweep(), await objects.size("content/small")) == (1, None)
    assert await content.read("large") is not None
    clock.advance(3 * DAY)
    assert (await content.sweep(), await content.sweep(), await objects.size("content/large")) == (1, 0, None)
    store.close()


def test_a_long_stream_is_not_hoarded() -> None:
    transcript = Transcript(Terms(max_kb=1))
    for _ in range(10_000):
        transcript.hear(b"x" * 100)
    assert sum(map(len, transcript.events)) <= 1024 + 100


@pytest.mark.parametrize(
    ("metadata", "terms"),
    [
        (({}, {}), None),
        (({"log_content": True}, {"log_content": False}), Terms()),
        (({"log_content": False}, {"log_content": True}), None),
        ((None, {"log_content": {"max_kb": 8, "days": 30}}), Terms(30, 8)),
        (({"log_content": {"max_kb": -1, "days": "9", "redact": 0}},), Terms()),
    ],
)
def test_the_keys_word_counts_before_the_teams(metadata: tuple[Any, ...], terms: Terms | None) -> None:
    assert terms_of(*metadata) == terms


def test_redaction_leaves_numbers_of_every_day_alone() -> None:
    text = "In 2026 we sold 12,345 for 99.95 at 10:30; call +49 170 1234567"
    assert redacted({"a": [text, 1_700_000_000]}) == {"a": [text.replace("+49 170 1234567", "[number]"), 1_700_000_000]}
