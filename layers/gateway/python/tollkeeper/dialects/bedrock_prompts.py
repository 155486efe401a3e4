"""Families on Bedrock's InvokeModel that continue a prompt, as rows: what they call things, and where their answer has what.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-text.html · …-meta.html · …-mistral-text-completion.html
…-deepseek.html · …-cohere-command.html · …-cohere-command-r-plus.html
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tollkeeper.dialects.base import Chunk, Json, Target
from tollkeeper.dialects.fields import drop_unsupported, unsupported_by_profile, upstream_fields
from tollkeeper.dialects.hub_request import take_limit, take_messages, text_of
from tollkeeper.dialects.hub_stream import ChunkWriter, as_object, as_objects, as_word
from tollkeeper.dialects.prompt_template import take_prompt
from tollkeeper.dialects.text_answers import HINTS, UNSUPPORTED, ReasoningSplitter, completion, parsed_json, stops_of, usage_of
from tollkeeper.errors import BadRequest, UpstreamProtocolError

_METRICS = "amazon-bedrock-invocationMetrics"
_LENGTHS = frozenset({"length", "max_tokens", "LENGTH", "MAX_TOKENS"})
_FILTERED = frozenset({"CONTENT_FILTERED", "ERROR_TOXIC", "content_filtered"})
_TRANSLATED = ("temperature", "top_p", "top_k", "stop")

Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextFamily:
    """`names`: OpenAI's parameter (and `limit`) → the steps to it in the body; one that is not here is not supported. `said` gives an
    answer's or an event's (text, stop reason, input tokens, output tokens), None for what it does not say.
    """

    models: re.Pattern[str]
    names: Mapping[str, Place]
    said: Callable[[Json], tuple[str | None, str | None, Any, Any]]
    prompt: str = "prompt"
    history: bool = False
    """Cohere's Command R: the last turn is the message, what was before it a list."""


def _titan(tree: Json) -> tuple[str | None, str | None, Any, Any]:
    whole = as_objects(tree.get("results"))
    row = whole[0] if whole else tree
    counted = row.get("tokenCount", row.get("totalOutputTextTokenCount"))
    return row.get("outputText"), row.get("completionReason"), tree.get("inputTextTokenCount"), counted


def _llama(tree: Json) -> tuple[str | None, str | None, Any, Any]:
    return tree.get("generation"), tree.get("stop_reason"), tree.get("prompt_token_count"), tree.get("generation_token_count")


def _listed(name: str, reason: str) -> Callable[[Json], tuple[str | None, str | None, Any, Any]]:
    def said(tree: Json) -> tuple[str | None, str | None, Any, Any]:
        rows = as_objects(tree.get(name))
        row = rows[0] if rows else tree
        return row.get("text"), row.get(reason), None, None

    return said


def _command_r(tree: Json) -> tuple[str | None, str | None, Any, Any]:
    text = None if tree.get("event_type") not in {None, "text-generation"} else tree.get("text")
    return text, tree.get("finish_reason"), None, None


_MISTRAL = {"limit": ("max_tokens",), "temperature": ("temperature",), "top_p": ("top_p",), "top_k": ("top_k",), "stop": ("stop",)}
_COHERE = {"limit": ("max_tokens",), "temperature": ("temperature",), "top_p": ("p",), "top_k": ("k",), "stop": ("stop_sequences",)}

FAMILIES = (
    TextFamily(
        re.compile(r"titan"),
        {
            "limit": ("textGenerationConfig", "maxTokenCount"),
            "temperature": ("textGenerationConfig", "temperature"),
            "top_p": ("textGenerationConfig", "topP"),
            "stop": ("textGenerationConfig", "stopSequences"),
        },
        _titan,
        prompt="inputText",
    ),
    TextFamily(re.compile(r"llama"), {"limit": ("max_gen_len",), "temperature": ("temperature",), "top_p": ("top_p",)}, _llama),
    TextFamily(
        re.compile(r"deepseek"), {name: place for name, place in _MISTRAL.items() if name != "top_k"}, _listed("choices", "stop_reason")
    ),
    TextFamily(re.compile(r"mi[sx]tral"), _MISTRAL, _listed("outputs", "stop_reason")),
    TextFamily(re.compile(r"command-r"), _COHERE, _command_r, prompt="message", history=True),
    TextFamily(re.compile(r"command"), _COHERE, _listed("generations", "finish_reason")),
)
"""First match wins."""


