"""What providers might send tomorrow: every recorded stream and answer cut anywhere, with events nobody knows, fields that are new, null
or gone. A decoder may refuse it with a typed error; it may not crash, say what is not OpenAI's, or call an answer finished that was cut.
"""

import base64
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.support.recordings import ROOT
from tests.support.wire import decode_stream, said_bytes

from tollkeeper.dialects import registry
from tollkeeper.dialects.base import Target
from tollkeeper.dialects.eventstream import EventStream, encode_message
from tollkeeper.errors import UpstreamError

Json = dict[str, Any]
DIALECTS = {
    "openai.chat": "openai_chat",
    "openai.responses": "openai_responses",
    "anthropic.messages": "anthropic_messages",
    "anthropic.messages(vertex)": "vertex_anthropic",
    "gemini": "gemini_generate",
    "bedrock.converse": "bedrock_converse",
    "bedrock.invoke/anthropic": "bedrock_invoke",
    "bedrock.invoke/openai": "bedrock_family",
    "bedrock.invoke/mistral": "bedrock_family",
    "cohere.v2": "cohere_v2",
    "ollama.native": "ollama_chat",
}
UNKNOWN = {"type": "brand_new.event", "object": "brand.new", "news": [1, {"a": None}]}


@dataclass(frozen=True)
class Case:
    name: str
    dialect: str
    model: str
    kind: str
    body: bytes

    def target(self) -> Target:
        return Target(self.model, "https://up.example", "alias", provider=self.name.split("/")[0], created=1_700_000_000)


@cache
def cases(*, streamed: bool) -> list[Case]:
    found = []
    for path in sorted(ROOT.glob("*/*/*.json")):
        data = json.loads(path.read_text("utf-8"))
        answer, kind = data["response"], data["response_kind"]
        if answer["status"] != 200 or data["dialect"] not in DIALECTS or (kind != "json") != streamed:
            continue
        body = base64.b64decode(answer["body_base64"]) if answer.get("body_base64") else (answer.get("body") or "").encode()
        if 0 < len(body) < 60_000:
            name = str(path.relative_to(ROOT).with_suffix(""))
            found.append(Case(name, DIALECTS[data["dialect"]], data["model"], kind, body))
    return found


pytestmark = pytest.mark.skipif(not ROOT.exists(), reason="no recordings at ../shared/recordings")
EXAMPLES = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def pick(*, streamed: bool) -> st.SearchStrategy[Case]:
    return st.deferred(lambda: st.sampled_from(cases(streamed=streamed)))


# What may happen to a tree


def nodes(tree: Any) -> list[Any]:
    """Every object and list but those of `moderation`, which is OpenAI's own to the last leaf and passes as it came."""
    inner = (
        [item for name, item in tree.items() if name != "moderation"] if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    )
    return [tree, *(node for item in inner for node in nodes(item))] if isinstance(tree, dict | list) else []


def changed(tree: Any, dice: random.Random) -> Any:
    """One thing is other than it was: a field new, null, gone, or of another type; a list with a stranger in it."""
    tree = json.loads(json.dumps(tree))
    node = dice.choice(nodes(tree) or [{}])
    if isinstance(node, list):
        node.insert(dice.randrange(len(node) + 1), dice.choice([None, "x", 5, {}, {"type": "brand_new"}, []]))
    elif isinstance(node, dict):
        name = dice.choice([*sorted(node.keys() - {"moderation"}), "brand_new_field"])
        act = dice.randrange(5)
        if act == 0:
            node.pop(name, None)
        else:
            node[name] = (None, None, UNKNOWN, dice.choice(["", "x", 0, -1, 1.5, True, [], {}, [None], {"a": 1}]))[act - 1]
    return tree


def documents(case: Case, change: Callable[[int, Any], list[Any]]) -> bytes:
    """The stream with each of its JSON documents replaced by those that `change` makes of it."""
    if case.kind == "eventstream":
        made = b""
        for place, message in enumerate(EventStream().feed(case.body)):
            headers = {name: str(value) for name, value in message.headers.items()}
            tree = json.loads(message.payload or b"{}")
            wrapped = isinstance(tree, dict) and set(tree) - {"p"} == {"bytes"}
            inner = json.loads(base64.b64decode(tree["bytes"])) if wrapped else tree
            for new in change(place, inner):
                payload = json.dumps(new).encode()
                payload = json.dumps({"bytes": base64.b64encode(payload).decode()}).encode() if wrapped else payload
                stranger = {":event-type": "brandNewEvent"} if new is UNKNOWN and not wrapped else {}
                made += encode_message({**headers, **stranger}, payload)
        return made
    before, mark = (b"", b"\n") if case.kind == "ndjson" else (b"data:", b"\n")
    lines = []
    for place, line in enumerate(case.body.replace(b"\r\n", b"\n").split(mark)):
        text = line.removeprefix(before).strip() if line.startswith(before) else b""
        tree = parsed(text)
        news = [text] if tree is None else [json.dumps(new).encode() for new in change(place, tree)]
        lines += [before + new + (mark if len(news) > 1 and before else b"") for new in news] if tree is not None else [line]
    return mark.join(lines)


