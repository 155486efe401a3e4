"""Hub messages → Anthropic's `system` and `messages`.

https://docs.claude.com/en/api/messages (roles alternate; tool results are user blocks; thinking goes back with its signature)
https://docs.claude.com/en/docs/build-with-claude/vision, …/pdf-support, …/prompt-caching
"""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

import orjson

from tollkeeper.dialects.base import Json
from tollkeeper.dialects.gemini_signature import split_call_id
from tollkeeper.errors import BadRequest

_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w=.-]+)*?(;base64)?,(.*)", re.DOTALL)
_SYSTEM_ROLES = ("system", "developer")
_THINKING = frozenset({"thinking", "redacted_thinking"})


def kind_of(block: Json) -> str:
    """The `type` of a block, part, delta or event; "" for one without."""
    kind = block.get("type")
    return kind if isinstance(kind, str) else ""


def is_thinking(block: Json) -> bool:
    return kind_of(block) in _THINKING


def split_system(messages: list[Json]) -> tuple[str | list[Json] | None, list[Json]]:
    """System and developer messages, wherever they stand, and the rest. One plain string stays a string."""
    system = [message for message in messages if message.get("role") in _SYSTEM_ROLES]
    rest = [message for message in messages if message.get("role") not in _SYSTEM_ROLES]
    if len(system) == 1 and isinstance(system[0].get("content"), str) and "cache_control" not in system[0]:
        return system[0]["content"] or None, rest
    blocks = [block for message in system for block in _content_blocks(message, "system")]
    return blocks or None, rest


def conversation(messages: list[Json]) -> list[Json]:
    """user/assistant turns; messages of one side in a row become one turn. Raises BadRequest naming the part that cannot be said."""
    turns: list[Json] = []
    for position, message in enumerate(messages):
        where = f"messages[{position}]"
        role, blocks = _turn(message, where)
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    if turns and turns[-1]["role"] == "assistant":
        _trim_prefill(turns[-1]["content"])
    return turns


def _turn(message: Json, where: str) -> tuple[str, list[Json]]:
    role = message.get("role")
    if role == "assistant":
        return "assistant", _assistant_blocks(message, where)
    if role in ("tool", "function"):
        return "user", [_tool_result(message, where)]
    if role == "user":
        return "user", _content_blocks(message, where)
    raise BadRequest(f"{where}.role: {role!r} is not a role.", param="messages")


def _content_blocks(message: Json, where: str) -> list[Json]:
    return _cached(_blocks(message.get("content"), where), message)


def _blocks(content: Any, where: str) -> list[Json]:
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if not isinstance(content, list):
        raise BadRequest(f"{where}.content must be a string or an array.", param="messages")
    return [block for index, part in enumerate(content) if (block := _block(part, f"{where}.content[{index}]")) is not None]


def _cached(blocks: list[Json], message: Json) -> list[Json]:
    """`cache_control` on a message (LiteLLM's way) goes to its last block."""
    if not blocks or "cache_control" not in message:
        return blocks
    return [*blocks[:-1], {**blocks[-1], "cache_control": message["cache_control"]}]


def _block(part: Any, where: str) -> Json | None:
    if isinstance(part, str):
        part = {"type": "text", "text": part}
    if not isinstance(part, dict):
        raise BadRequest(f"{where} must be an object.", param="messages")
    make = _PARTS.get(kind_of(part))
    return part if make is None else make(part, where)  # Anthropic's own blocks travel as they are


def _text(part: Json, where: str) -> Json | None:
    """An empty text block is an error at Anthropic and says nothing."""
    if not isinstance(part.get("text"), str):
        raise BadRequest(f"{where}.text must be a string.", param="messages")
    return part if part["text"] else None


def _image(part: Json, where: str) -> Json:
    given = part.get("image_url")
    url = given.get("url") if isinstance(given, dict) else given
    if not isinstance(url, str):
        raise BadRequest(f"{where}.image_url.url must be a string.", param="messages")
    source, media_type = _source(url, where)
    kind = "document" if media_type == "application/pdf" else "image"
    return {"type": kind, "source": source, **_kept(part)}


def _file(part: Json, where: str) -> Json:
    file = part.get("file")
    if not isinstance(file, dict):
        raise BadRequest(f"{where}.file must be an object.", param="messages")
    data, identifier = file.get("file_data"), file.get("file_id")
    media_type = str(file.get("format") or "")
    if isinstance(data, str):
        source, media_type = _source(data if data.startswith(("data:", "http")) else f"data:application/pdf;base64,{data}", where)
    elif isinstance(identifier, str):
        source = {"type": "url", "url": identifier} if identifier.startswith("http") else {"type": "file", "file_id": identifier}
    else:
        raise BadRequest(f"{where}.file needs file_data or file_id.", param="messages")
    if media_type.startswith("image/"):
        return {"type": "image", "source": source, **_kept(part)}
    if media_type.startswith("text/") and source["type"] == "base64":
        source = {"type": "text", "media_type": "text/plain", "data": _decoded(source["data"], where)}
    title = {"title": file["filename"]} if isinstance(file.get("filename"), str) else {}
    return {"type": "document", "source": source, **title, **_kept(part)}