def text_family(name: str) -> TextFamily | None:
    return next((family for family in FAMILIES if family.models.search(name)), None)


def text_body(family: TextFamily, name: str, request: Json, target: Target) -> Json:
    """`name` says how the model wants its prompt. Raises BadRequest or UnsupportedParams naming the field at fault."""
    fields = upstream_fields(request, target)
    missing = tuple(name for name in _TRANSLATED if name not in family.names)
    drop_unsupported(fields, (*UNSUPPORTED, *missing, *unsupported_by_profile(target)), target)
    turns = _history(fields) if family.history else {family.prompt: take_prompt(fields, target, name)}
    limit = take_limit(fields, fields.pop(family.names["limit"][-1], None))
    given = {"limit": limit, **{name: fields.pop(name, None) for name in _TRANSLATED}}
    if given["stop"] is not None:
        given["stop"] = stops_of(given["stop"])
    body = {**{name: value for name, value in fields.items() if name not in HINTS}, **turns}
    for ours, place in family.names.items():
        if given[ours] is not None:
            holder = body
            for step in place[:-1]:
                holder = holder.setdefault(step, {})
            holder[place[-1]] = given[ours]
    return body


def _history(fields: Json) -> Json:
    """Cohere's v1 words: `preamble`, `chat_history`, `message`."""
    roles = {"user": "USER", "assistant": "CHATBOT"}
    said: list[tuple[str, str]] = []
    for where, role, message in take_messages(fields):
        content = message.get("content")
        parts = [content] if isinstance(content, str | None) else [text_of(part, where) for part in as_objects(content)]
        if role in {"tool", "function"} or message.get("tool_calls"):
            raise BadRequest(f"{where}: this model is asked for text only through InvokeModel.", param="messages")
        said.append((role, "\n".join(part for part in parts if part)))
    preamble = "\n".join(text for role, text in said if role in {"system", "developer"})
    turns = [(role, text) for role, text in said if role in roles]
    last = turns.pop()[1] if turns else ""
    history = [{"role": roles[role], "message": text} for role, text in turns]
    return {"message": last, **({"chat_history": history} if history else {}), **({"preamble": preamble} if preamble else {})}


def finish_of(reason: str) -> str:
    return "length" if reason in _LENGTHS else "content_filter" if reason in _FILTERED else "stop"


def decode_text(family: TextFamily, body: bytes, target: Target) -> Json:
    """Raises UpstreamProtocolError for what is no answer of this family."""
    tree = parsed_json(body, target)
    text, reason, read, written = family.said(tree) if isinstance(tree, dict) else (None, None, None, None)
    if not isinstance(text, str):
        raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without text.", upstream_status=200)
    return completion("", text, finish_of(as_word(reason)), usage_of(read, written), target)


class TextReader:
    """See hub_stream.Reader. The event that has a stop reason, or Bedrock's own counts, is the last."""

    def __init__(self, family: TextFamily, target: Target) -> None:
        self.done = False
        self.usage: Json | None = None
        self._family = family
        self._write = ChunkWriter(target)
        self._splitter = ReasoningSplitter()
        self._begun = False
        self._read = 0
        self._reason = ""

    def read(self, event: Json) -> list[Chunk]:
        chunks = [] if self._begun else [self._write.role()]
        self._begun = True
        text, reason, read, written = self._family.said(event)
        metrics = as_object(event.get(_METRICS))
        self._read = read if type(read) is int else self._read
        self._reason = as_word(reason) or self._reason
        self.usage = (
            usage_of(metrics.get("inputTokenCount"), metrics.get("outputTokenCount")) or usage_of(self._read or None, written) or self.usage
        )
        pieces = self._splitter.feed(text) if isinstance(text, str) else []
        ended = bool(metrics or reason)
        chunks += [self._write.piece(name, piece) for name, piece in pieces + (self._splitter.close() if ended else [])]
        return chunks + self._end() if ended else chunks

    def _end(self) -> list[Chunk]:
        self.done = True
        chunks = [self._write.delta({}, finish=finish_of(self._reason))]
        return [*chunks, self._write.usage(self.usage)] if self.usage else chunks
