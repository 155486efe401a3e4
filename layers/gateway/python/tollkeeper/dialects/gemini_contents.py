"""Messages of the hub → `systemInstruction` and `contents`.

Consecutive assistant messages become one model turn and consecutive tool results one user turn, because Gemini wants a function call right
after a user turn and all its responses together. Anything else stays the turn it was.
https://ai.google.dev/api/caching#Content · https://ai.google.dev/gemini-api/docs/function-calling
"""

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from tollkeeper.dialects.base import Json
from tollkeeper.dialects.gemini_media import audio_part, file_part, image_part, video_part
from tollkeeper.dialects.gemini_signature import STAND_IN, provider_id, signature_of, split_call_id
from tollkeeper.errors import BadRequest

SERVER_PARTS = frozenset({"toolCall", "toolResponse", "executableCode", "codeExecutionResult"})
"""Parts of tools that Google ran itself; they ride in `provider_specific_fields.server_tools` and must come back as they were."""

_SYSTEM = frozenset({"system", "developer"})
_TOOL = frozenset({"tool", "function"})


def contents_of(messages: Any, *, signed_calls: bool) -> tuple[list[Json], list[Json]]:
    """(system parts, contents). `signed_calls`: the model refuses a function call without a thought signature, and takes media inside a
    function response. Raises BadRequest (param `messages`).
    """
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a non-empty list.", param="messages")
    turns = _Turns(signed_calls)
    for message in messages:
        if not isinstance(message, dict):
            raise BadRequest("Every message must be an object.", param="messages")
        turns.add(message)
    if not turns.contents:
        return [], [{"role": "user", "parts": turns.system or [{"text": " "}]}]
    return turns.system, turns.contents


class _Turns:
    def __init__(self, signed_calls: bool) -> None:
        self.system: list[Json] = []
        self.contents: list[Json] = []
        self._signed_calls = signed_calls
        self._names: dict[str, str] = {}
        self._last = ""

    def add(self, message: Json) -> None:
        role = str(message.get("role"))
        if role in _SYSTEM:
            self.system += text_parts(message.get("content"))
        elif role == "user":
            self._turn("user", user_parts(message.get("content")) or [{"text": " "}], "user")
        elif role == "assistant":
            self._turn("model", self._model_parts(message), "assistant")
        elif role in _TOOL:
            self._turn("user", self._response_parts(message), "tool")
        else:
            raise BadRequest(f"A message has the unknown role {role!r}.", param="messages")

    def _turn(self, role: str, parts: list[Json], kind: str) -> None:
        if not parts:
            return
        if kind == self._last and kind != "user":
            self.contents[-1]["parts"] += parts
        else:
            self.contents.append({"role": role, "parts": parts})
        self._last = kind

    def _model_parts(self, message: Json) -> list[Json]:
        fields = _dict(message.get("provider_specific_fields"))
        parts = [part for part in _dicts(fields.get("server_tools")) if SERVER_PARTS & part.keys()]
        parts += _assistant_media(message)
        parts += _signed(text_parts(message.get("content") or message.get("refusal")), fields.get("thought_signatures"))
        return parts + self._calls(message)

    def _calls(self, message: Json) -> list[Json]:
        calls = list(_dicts(message.get("tool_calls")))
        if isinstance(legacy := message.get("function_call"), dict):
            calls.append({"id": legacy.get("name"), "function": legacy})
        parts = [self._call(call) for call in calls]
        # Google checks the first call of a step only.
        if parts and self._signed_calls:
            parts[0].setdefault("thoughtSignature", STAND_IN)
        return parts

    def _call(self, call: Json) -> Json:
        function = _dict(call.get("function"))
        name = function.get("name")
        if not isinstance(name, str) or not name:
            raise BadRequest("A tool call in messages has no function name.", param="messages")
        plain = split_call_id(str(call.get("id") or ""))[0]
        self._names[plain] = name
        part: Json = {"functionCall": {"name": name, "args": call_arguments(function.get("arguments")), **_id(plain)}}
        if signature := signature_of(call):
            part["thoughtSignature"] = signature
        return part

    def _response_parts(self, message: Json) -> list[Json]:
        plain = split_call_id(str(message.get("tool_call_id") or message.get("name") or ""))[0]
        name = self._names.get(plain) or message.get("name")
        if not isinstance(name, str) or not name:
            raise BadRequest(f"No tool call with the id {plain!r} comes before its result.", param="messages")
        texts, media = _split_media(user_parts(message.get("content")))
        response: Json = {"name": name, "response": _response("\n".join(texts)), **_id(plain if message.get("role") == "tool" else "")}
        if media and self._signed_calls:
            return [{"functionResponse": {**response, "parts": media}}]
        return [{"functionResponse": response}, *media]


