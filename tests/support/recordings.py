"""Real provider exchanges, and an independent reading of them: what a person would say the answer was, without any of our code.

The recordings are third-party data beside the repository; suites skip when they are absent.
"""

import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(os.environ.get("TOLLKEEPER_TEST_RECORDINGS", Path(__file__).parents[3] / "shared" / "recordings"))

WRAPPED_BY_RECORDER = {"openrouter/chat/err429-json--pydantic-ai-41088f"}


@dataclass(frozen=True)
class Recording:
    name: str
    dialect: str
    model: str
    kind: str
    tags: tuple[str, ...]
    request: Any = field(repr=False)
    status: int
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def provider(self) -> str:
        return self.name.split("/")[0]


@dataclass
class Answer:
    """One choice, as the caller should understand it."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tools: list[tuple[str, Any]] = field(default_factory=list)
    finish: str | None = None


def recordings(dialect: str, *, status: int | None = None, kind: str | None = None, failed: bool = False) -> list[Any]:
    """pytest parameters; one that skips when there is no data."""
    found = [
        pytest.param(recording, id=recording.name)
        for recording in _all(dialect)
        if (recording.status >= 300) == failed
        and (status is None or recording.status == status)
        and (kind is None or recording.kind == kind)
    ]
    return found or [pytest.param(None, marks=pytest.mark.skip(reason=f"no recordings of {dialect} at ../shared/recordings"))]


def _all(dialect: str) -> list[Recording]:
    return [recording for recording in _everything() if recording.dialect == dialect]


@cache
def _everything() -> tuple[Recording, ...]:
    paths = sorted(ROOT.glob("*/*/*.json"))
    return tuple(recording for path in paths if (recording := _load(path)).name not in WRAPPED_BY_RECORDER)


def _load(path: Path) -> Recording:
    data = json.loads(path.read_text("utf-8"))
    response = data["response"]
    return Recording(
        name=str(path.relative_to(ROOT).with_suffix("")),
        dialect=data["dialect"],
        model=data["model"],
        kind=data["response_kind"],
        tags=tuple(data["tags"]),
        request=data["request"].get("body"),
        status=response["status"],
        headers={key.lower(): value for key, value in response["headers"].items()},
        body=(response.get("body") or "").encode(),
    )


def splits(body: bytes, *, everywhere_below: int = 3_000, places: int = 20) -> Iterator[list[bytes]]:
    """The body whole; cut in two at every place if it is short, else at seeded random places; and in many small pieces."""
    yield [body]
    cuts: Any = (
        range(1, len(body)) if len(body) <= everywhere_below else sorted(random.Random(len(body)).sample(range(1, len(body)), places))
    )
    for cut in cuts:
        yield [body[:cut], body[cut:]]
    yield [body[start : start + 7] for start in range(0, len(body), 7)]


def sse_data(body: bytes) -> list[tuple[str, Any]]:
    """(event name, JSON) of every event that has JSON."""
    events = []
    for block in body.decode("utf-8").replace("\r\n", "\n").split("\n\n"):
        name, data = "", []
        for line in block.split("\n"):
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                data.append(line[5:].strip())
        if data and data != ["[DONE]"]:
            events.append((name, json.loads("\n".join(data))))
    return events


def hub_answers(data: dict[str, Any]) -> dict[int, Answer]:
    """What a chat.completion of ours says, per choice."""
    return {choice["index"]: _said(choice["message"], choice["finish_reason"]) for choice in data["choices"]}


def hub_stream_answers(chunks: list[dict[str, Any]]) -> dict[int, Answer]:
    """What the chunks we send add up to, as a client adds them."""
    answers: dict[int, Answer] = {}
    calls: dict[tuple[int, int], dict[str, str]] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            answer = answers.setdefault(choice["index"], Answer())
            delta = choice["delta"]
            answer.text += delta.get("content") or ""
            answer.reasoning += delta.get("reasoning_content") or ""
            answer.refusal += delta.get("refusal") or ""
            for call in delta.get("tool_calls") or []:
                whole = calls.setdefault((choice["index"], call["index"]), {"id": "", "name": "", "arguments": ""})
                whole["id"] += call.get("id") or ""
                whole["name"] += call["function"].get("name") or ""
                whole["arguments"] += call["function"].get("arguments") or ""
            answer.finish = answer.finish or choice.get("finish_reason")
    for (index, _), call in sorted(calls.items()):
        assert call["id"], "a tool call without id"
        answers[index].tools.append((call["name"], arguments(call["arguments"])))
    return answers


def _said(message: dict[str, Any], finish: str) -> Answer:
    return Answer(
        text=message.get("content") or "",
        reasoning=message.get("reasoning_content") or "",
        refusal=message.get("refusal") or "",
        tools=[(call["function"]["name"], arguments(call["function"]["arguments"])) for call in message.get("tool_calls") or []],
        finish=finish,
    )


def arguments(text: Any) -> Any:
    """Tool arguments as a value; those that the output limit cut stay text."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text