def _unsayable(part: Json, where: str) -> Json:
    raise BadRequest(f"{where}: Anthropic models take no {part['type']} parts.", param="messages")


_PARTS: dict[str, Callable[[Json, str], Json | None]] = {
    "text": _text,
    "image_url": _image,
    "file": _file,
    "input_audio": _unsayable,
    "video_url": _unsayable,
    "refusal": lambda part, _: {"type": "text", "text": part["refusal"]} if part.get("refusal") else None,
}


def _kept(part: Json) -> Json:
    return {name: part[name] for name in ("cache_control", "citations", "context", "title") if name in part}


def _source(url: str, where: str) -> tuple[Json, str]:
    """(source, media type if known) of a data: or http(s) URL."""
    if url.startswith(("http://", "https://")):
        return {"type": "url", "url": url}, "application/pdf" if url.partition("?")[0].lower().endswith(".pdf") else ""
    found = _DATA_URL.fullmatch(url)
    if found is None:
        raise BadRequest(f"{where}: the URL must start with https:// or data:.", param="messages")
    media_type, is_base64, data = found[1] or "text/plain", found[2], found[3]
    if not is_base64:
        raise BadRequest(f"{where}: a data: URL must be base64.", param="messages")
    return {"type": "base64", "media_type": "image/jpeg" if media_type == "image/jpg" else media_type, "data": data}, media_type


def _decoded(data: str, where: str) -> str:
    try:
        return base64.b64decode(data).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise BadRequest(f"{where}: the file is not base64 of UTF-8 text.", param="messages") from None


def _assistant_blocks(message: Json, where: str) -> list[Json]:
    calls = message.get("tool_calls") or []
    if not calls and isinstance(legacy := message.get("function_call"), dict):
        calls = [{"id": f"call_{legacy.get('name')}", "function": legacy}]
    content = _blocks(message.get("content"), where)
    thinking = [] if any(map(is_thinking, content)) else _thinking_blocks(message)
    uses = [_tool_use(call, f"{where}.tool_calls[{index}]") for index, call in enumerate(calls)]
    return _cached([*thinking, *content, *uses], message)


def _thinking_blocks(message: Json) -> list[Json]:
    """What the model thought, with the signatures it wants to see again: LiteLLM's `thinking_blocks`, or OpenRouter's
    `reasoning_details`. Reasoning without a signature cannot be sent back and is left out.
    """
    given = message.get("thinking_blocks")
    if isinstance(given, list):
        return [block for block in given if isinstance(block, dict) and (block.get("signature") or block.get("data"))]
    details = message.get("reasoning_details")
    blocks: list[Json] = []
    for detail in details if isinstance(details, list) else ():
        if not isinstance(detail, dict) or detail.get("format") != "anthropic-claude-v1":
            continue
        if detail.get("signature"):
            blocks.append({"type": "thinking", "thinking": detail.get("text") or "", "signature": detail["signature"]})
        elif detail.get("data"):
            blocks.append({"type": "redacted_thinking", "data": detail["data"]})
    return blocks


def _tool_use(call: Any, where: str) -> Json:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadRequest(f"{where} must have a function with a name.", param="messages")
    arguments = function.get("arguments")
    try:
        value = orjson.loads(arguments or "{}") if isinstance(arguments, str | None) else arguments
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise BadRequest(f"{where}.function.arguments must be a JSON object.", param="messages")
    kept = {"cache_control": call["cache_control"]} if "cache_control" in call else {}
    return {"type": "tool_use", "id": tool_id(call.get("id")), "name": function["name"], "input": value, **kept}


def _tool_result(message: Json, where: str) -> Json:
    identifier = message.get("tool_call_id") or f"call_{message.get('name')}"
    content = message.get("content")
    blocks: str | list[Json] = content if isinstance(content, str) else _blocks(content, where)
    result: Json = {"type": "tool_result", "tool_use_id": tool_id(identifier)}
    if blocks:
        result["content"] = blocks
    if isinstance(message.get("is_error"), bool):
        result["is_error"] = message["is_error"]
    if "cache_control" in message:
        result["cache_control"] = message["cache_control"]
    return result


def tool_id(identifier: Any) -> str:
    """Anthropic's ids are letters, digits, _ and -; other providers' (`functions.add:0`) are not."""
    return _NOT_IN_IDS.sub("_", split_call_id(str(identifier))[0])


def _trim_prefill(blocks: list[Json]) -> None:
    """A last assistant turn is continued, and must not end in white space."""
    last = blocks[-1]
    if last.get("type") == "text" and last["text"] != last["text"].rstrip():
        blocks[-1] = {**last, "text": last["text"].rstrip()}
        if not blocks[-1]["text"]:
            blocks.pop()