def parsed(text: bytes) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


# What must hold


def judged(case: Case, body: bytes, pieces: int = 1) -> tuple[list[Json], Exception | None]:
    """The chunks of a stream, each OpenAI's, and the error it ended in, which is one of ours; without one there is a finish."""
    size = max(1, -(-len(body) // pieces))
    parts = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    chunks, error = decode_stream(parts, registry.get(case.dialect).stream_decoder(case.target()))
    assert error is None or isinstance(error, UpstreamError)
    data = [json.loads(chunk.payload()) for chunk in chunks]
    for chunk in data:
        assert chunk["model"] == "alias"
        if '"custom"' not in json.dumps(chunk):  # OpenAI streams custom tools in a shape its own package has no type for
            ChatCompletionChunk.model_validate(chunk, strict=True)
    assert sum(chunk.text_bytes for chunk in chunks) >= said_bytes(data), "a stream cut here would be charged for less than it said"
    finishes = [choice["finish_reason"] for chunk in data for choice in chunk["choices"] if choice["finish_reason"]]
    assert error is not None or finishes
    return data, error


@EXAMPLES
@given(pick(streamed=True), st.integers(0, 10**6), st.integers(1, 9))
def test_a_stream_that_is_cut_is_never_finished(case: Case, at: int, pieces: int) -> None:
    whole, end = judged(case, case.body)
    cut, error = judged(case, case.body[: at % (len(case.body) + 1)], pieces)
    if error is None:
        assert said(cut) == said(whole), "what was called finished lacks something"
    elif end is None:
        assert said(whole).startswith(said(cut))


def said(chunks: list[Json]) -> str:
    """Everything a caller reads, put together."""
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"] if choice["index"] == 0]
    return "".join(str(delta.get(name) or "") for delta in deltas for name in ("content", "refusal"))


@EXAMPLES
@given(pick(streamed=True), st.integers(0, 10**6))
def test_events_that_nobody_knows_change_nothing(case: Case, seed: int) -> None:
    if case.kind == "array" or case.body.lstrip()[:1] == b"[":
        return
    dice = random.Random(seed)
    body = documents(case, lambda _, tree: [tree, UNKNOWN] if dice.random() < 0.2 and is_open(tree) else [tree])
    assert said(judged(case, body)[0]) == said(judged(case, case.body)[0])


def is_open(tree: Any) -> bool:
    """Not an error, after which nothing counts."""
    return isinstance(tree, dict) and not tree.get("error")


@EXAMPLES
@given(pick(streamed=True), st.integers(0, 10**6), st.integers(1, 5))
def test_a_stream_with_strange_fields_is_read_or_refused(case: Case, seed: int, pieces: int) -> None:
    dice = random.Random(seed)
    judged(case, documents(case, lambda _, tree: [changed(tree, dice) if dice.random() < 0.3 else tree]), pieces)


@EXAMPLES
@given(pick(streamed=False), st.integers(0, 10**6), st.integers(1, 6))
def test_an_answer_with_strange_fields_is_read_or_refused(case: Case, seed: int, times: int) -> None:
    dice, tree = random.Random(seed), json.loads(case.body)
    for _ in range(times):
        tree = changed(tree, dice)
    read(case, json.dumps(tree).encode())


@EXAMPLES
@given(pick(streamed=False), st.integers(0, 10**6))
def test_an_answer_that_is_cut_is_refused(case: Case, at: int) -> None:
    body = case.body.rstrip()
    answered = read(case, body[: at % len(body)])
    assert not answered


def read(case: Case, body: bytes) -> bool:
    """Whether it was an answer."""
    try:
        answer = registry.get(case.dialect).decode(body, case.target())
    except UpstreamError as error:
        assert error.message
        return False
    ChatCompletion.model_validate(answer, strict=True)
    assert answer["model"] == "alias"
    return True


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_every_recording_survives_being_changed(seed: int) -> None:
    dice = random.Random(seed)
    for case in cases(streamed=True):
        judged(case, documents(case, partial(lambda dice, _, tree: [changed(tree, dice) if dice.random() < 0.3 else tree], dice)))
    for case in cases(streamed=False):
        tree = json.loads(case.body)
        for _ in range(12):
            read(case, json.dumps(changed(tree, dice)).encode())
