"""Tool names as every make takes them: Anthropic's may be twice as long as OpenAI's, Gemini's may have dots and colons.

A name that does not fit is sent as its beginning with a digest, which follows from it alone: so a later turn says it alike, and an answer's
is turned back by the request's own tools. https://platform.openai.com/docs/api-reference/chat/create#chat-create-tools
"""

import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from tollkeeper.dialects.base import Json
from tollkeeper.dialects.hub_stream import as_object, as_objects

LONGEST = 64
_FITS = re.compile(rf"[a-zA-Z0-9_-]{{1,{LONGEST}}}")
_ELSE = re.compile(r"[^a-zA-Z0-9_-]")
_DIGEST = 8


def fitted(name: str) -> str:
    if _FITS.fullmatch(name) or not name:
        return name
    digest = sha256(name.encode(errors="surrogatepass")).hexdigest()[:_DIGEST]
    return f"{_ELSE.sub('_', name)[: LONGEST - _DIGEST - 1]}_{digest}"


def fit_names(hub: Json) -> Json:
    """A hub request whose tools, tool_choice and history say fitted names, in place."""
    named = [*as_objects(hub.get("tools")), as_object(hub.get("tool_choice"))]
    named += [call for message in as_objects(hub.get("messages")) for call in as_objects(message.get("tool_calls"))]
    for holder in named:
        function = as_object(holder.get("function"))
        if isinstance(name := function.get("name"), str):
            function["name"] = fitted(name)
    return hub


class Originals:
    """The caller's own names of tools, by what the model was told."""

    def __init__(self, names: Iterable[Any]) -> None:
        self._names = {fitted(name): name for name in names if isinstance(name, str)}

    def of(self, said: Any) -> str:
        return self._names.get(said, said) if isinstance(said, str) else ""
