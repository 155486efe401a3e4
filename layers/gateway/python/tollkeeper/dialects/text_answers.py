"""What dialects share whose provider continues a prompt: OpenAI parameters that such models lack, and the hub's answer around plain text.

Reasoning between tags (gpt-oss on Bedrock, DeepSeek-R1) becomes `reasoning_content`, whole or streamed.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.error_bodies import not_json

UNSUPPORTED = (
    "n", "logit_bias", "logprobs", "top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call",
    "presence_penalty", "frequency_penalty", "modalities", "audio", "prediction", "store", "verbosity", "service_tier",
    "web_search_options", "response_format", "reasoning_effort", "thinking", "seed",
)  # fmt: skip
HINTS = ("model", "stream", "stream_options", "user", "metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier")
"""What has no place in such a body and changes no answer."""

_TAGS = re.compile(r"\A\s*<(reasoning|think)>(.*?)(?:</\1>\s*|\Z)", re.DOTALL)
_OPENINGS = ("<reasoning>", "<think>")


def stops_of(stop: Any) -> list[Any]:
    """OpenAI's `stop` as a list."""
    return [stop] if isinstance(stop, str) else list(stop or ())


def parsed_json(body: bytes, target: Target) -> Any:
    """Raises UpstreamProtocolError."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise not_json(body, target) from None


def completion(identifier: str, text: str, finish: str, usage: Json | None, target: Target, *, logprobs: Json | None = None) -> Json:
    """A chat.completion of one text. `identifier` without prefix; `finish` is the hub's."""
    thought, said = split_reasoning(text)
    message: Json = {"role": "assistant", "content": said, "refusal": None}
    if thought:
        message["reasoning_content"] = thought
    answer: Json = {
        "id": f"chatcmpl-{identifier or target.created}",
        "object": "chat.completion",
        "created": target.created,
        "model": target.alias,
        "choices": [{"index": 0, "message": message, "logprobs": logprobs, "finish_reason": finish}],
    }
    return {**answer, "usage": usage} if usage else answer


def usage_of(prompt: Any, output: Any) -> Json | None:
    """The hub's usage, if both counts are known."""
    if type(prompt) is not int or type(output) is not int:
        return None
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}


def split_reasoning(text: str) -> tuple[str, str]:
    """(what was thought, what was said)"""
    found = _TAGS.match(text)
    return (found[2], text[found.end() :]) if found else ("", text)


class ReasoningSplitter:
    """The same for a text that comes in pieces. Keeps back only what may still turn out to be a tag."""

    def __init__(self) -> None:
        self._held = ""
        self._closing = ""
        self._read: Callable[[], Iterator[tuple[str, str]]] = self._before

    def feed(self, piece: str) -> list[tuple[str, str]]:
        """(`reasoning_content` or `content`, text) of each piece that is certain."""
        self._held += piece
        return list(self._read())

    def close(self) -> list[tuple[str, str]]:
        held, self._held = self._held, ""
        return [("reasoning_content" if self._closing else "content", held)] if held else []

    def _before(self) -> Iterator[tuple[str, str]]:
        start = self._held.lstrip()
        opening = next((tag for tag in _OPENINGS if start.startswith(tag)), None)
        if opening is not None:
            self._held, self._closing, self._read = start[len(opening) :], opening.replace("<", "</"), self._inside
            yield from self._inside()
        elif not any(tag.startswith(start) for tag in _OPENINGS):
            self._read = self._after
            yield from self._after()

    def _inside(self) -> Iterator[tuple[str, str]]:
        thought, found, rest = self._held.partition(self._closing)
        if found:
            self._held, self._closing, self._read = rest, "", self._between
            if thought:
                yield "reasoning_content", thought
            yield from self._between()
            return
        kept = next((size for size in range(len(self._closing) - 1, 0, -1) if thought.endswith(self._closing[:size])), 0)
        sure, self._held = thought[: len(thought) - kept], thought[len(thought) - kept :]
        if sure:
            yield "reasoning_content", sure

    def _between(self) -> Iterator[tuple[str, str]]:
        if said := self._held.lstrip():
            self._held, self._read = said, self._after
            yield from self._after()

    def _after(self) -> Iterator[tuple[str, str]]:
        said, self._held = self._held, ""
        if said:
            yield "content", said
