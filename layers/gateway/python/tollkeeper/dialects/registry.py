"""Dialects by name, each imported when it is first asked for: a cold start pays only for what it speaks."""

from functools import cache
from importlib import import_module

from tollkeeper.dialects.base import ChatDialect

_DIALECTS = {
    "openai_chat": ("tollkeeper.dialects.openai_chat", "OpenAIChat"),
    "anthropic_messages": ("tollkeeper.dialects.anthropic_messages", "AnthropicMessages"),
}


@cache
def get(name: str) -> ChatDialect:
    """Raises KeyError for a name that is not in `names()`."""
    module, attribute = _DIALECTS[name]
    dialect: ChatDialect = getattr(import_module(module), attribute)()
    return dialect


def names() -> tuple[str, ...]:
    return tuple(_DIALECTS)