def text_parts(content: Any) -> list[Json]:
    """System or assistant text. Empty text is left out: Vertex refuses it."""
    return [part for part in user_parts(content) if part.get("text") != ""]


def user_parts(content: Any) -> list[Json]:
    """A message's content, string or parts, as Gemini parts. Empty text is left out."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [{"text": content}]
    if not isinstance(content, list):
        raise BadRequest("A message's content must be text or a list of parts.", param="messages")
    return [made for part in content if (made := _part(part)) is not None]


def _part(part: Any) -> Json | None:
    if isinstance(part, str):
        return {"text": part} if part else None
    if not isinstance(part, dict):
        raise BadRequest("A content part must be an object.", param="messages")
    kind = part.get("type")
    if kind is None:
        return part  # Gemini's own part, sent through an OpenAI client.
    kind = str(kind)
    if kind in _TEXT_FIELDS:
        text = part.get(_TEXT_FIELDS[kind]) or ""
        return {"text": str(text)} if text else None
    if kind in _SKIPPED:
        return None
    if kind not in _MAKERS:
        raise BadRequest(f"Gemini takes no content part of type {kind!r}.", param="messages")
    return _MAKERS[kind](part)


_TEXT_FIELDS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_SKIPPED = frozenset({"thinking", "redacted_thinking", "reasoning"})
"""Another model's thoughts; Gemini keeps its own in signatures."""
_MAKERS: dict[str, Callable[[Json], Json]] = {
    "image_url": image_part,
    "input_audio": audio_part,
    "video_url": video_part,
    "file": file_part,
}


def call_arguments(arguments: Any) -> Json:
    """The JSON object in a tool call's `arguments`; nothing at all is no arguments."""
    if arguments is None or arguments == "":
        return {}
    try:
        parsed = orjson.loads(arguments) if isinstance(arguments, str) else arguments
    except orjson.JSONDecodeError as error:
        raise BadRequest("A tool call's arguments are not JSON.", param="messages") from error
    if not isinstance(parsed, dict):
        raise BadRequest("A tool call's arguments are not a JSON object.", param="messages")
    return parsed


def _response(text: str) -> Json:
    """Gemini wants an object; what is none goes under `output`, the key it documents for a tool's answer."""
    if text.lstrip().startswith("{"):
        try:
            parsed = orjson.loads(text)
        except orjson.JSONDecodeError:
            return {"output": text}
        if isinstance(parsed, dict):
            return parsed
    return {"output": text}


def _split_media(parts: Iterable[Json]) -> tuple[list[str], list[Json]]:
    texts: list[str] = []
    media: list[Json] = []
    for part in parts:
        if isinstance(text := part.get("text"), str):
            texts.append(text)
        else:
            media.append(part)
    return texts, media


def _assistant_media(message: Json) -> list[Json]:
    """Images that Gemini made earlier and the caller sends back, for editing."""
    parts = []
    for image in _dicts(message.get("images")):
        part = image_part(image)
        if isinstance(signature := image.get("thought_signature"), str):
            part["thoughtSignature"] = signature
        parts.append(part)
    return parts


def _signed(parts: list[Json], signatures: Any) -> list[Json]:
    """The text's own thought signature back on its last part, or on an empty one, as streams have it."""
    found = [item for item in signatures if isinstance(item, str)] if isinstance(signatures, list) else []
    if not found:
        return parts
    *before, last = parts or [{"text": ""}]
    return [*before, {**last, "thoughtSignature": found[-1]}]


def _id(plain: str) -> Json:
    identifier = provider_id(plain)
    return {"id": identifier} if identifier else {}


def _dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
