"""Legacy text completions, bridged through chat where the model is one. https://platform.openai.com/docs/api-reference/completions"""

from collections.abc import Mapping

import orjson

from tollkeeper.catalog.endpoints import COMPLETIONS
from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects.base import Chunk, Json
from tollkeeper.dialects.hub_stream import as_object, as_objects
from tollkeeper.edge.openai import DONE, OpenAIFrames
from tollkeeper.edge.serving import Api, model_named
from tollkeeper.errors import BadRequest

_ONLY_COMPLETION = {"suffix": (None, ""), "echo": (None, False), "best_of": (None, 1), "logprobs": (None, False)}
"""What no chat can do, with the values that ask for nothing."""


def check_completion(body: Json, headers: Mapping[str, str]) -> Json:
    if body.get("prompt") is None:
        raise BadRequest("Missing required parameter: 'prompt'.", param="prompt", code="missing_required_parameter")
    if not isinstance(body["prompt"], str | list):
        raise BadRequest("'prompt' must be a string or an array.", param="prompt", code="invalid_type")
    return model_named(body, "/completions")


def completion_to_hub(body: Json, deployment: Deployment) -> Json:
    """Raises BadRequest for what only a text completion model can do."""
    prompt = body["prompt"]
    text = prompt[0] if isinstance(prompt, list) and len(prompt) == 1 else prompt
    if not isinstance(text, str):
        raise BadRequest(
            "'prompt' must be one text: this model is a chat model, which takes no token arrays and no batches.", param="prompt"
        )
    for name, nothing in _ONLY_COMPLETION.items():
        if body.get(name) not in nothing:
            raise BadRequest(f"'{name}' needs a text completion model (model_info.mode: completion); this is a chat model.", param=name)
    hub = {name: value for name, value in body.items() if name != "prompt" and name not in _ONLY_COMPLETION}
    return {**hub, "messages": [{"role": "user", "content": text}]}


def completion_of(hub: Json, request: Json) -> Json:
    choices = [_choice(choice, as_object(choice.get("message"))) for choice in as_objects(hub.get("choices"))]
    return {**hub, "id": _id(hub), "object": "text_completion", "choices": choices}


class CompletionFrames(OpenAIFrames):
    """See serving.Frames."""

    def feed(self, batch: list[Chunk]) -> bytes:
        return b"".join([b"data: " + orjson.dumps(data) + b"\n\n" for chunk in batch if (data := self._data(chunk)) is not None])

    def end(self) -> bytes:
        return DONE

    def _data(self, chunk: Chunk) -> Json | None:
        data = chunk.data
        if not data.get("choices"):
            return {**data, "id": _id(data), "object": "text_completion"} if self._wants_usage else None
        choices = [_choice(choice, as_object(choice.get("delta"))) for choice in as_objects(data["choices"])]
        if not any(choice["text"] or choice["finish_reason"] for choice in choices):
            return None
        return {**data, "id": _id(data), "object": "text_completion", "choices": choices}


def _choice(choice: Json, said: Json) -> Json:
    text = (said.get("content") or "") + (said.get("refusal") or "")
    return {"text": text, "index": choice.get("index", 0), "logprobs": None, "finish_reason": choice.get("finish_reason")}


def _id(hub: Json) -> str:
    return f"cmpl-{str(hub.get('id') or '').removeprefix('chatcmpl-')}"


COMPLETIONS_API = Api(
    COMPLETIONS,
    check_completion,
    frames=CompletionFrames,
    native_frames=OpenAIFrames,
    say=completion_of,
    to_hub=completion_to_hub,
)
