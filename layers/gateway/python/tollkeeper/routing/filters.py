"""Which deployments of a group a request may be sent to at all, before any is chosen."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tollkeeper.config.snapshot import Deployment
from tollkeeper.errors import Forbidden

DEFAULT_TAG = "default"
_CHARS_PER_TOKEN = 4


def tags_of(body: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[str, ...]:
    """The request's own tags: `x-litellm-tags`, `tags`, `metadata.tags`. https://docs.litellm.ai/docs/proxy/tag_routing"""
    metadata = body.get("metadata")
    listed = [body.get("tags"), metadata.get("tags") if isinstance(metadata, dict) else None]
    inside = [tag for tags in listed if isinstance(tags, list) for tag in tags if isinstance(tag, str)]
    return tuple(dict.fromkeys([*(tag.strip() for tag in headers.get("x-litellm-tags", "").split(",") if tag.strip()), *inside]))


def tagged(rows: Sequence[Deployment], tags: Sequence[str], *, match_any: bool) -> list[Deployment]:
    """Those whose tags fit, else those tagged `default`; a request without tags gets those, or all. Raises Forbidden (401, as LiteLLM)."""
    defaults = [row for row in rows if DEFAULT_TAG in row.tags]
    if not tags:
        return defaults or list(rows)
    fitting = [row for row in rows if _fits(row, tags, match_any=match_any)]
    if not fitting and not defaults:
        raise Forbidden("Not allowed to access model due to tags configuration", status=401, type="auth_error")
    return fitting or defaults


def roomy(rows: Sequence[Deployment], tokens: int) -> list[Deployment]:
    """Those whose context window takes a prompt of so many tokens; one whose window is unknown may."""
    return [row for row in rows if row.max_input_tokens is None or tokens <= row.max_input_tokens]


def prompt_tokens(body: Mapping[str, Any]) -> int:
    """A low estimate, four characters a token, of the text alone: nothing that would fit is kept back."""
    return sum(map(len, _texts([body.get(name) for name in ("messages", "input", "prompt", "system", "instructions")]))) // _CHARS_PER_TOKEN


def _fits(row: Deployment, tags: Sequence[str], *, match_any: bool) -> bool:
    fitting = (tag in row.tags for tag in tags)
    return any(fitting) if match_any else all(fitting)


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
