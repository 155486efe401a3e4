"""Replicate's predictions: made by one request, done when they say so.

https://replicate.com/docs/topics/predictions/create-a-prediction · …/docs/reference/http#predictions.create
https://replicate.com/docs/topics/predictions/streaming (events `output`, `error`, `done`; `logs` are not ours)

`owner/name` is an official model, `owner/name:version` or a bare version a version, `deployments/owner/name` a deployment of one's own.
A chat becomes the model's `prompt` and, where it begins with one, `system_prompt`; other fields of the request are the model's inputs.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from tollkeeper.dialects.base import Ask, Chunk, Json, Opening, Steps, StreamDecoder, StreamFailed, Target, WireRequest
from tollkeeper.dialects.error_bodies import error_from_response, error_from_tree
from tollkeeper.dialects.fields import drop_unsupported, unsupported_by_profile, upstream_fields
from tollkeeper.dialects.framing import SseParser
from tollkeeper.dialects.hub_request import take_limit
from tollkeeper.dialects.hub_stream import ChunkWriter, as_object, as_word
from tollkeeper.dialects.prompt_template import take_prompt
from tollkeeper.dialects.text_answers import HINTS, UNSUPPORTED, completion, parsed_json, stops_of, usage_of
from tollkeeper.errors import UpstreamError, UpstreamFailed, UpstreamProtocolError

_WAIT = "wait=60"
"""Replicate holds a request open for so many seconds while the model runs, so that most answers need no second one."""
_POLLS = (0.5, 1.0, 2.0)
"""Seconds between the polls after that; the last goes on for as long as the caller waits."""
_FINISHED = frozenset({"succeeded", "failed", "canceled", "aborted"})
_TAKEN = frozenset({"seed", "presence_penalty", "frequency_penalty"})
_VERSION = re.compile(r"[0-9a-f]{64}")


class Replicate:
    """See base.ChatDialect and base.SteppedDialect."""

    name = "replicate"

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises BadRequest or UnsupportedParams naming the field at fault."""
        fields = upstream_fields(request, target)
        drop_unsupported(fields, (*(name for name in UNSUPPORTED if name not in _TAKEN), *unsupported_by_profile(target)), target)
        streamed = fields.get("stream") is True
        path, version = _address(target.model)
        body: Json = {
            "input": _input(fields, target),
            **({"version": version} if version else {}),
            **({"stream": True} if streamed else {}),
        }
        headers = {"content-type": "application/json"} if streamed else {"content-type": "application/json", "prefer": _WAIT}
        return WireRequest(url=target.base_url + path, body=orjson.dumps(body), headers=headers)

    def exchange(self, request: Json, target: Target) -> Steps:
        """Asks until the prediction is finished. Raises what decode raises."""
        (body,) = yield Ask((self.encode(request, target),))
        polls = 0
        while (prediction := _prediction(body, target)).get("status") not in _FINISHED:
            again = _named_url(prediction, "get", target)
            (body,) = yield Ask((again,), wait=_POLLS[min(polls, len(_POLLS) - 1)])
            polls += 1
        return self.decode(body, target)

    def opening(self, request: Json, target: Target) -> Opening:
        (body,) = yield Ask((self.encode(request, target),))
        prediction = _prediction(body, target)
        if prediction.get("status") in {"failed", "canceled", "aborted"}:
            raise failure(prediction, target)
        return _named_url(prediction, "stream", target)

    def decode(self, body: bytes, target: Target) -> Json:
        """Of a finished prediction. Raises UpstreamProtocolError for what is none, the typed error of one that failed."""
        prediction = _prediction(body, target)
        if prediction.get("status") != "succeeded":
            raise failure(prediction, target)
        metrics = as_object(prediction.get("metrics"))
        usage = usage_of(metrics.get("input_token_count"), metrics.get("output_token_count"))
        return completion(as_word(prediction.get("id")), _output(prediction.get("output")), "stop", usage, target)

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return PredictionStream(target)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_response(status, headers, body, target)


def _address(model: str) -> tuple[str, str]:
    """(path, version)"""
    if model.startswith("deployments/"):
        return f"/{quote(model)}/predictions", ""
    name, _, version = model.partition(":")
    if version or _VERSION.fullmatch(name):
        return "/predictions", version or name
    return f"/models/{quote(name)}/predictions", ""


