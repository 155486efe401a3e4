"""Text Generation Inference's own API, and what Hugging Face's containers on SageMaker answer alike.

https://huggingface.co/docs/text-generation-inference/main/en/reference/api_reference (`POST /`, `/generate`, `/generate_stream`)
`POST /` takes `stream` in the body and stands for both, so a base URL is taken as it is unless it ends in `/generate`.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from tollkeeper.dialects.base import Chunk, Json, StreamDecoder, Target, WireRequest
from tollkeeper.dialects.error_bodies import error_from_response, error_from_tree
from tollkeeper.dialects.fields import drop_unsupported, forwarded_headers, unsupported_by_profile, upstream_fields
from tollkeeper.dialects.hub_request import take_limit, take_schema
from tollkeeper.dialects.hub_stream import ChunkWriter, FramedDecoder, SseData, as_object, as_objects
from tollkeeper.dialects.prompt_template import take_prompt
from tollkeeper.dialects.text_answers import HINTS, UNSUPPORTED, completion, parsed_json, stops_of, usage_of
from tollkeeper.errors import UpstreamError, UpstreamProtocolError

_TAKEN = {"response_format", "seed", "logprobs", "frequency_penalty"}
_PARAMETERS = {"temperature", "top_p", "top_k", "typical_p", "repetition_penalty", "frequency_penalty", "seed", "watermark", "truncate"}


class TgiGenerate:
    """See base.ChatDialect."""

    name = "tgi_generate"

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises BadRequest or UnsupportedParams naming the field at fault."""
        body = generate_body(request, target)
        base, mark, query = target.base_url.partition("?")
        if base.endswith("/generate") and body["stream"]:
            base += "_stream"
        headers = {"content-type": "application/json", **forwarded_headers(request)}
        return WireRequest(url=base + mark + query, body=orjson.dumps(body), headers=headers)

    def decode(self, body: bytes, target: Target) -> Json:
        """Raises UpstreamProtocolError for what is no answer, or the typed error that hides in it."""
        tree = parsed_json(body, target)
        tree = tree[0] if isinstance(tree, list) and tree else tree
        if not isinstance(tree, dict) or not isinstance(text := tree.get("generated_text"), str):
            if isinstance(tree, dict) and tree.get("error"):
                raise error_from_tree(tree, target)
            raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without `generated_text`.", upstream_status=200)
        details = as_object(tree.get("details"))
        read = len(as_objects(details.get("prefill"))) or details.get("input_length")
        logprobs = logprobs_of(as_objects(details.get("tokens")))
        usage = usage_of(read, details.get("generated_tokens"))
        return completion("", text, finish_of(details), usage, target, logprobs=logprobs)

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return FramedDecoder(target, SseData(), TokenReader(target))

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_response(status, headers, body, target)


def generate_body(request: Json, target: Target) -> Json:
    """Raises BadRequest or UnsupportedParams naming the field at fault."""
    fields = upstream_fields(request, target)
    drop_unsupported(fields, (*(name for name in UNSUPPORTED if name not in _TAKEN), *unsupported_by_profile(target)), target)
    prompt = take_prompt(fields, target)
    streamed, logprobs = fields.get("stream") is True, fields.pop("logprobs", None)
    kind, schema = take_schema(fields)
    given = as_object(fields.pop("parameters", None))
    limit = take_limit(fields, fields.pop("max_new_tokens", None), given.get("max_new_tokens"))
    parameters = {name: fields.pop(name) for name in sorted(_PARAMETERS & fields.keys()) if not _is_no_sampling(name, fields[name])}
    if stops := stops_of(fields.pop("stop", None)):
        parameters["stop"] = stops
    if kind is not None:
        parameters["grammar"] = {"type": "json", "value": schema or {"type": "object"}}
    parameters |= {"details": True, "return_full_text": False, **given}
    if not streamed:
        # The only way TGI has to say how long the prompt was.
        parameters.setdefault("decoder_input_details", True)
    if limit is not None:
        parameters["max_new_tokens"] = limit
    if logprobs is False:
        parameters.pop("top_n_tokens", None)
    rest = {name: value for name, value in fields.items() if name not in HINTS and name not in {"temperature", "top_p"}}
    return {**rest, "inputs": prompt, "parameters": parameters, "stream": streamed}


def _is_no_sampling(name: str, value: Any) -> bool:
    """TGI refuses a temperature of 0 and a top_p of 1, which ask for what it does without them."""
    return value is None or (name == "temperature" and value == 0) or (name == "top_p" and value == 1)


def finish_of(details: Json) -> str:
    """`eos_token` and `stop_sequence` end an answer normally."""
    return "length" if details.get("finish_reason") == "length" else "stop"


def logprobs_of(tokens: list[Json]) -> Json | None:
    said = [token for token in tokens if not token.get("special") and isinstance(token.get("text"), str)]
    return {"content": [_token(token) for token in said], "refusal": None} if said else None


def _token(token: Json) -> Json:
    logprob = token.get("logprob")
    text: str = token["text"]
    number = float(logprob) if isinstance(logprob, int | float) else 0.0
    return {"token": text, "logprob": number, "bytes": list(text.encode()), "top_logprobs": []}


class TokenReader:
    """See hub_stream.Reader. One event for each token; the last one has the whole text again, and the details."""

    def __init__(self, target: Target) -> None:
        self.done = False
        self.usage: Json | None = None
        self._target = target
        self._write = ChunkWriter(target)
        self._begun = False

    def read(self, event: Json) -> list[Chunk]:
        if event.get("error"):
            raise error_from_tree(event, self._target)
        chunks = [] if self._begun else [self._write.role()]
        self._begun = True
        token, details = as_object(event.get("token")), as_object(event.get("details"))
        if isinstance(text := token.get("text"), str) and text and not token.get("special"):
            chunks.append(self._write.piece("content", text))
        if details or isinstance(event.get("generated_text"), str):
            self.done = True
            self.usage = usage_of(details.get("input_length"), details.get("generated_tokens"))
            chunks.append(self._write.delta({}, finish=finish_of(details)))
            chunks += [self._write.usage(self.usage)] if self.usage else []
        return chunks
