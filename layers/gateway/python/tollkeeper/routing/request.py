"""What routing reads from a request itself: tags, the size of its prompt, what its model must be able to do, its text.

All three inbound APIs are read by the words they share (`messages`, `input`, `system`, blocks with a `type`); nothing here raises.
"""

from collections.abc import Iterator, Mapping
from typing import Any

_CHARS_PER_TOKEN = 4
_PROMPTS = ("messages", "input", "prompt", "system", "instructions")
_BLOCKS: Mapping[str, str] = {
    "image_url": "vision",
    "image": "vision",
    "input_image": "vision",
    "input_audio": "audio",
    "audio": "audio",
    "file": "file",
    "input_file": "file",
    "document": "file",
}
_MOST_TEXT = 20_000


def tags_of(body: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[str, ...]:
    """The request's own tags: `x-litellm-tags`, `tags`, `metadata.tags`. https://docs.litellm.ai/docs/proxy/tag_routing"""
    metadata = body.get("metadata")
    listed = [body.get("tags"), metadata.get("tags") if isinstance(metadata, dict) else None]
    inside = [tag for tags in listed for tag in _listed(tags)]
    return tuple(dict.fromkeys([*(tag.strip() for tag in headers.get("x-litellm-tags", "").split(",") if tag.strip()), *inside]))


def prompt_tokens(body: Mapping[str, Any]) -> int:
    """A low estimate, four characters a token, of the text alone: nothing that would fit is kept back."""
    return sum(map(len, _texts([body.get(name) for name in _PROMPTS]))) // _CHARS_PER_TOKEN


def needs_of(body: Mapping[str, Any]) -> frozenset[str]:
    """Of vision, audio, file, tools, json_schema, reasoning, web_search: what the request asks of its model."""
    found = {need for kind in _kinds([body.get(name) for name in _PROMPTS]) if (need := _BLOCKS.get(kind)) is not None}
    if body.get("tools") or body.get("functions"):
        found.add("tools")
    if _has(body.get("response_format"), "json_schema") or _has(_inside(body.get("text"), "format"), "json_schema"):
        found.add("json_schema")
    if "audio" in _listed(body.get("modalities")):
        found.add("audio")
    if body.get("reasoning_effort") not in {None, "none"} or _has(body.get("thinking"), "enabled", "adaptive"):
        found.add("reasoning")
    if body.get("web_search_options") is not None or any(
        str(_inside(tool, "type")).startswith("web_search") for tool in _items(body.get("tools"))
    ):
        found.add("web_search")
    return frozenset(found)


def last_text(body: Mapping[str, Any]) -> str:
    """What the user said last, up to 20,000 characters."""
    messages = body.get("messages") or body.get("input")
    if isinstance(messages, list):
        asked = [message for message in messages if _inside(message, "role") in {"user", None}]
        return "\n".join(_texts(asked[-1:] or messages[-1:]))[:_MOST_TEXT]
    return "\n".join(_texts([messages, body.get("prompt")]))[:_MOST_TEXT]


def all_text(body: Mapping[str, Any]) -> str:
    return "\n".join(_texts([body.get(name) for name in _PROMPTS]))


def _texts(root: Any) -> Iterator[str]:
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend(value.get(name) for name in ("content", "text", "input"))


def _kinds(root: Any) -> Iterator[str]:
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            if isinstance(kind := value.get("type"), str):
                yield kind
            waiting.append(value.get("content"))


def _has(value: Any, *kinds: str) -> bool:
    return _inside(value, "type") in kinds


def _inside(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _listed(value: Any) -> list[str]:
    return [item for item in _items(value) if isinstance(item, str)]
