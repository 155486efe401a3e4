"""Tokens that a provider stated in a recorded answer, read without any of our code, for every dialect."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support.recordings import ROOT, WRAPPED_BY_RECORDER

_USAGE = ("usage", "usageMetadata")
_INPUT = ("prompt_tokens", "input_tokens", "inputTokens", "promptTokenCount", "prompt_eval_count")
_CACHES = ("cache_creation_input_tokens", "cache_read_input_tokens", "cacheReadInputTokens", "cacheWriteInputTokens")
_OUTPUT = ("completion_tokens", "output_tokens", "outputTokens", "eval_count")
_SAID = {"content", "text", "reasoning", "reasoning_content", "arguments", "thinking", "partial_json", "refusal", "tool_plan", "name"}
_SILENT = {"usage", "usageMetadata", "logprobs", "prompt", "id", "model", "error"}


@dataclass(frozen=True)
class Stated:
    """One recorded exchange. `said` are the bytes of the answer's text, reasoning and tool arguments, `calls` its tool calls."""

    name: str
    provider: str
    model: str
    tags: tuple[str, ...]
    request: dict[str, Any]
    input: int
    output: int
    reasoning: int
    said: int
    calls: int


def stated_usages() -> list[Any]:
    """pytest parameters; one that skips when there is no data."""
    found = [pytest.param(each, id=each.name) for each in _all()]
    return found or [pytest.param(None, marks=pytest.mark.skip(reason="no recordings at ../shared/recordings"))]


def _all() -> Iterator[Stated]:
    for path in sorted(ROOT.glob("*/*/*.json")):
        name = str(path.relative_to(ROOT).with_suffix(""))
        data = json.loads(path.read_text("utf-8"))
        request, response = data["request"].get("body"), data["response"]
        if response["status"] >= 300 or not isinstance(request, dict) or not response.get("body") or name in WRAPPED_BY_RECORDER:
            continue
        events = list(_events(response["body"]))
        numbers = [_tokens(usage) for event in events for usage in _usages(event)]
        if not numbers:
            continue
        total = tuple(max(column) for column in zip(*numbers, strict=True))
        said = sum(_bytes_said(event) for event in events)
        calls = _calls(events)
        yield Stated(name, data["provider"], data["model"] or "", tuple(data["tags"]), request, *total, said, calls)


def _events(body: str) -> Iterator[Any]:
    try:
        yield json.loads(body)
    except ValueError:
        for line in body.splitlines():
            text = line.strip().removeprefix("data:").strip()
            if text.startswith("{"):
                yield json.loads(text)


def _usages(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "prompt_eval_count" in value or "eval_count" in value:
            yield value
        for name, each in value.items():
            if name in _USAGE and isinstance(each, dict):
                yield each
            yield from _usages(each)
    elif isinstance(value, list):
        for each in value:
            yield from _usages(each)


def _tokens(usage: dict[str, Any]) -> tuple[int, int, int]:
    """Input with its caches, output with its reasoning, reasoning."""

    def count(*names: str) -> int:
        return max(int(usage.get(name) or 0) for name in names)

    nested = usage.get("tokens") if isinstance(usage.get("tokens"), dict) else {}
    assert isinstance(nested, dict)
    billed = max(count(*_INPUT), int(nested.get("input_tokens") or 0))
    if "prompt_tokens" not in usage:
        billed += sum(int(usage.get(name) or 0) for name in _CACHES) + int(usage.get("toolUsePromptTokenCount") or 0)
    output = max(count(*_OUTPUT), int(nested.get("output_tokens") or 0))
    details = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    reasoning = int(details.get("reasoning_tokens") or usage.get("thoughtsTokenCount") or 0)
    if "candidatesTokenCount" in usage or "thoughtsTokenCount" in usage:
        output = int(usage.get("candidatesTokenCount") or 0) + reasoning
    elif reasoning and usage.get("total_tokens") == billed + output + reasoning:
        output += reasoning
    return billed, output, reasoning


def _bytes_said(event: Any) -> int:
    if not isinstance(event, dict):
        return 0
    parts = ("choices", "delta", "content_block", "content", "candidates", "message", "output", "contentBlockDelta")
    return sum(_said(event[part]) for part in parts if part in event)


def _said(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_said, value))
    if not isinstance(value, dict):
        return 0
    total = 0
    for name, each in value.items():
        if name in _SILENT:
            continue
        if name in {"input", "args", "arguments"} and isinstance(each, dict | list):
            total += len(json.dumps(each, separators=(",", ":"), ensure_ascii=False).encode())
        else:
            total += len(each.encode()) if isinstance(each, str) and name in _SAID else _said(each)
    return total


def _calls(value: Any) -> int:
    """Tool calls in an answer, counted where their names are."""
    if isinstance(value, list):
        return sum(map(_calls, value))
    if not isinstance(value, dict):
        return 0
    own = "name" in value and bool({"arguments", "input", "args", "parameters"} & value.keys())
    return int(own) + sum(_calls(each) for name, each in value.items() if name not in _SILENT and not (own and name != "function"))
