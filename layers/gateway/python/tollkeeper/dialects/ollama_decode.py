"""Ollama's chat answer → hub, whole or line by line: every line of a stream is an answer with a piece of the message.

https://docs.ollama.com/api/chat · https://docs.ollama.com/api/streaming

Tool calls come whole, on a line before the last; only the last (`done: true`) has the counts. `done_reason` is `stop` for them too.
"""

import hashlib

import orjson

from tollkeeper.clock import from_iso
from tollkeeper.dialects.base import Chunk, Json, Target
from tollkeeper.dialects.error_bodies import error_from_tree, not_json
from tollkeeper.dialects.hub_stream import ChunkWriter, as_object, as_objects
from tollkeeper.dialects.usage import count_of
from tollkeeper.errors import UpstreamProtocolError

_TIMINGS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


def decode_chat(body: bytes, target: Target) -> Json:
    """Raises UpstreamProtocolError for a body that is no answer, or the typed error that hides in it."""
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise not_json(body, target) from None
    if isinstance(tree, dict) and tree.get("error"):
        raise error_from_tree(tree, target)
    message = message_in(tree) if isinstance(tree, dict) else None
    if message is None:
        raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without a message.", upstream_status=200)
    identifier = answer_id(tree, target)
    said = _message(message, identifier)
    if timings := timings_of(tree):
        said["provider_specific_fields"] = timings
    answer: Json = {
        "id": identifier,
        "object": "chat.completion",
        "created": created_of(tree) or target.created,
        "model": target.alias,
        "choices": [
            {
                "index": 0,
                "message": said,
                "logprobs": logprobs_of(tree),
                "finish_reason": finish_of(tree, called="tool_calls" in said),
            }
        ],
    }
    usage = hub_usage(tree)
    return {**answer, "usage": usage} if usage else answer


def message_in(tree: Json) -> Json | None:
    """What /api/chat says; servers behind an older proxy answer as /api/generate does."""
    if isinstance(message := tree.get("message"), dict):
        return message
    if not isinstance(text := tree.get("response"), str):
        return None
    return {"content": text, "thinking": tree.get("thinking"), "tool_calls": tree.get("tool_calls")}


class ChatReader:
    """See hub_stream.Reader."""

    def __init__(self, target: Target) -> None:
        self.done = False
        self.usage: Json | None = None
        self._target = target
        self._write = ChunkWriter(target)
        self._id = ""
        self._calls = 0

    def read(self, event: Json) -> list[Chunk]:
        if event.get("error"):
            raise error_from_tree(event, self._target)
        chunks = [] if self._id else [self._begin(event)]
        message = message_in(event) or {}
        if isinstance(thinking := message.get("thinking"), str) and thinking:
            chunks.append(self._write.piece("reasoning_content", thinking))
        if isinstance(text := message.get("content"), str) and text:
            chunks.append(self._text(text, logprobs_of(event)))
        chunks += [self._call(call) for call in as_objects(message.get("tool_calls"))]
        return chunks + self._end(event) if event.get("done") is True else chunks

    def _begin(self, event: Json) -> Chunk:
        self._id = answer_id(event, self._target)
        self._write.begin(self._id, created_of(event))
        return self._write.role()

    def _text(self, text: str, logprobs: Json | None) -> Chunk:
        if logprobs is None:
            return self._write.piece("content", text)
        return self._write.delta({"content": text}, said=text, logprobs=logprobs)

    def _call(self, call: Json) -> Chunk:
        made = tool_call(call, self._id, self._calls)
        self._calls += 1
        return self._write.call(self._calls - 1, made["id"], made["function"]["name"], made["function"]["arguments"])

    def _end(self, event: Json) -> list[Chunk]:
        self.done = True
        self.usage = hub_usage(event)
        timings = timings_of(event)
        delta = {"provider_specific_fields": timings} if timings else {}
        chunks = [self._write.delta(delta, finish=finish_of(event, called=self._calls > 0))]
        return [*chunks, self._write.usage(self.usage)] if self.usage else chunks


def _message(message: Json, identifier: str) -> Json:
    calls = [tool_call(call, identifier, place) for place, call in enumerate(as_objects(message.get("tool_calls")))]
    text = message.get("content")
    said: Json = {"role": "assistant", "content": text if isinstance(text, str) and (text or not calls) else None, "refusal": None}
    if calls:
        said["tool_calls"] = calls
    if isinstance(thinking := message.get("thinking"), str) and thinking:
        said["reasoning_content"] = thinking
    return said


def tool_call(call: Json, identifier: str, place: int) -> Json:
    """Older servers give no id; the one made here is the same for every reader of the same answer."""
    function = as_object(call.get("function"))
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else orjson.dumps(arguments or {}).decode()
    return {
        "id": str(call.get("id") or f"call_{identifier.removeprefix('chatcmpl-')}_{place}"),
        "type": "function",
        "function": {"name": str(function.get("name") or ""), "arguments": text or "{}"},
    }


def answer_id(tree: Json, target: Target) -> str:
    """Ollama names no answer: a digest of its moment and its beginning, so that a stream cut differently has the same id."""
    seed = orjson.dumps([tree.get("created_at"), tree.get("message"), target.created], option=orjson.OPT_SORT_KEYS)
    return f"chatcmpl-{hashlib.sha256(seed).hexdigest()[:24]}"


def created_of(tree: Json) -> int:
    """Epoch seconds; 0 if it is not said."""
    try:
        return int(from_iso(str(tree.get("created_at"))))
    except ValueError:
        return 0


def finish_of(tree: Json, *, called: bool) -> str:
    """`load` and `unload` answer a request without messages, and end normally."""
    if tree.get("done_reason") == "length":
        return "length"
    return "tool_calls" if called else "stop"


def hub_usage(tree: Json) -> Json | None:
    """A prompt that was all in the cache has no prompt_eval_count."""
    if "prompt_eval_count" not in tree and "eval_count" not in tree:
        return None
    prompt, output = count_of(tree.get("prompt_eval_count")), count_of(tree.get("eval_count"))
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}


def timings_of(tree: Json) -> Json:
    """Nanoseconds."""
    return {name: tree[name] for name in _TIMINGS if name in tree}


def logprobs_of(tree: Json) -> Json | None:
    entries = as_objects(tree.get("logprobs"))
    return {"content": [_token(entry, top=True) for entry in entries], "refusal": None} if entries else None


def _token(entry: Json, *, top: bool = False) -> Json:
    text, logprob, given = str(entry.get("token") or ""), entry.get("logprob"), entry.get("bytes")
    token: Json = {
        "token": text,
        "logprob": float(logprob) if isinstance(logprob, int | float) else 0.0,
        "bytes": given if isinstance(given, list) else list(text.encode()),
    }
    return {**token, "top_logprobs": [_token(other) for other in as_objects(entry.get("top_logprobs"))]} if top else token