def _input(fields: Json, target: Target) -> Json:
    given = as_object(fields.pop("input", None))
    limit = take_limit(fields, fields.pop("max_new_tokens", None), given.get("max_tokens"), given.get("max_new_tokens"))
    made: Json = {}
    messages = fields.get("messages")
    if isinstance(messages, list) and messages and _is_system(messages[0]) and isinstance(messages[0].get("content"), str):
        made["system_prompt"] = messages[0]["content"]
        fields["messages"] = messages[1:]
    made["prompt"] = _only_text(fields) or take_prompt(fields, target)
    fields.pop("messages", None)
    if stops := stops_of(fields.pop("stop", None)):
        made["stop_sequences"] = ",".join(map(str, stops))
    if limit is not None:
        made["max_tokens"] = made["max_new_tokens"] = limit  # inputs a model does not have are ignored
    return {**made, **{name: value for name, value in fields.items() if name not in HINTS}, **given, **_limited(limit, given)}


def _limited(limit: int | None, given: Json) -> Json:
    return {name: limit for name in ("max_tokens", "max_new_tokens") if name in given} if limit is not None else {}


def _is_system(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") in {"system", "developer"}


def _only_text(fields: Json) -> str:
    """One question is the prompt as it is: Replicate's models put their own template around it."""
    messages = fields.get("messages")
    only = messages[0] if isinstance(messages, list) and len(messages) == 1 else None
    text = only.get("content") if isinstance(only, dict) and only.get("role") == "user" else None
    return text if isinstance(text, str) else ""


def _prediction(body: bytes, target: Target) -> Json:
    tree = parsed_json(body, target)
    if not isinstance(tree, dict) or not isinstance(tree.get("status"), str):
        raise UpstreamProtocolError(
            f"{target.provider or 'The provider'} answered with something that is no prediction.", upstream_status=200
        )
    return tree


def _named_url(prediction: Json, name: str, target: Target) -> WireRequest:
    """An address out of the answer. The credential goes to the host that was configured, and to no other."""
    url = as_object(prediction.get("urls")).get(name)
    if not isinstance(url, str) or urlsplit(url).scheme not in {"https", urlsplit(target.base_url).scheme}:
        raise UpstreamProtocolError(
            f"{target.provider or 'The provider'} made a prediction without an address to {name} it.", upstream_status=200
        )
    ours = urlsplit(url).netloc == urlsplit(target.base_url).netloc
    headers = {"accept": "text/event-stream", "cache-control": "no-store"} if name == "stream" else {}
    return WireRequest(url=url, body=b"", headers=headers, method="GET", credential=ours)


def failure(prediction: Json, target: Target) -> UpstreamError:
    error = prediction.get("error") or prediction.get("detail")
    if isinstance(error, str) and error:
        return error_from_tree({"error": error, "status": 500}, target)
    return UpstreamFailed(f"The prediction {prediction.get('status') or 'failed'}.", upstream_status=200)


def _output(output: Any) -> str:
    """Language models give a list of pieces, or one text."""
    if isinstance(output, list):
        return "".join(piece if isinstance(piece, str) else orjson.dumps(piece).decode() for piece in output)
    if isinstance(output, str) or output is None:
        return output or ""
    return orjson.dumps(output).decode()


class PredictionStream:
    """See base.StreamDecoder. Replicate's streams state no usage."""

    usage: Json | None = None

    def __init__(self, target: Target) -> None:
        self._target = target
        self._sse = SseParser()
        self._write = ChunkWriter(target)
        self._begun = False
        self._done = False

    def feed(self, data: bytes) -> list[Chunk]:
        """Raises StreamFailed."""
        return self._read(self._sse.feed(data))

    def close(self) -> list[Chunk]:
        """Raises UpstreamProtocolError if the answer is not finished."""
        chunks = self._read(self._sse.close())
        if not self._done:
            raise UpstreamProtocolError(
                f"{self._target.provider or 'The provider'} closed the stream before the answer was finished.", upstream_status=200
            )
        return chunks

    def _read(self, events: list[tuple[bytes, bytes]]) -> list[Chunk]:
        chunks: list[Chunk] = []
        for name, data in events:
            if self._done:
                break
            if not self._begun and name in {b"output", b"done"}:
                self._begun = True
                chunks.append(self._write.role())
            if name == b"output" and data:
                chunks.append(self._write.piece("content", data.decode("utf-8", "replace")))
            elif name == b"error":
                raise StreamFailed(failure(_object_of(data), self._target), chunks)
            elif name == b"done":
                if reason := _object_of(data).get("reason"):
                    raise StreamFailed(UpstreamFailed(f"The prediction ended: {reason}.", upstream_status=200), chunks)
                self._done = True
                chunks.append(self._write.delta({}, finish="stop"))
        return chunks


def _object_of(data: bytes) -> Json:
    try:
        return as_object(orjson.loads(data))
    except orjson.JSONDecodeError:
        return {"error": data.decode("utf-8", "replace")}
