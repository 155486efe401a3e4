"""Hub messages → input items of the Responses API. https://platform.openai.com/docs/api-reference/responses/create#responses-create-input

An assistant message is one item or many: its reasoning items (as they came, encrypted), what the provider's own tools did, its text, its
tool calls. `reasoning_items` and provider_specific_fields (`server_tools`, `output_order`, `phase`) are what responses_decode wrote there.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from tollkeeper.dialects.base import Json
from tollkeeper.dialects.hub_request import answered_call, calls_of, content_parts, plain_id, text_of
from tollkeeper.dialects.hub_stream import as_object, as_objects, as_word
from tollkeeper.errors import BadRequest

SERVER_ITEMS = frozenset(
    {
        "apply_patch_call",
        "code_interpreter_call",
        "compaction",
        "computer_call",
        "custom_tool_call",
        "file_search_call",
        "image_generation_call",
        "local_shell_call",
        "mcp_approval_request",
        "mcp_call",
        "mcp_list_tools",
        "shell_call",
        "tool_search_call",
        "tool_search_output",
        "web_search_call",
    }
)
"""Items that can go back as they came; other dialects' server tools, which a conversation may carry too, cannot."""
_REASONING_FIELDS = ("type", "id", "summary", "content", "encrypted_content", "format")


def input_items(messages: list[tuple[str, str, Json]], *, stored: bool) -> list[Json]:
    """`stored`: the provider keeps responses, so that reasoning may be named by its id alone.

    Raises BadRequest naming the part at fault.
    """
    items: list[Json] = []
    custom: set[str] = set()
    for where, role, message in messages:
        if role == "assistant":
            items += _assistant(message, where, stored=stored, custom=custom)
        elif role in {"tool", "function"}:
            items.append(_tool_result(message, where, custom))
        else:
            items.append({"role": role, "content": _content(message.get("content"), where, _INPUT_PARTS)})
    return items


def _assistant(message: Json, where: str, *, stored: bool, custom: set[str]) -> list[Json]:
    fields = as_object(message.get("provider_specific_fields"))
    carried = dict(_carried(message, fields, stored=stored))
    calls = {str(call.get("call_id")): call for call in _calls(message, where)}
    custom |= {identifier for identifier, call in calls.items() if call["type"] == "custom_tool_call"}
    said = _said(message, where, fields)
    order = fields.get("output_order")
    order = [str(identifier) for identifier in order] if isinstance(order, list) else []
    items = [carried.pop(identifier) for identifier in [*carried] if identifier not in order]
    for identifier in order:
        if found := carried.pop(identifier, None) or calls.pop(identifier, None):
            items.append(found)
        elif said is not None and identifier == "message":
            items.append(said)
            said = None
    return [*items, *([said] if said is not None else ()), *calls.values()]


def _carried(message: Json, fields: Json, *, stored: bool) -> Iterator[tuple[str, Json]]:
    """(id, item) of reasoning and of server tools. Reasoning that the provider can no longer find is not sent, nor what rests on it."""
    reasoning = as_objects(message.get("reasoning_items") or fields.get("reasoning_items"))
    if not all(stored or item.get("encrypted_content") or item.get("content") for item in reasoning):
        return
    for place, item in enumerate(reasoning):
        # The output's own fields (`status`) are refused in an input.
        kept = {name: item[name] for name in _REASONING_FIELDS if item.get(name) is not None and (item[name] or name == "summary")}
        yield str(item.get("id") or f"reasoning {place}"), kept
    for place, item in enumerate(as_objects(fields.get("server_tools"))):
        if as_word(item.get("type")) in SERVER_ITEMS:
            yield str(item.get("id") or f"tool {place}"), item


def _said(message: Json, where: str, fields: Json) -> Json | None:
    content = message.get("content")
    parts = _content(content, where, _OUTPUT_PARTS) if content else []
    if isinstance(refusal := message.get("refusal"), str) and refusal:
        parts = [*([{"type": "output_text", "text": parts}] if isinstance(parts, str) else parts), {"type": "refusal", "refusal": refusal}]
    if not parts:
        if message.get("audio"):
            raise BadRequest(f"{where}.audio: the Responses API knows no earlier audio; send its transcript as content.", param="messages")
        return None
    phase = fields.get("phase")
    return {"role": "assistant", "content": parts, **({"phase": phase} if isinstance(phase, str) else {})}


def _calls(message: Json, where: str) -> Iterator[Json]:
    for _, call in calls_of(message, where):
        custom, function, identifier = call.get("custom"), as_object(call.get("function")), plain_id(call.get("id"))
        if isinstance(custom, dict):
            yield {"type": "custom_tool_call", "call_id": identifier, "name": custom["name"], "input": custom.get("input") or ""}
            continue
        arguments = function.get("arguments")
        text = arguments if isinstance(arguments, str | None) else orjson.dumps(arguments).decode()
        yield {"type": "function_call", "call_id": identifier, "name": function["name"], "arguments": text or "{}"}


def _tool_result(message: Json, where: str, custom: set[str]) -> Json:
    identifier = answered_call(message)
    kind = "custom_tool_call_output" if identifier in custom else "function_call_output"
    return {"type": kind, "call_id": identifier, "output": _content(message.get("content"), where, _INPUT_PARTS)}


Convert = Callable[[Json, str], Json]


def _content(content: Any, where: str, parts: Mapping[str, Convert]) -> Any:
    """A string stays one; parts that are the Responses API's own, or unknown, travel as they are."""
    given = content_parts(content, where)
    if isinstance(given, str):
        return given
    return [convert(part, here) if (convert := parts.get(str(part.get("type")))) else part for here, part in given]


def _text_as(kind: str) -> Convert:
    return lambda part, where: {**part, "type": kind, "text": text_of(part, where)}


def _image(part: Json, where: str) -> Json:
    """https://platform.openai.com/docs/guides/images-vision"""
    given = part.get("image_url")
    image = {"url": given} if isinstance(given, str) else as_object(given)
    if not isinstance(url := image.get("url"), str):
        raise BadRequest(f"{where}.image_url.url must be a string.", param="messages")
    rest = {name: value for name, value in part.items() if name not in {"type", "image_url"}}
    return {"type": "input_image", "image_url": url, **({"detail": image["detail"]} if "detail" in image else {}), **rest}


def _file(part: Json, where: str) -> Json:
    """https://platform.openai.com/docs/guides/pdf-files"""
    file = as_object(part.get("file"))
    identifier, data = file.get("file_id"), file.get("file_data")
    if not isinstance(identifier, str) and not isinstance(data, str):
        raise BadRequest(f"{where}.file needs file_data or file_id.", param="messages")
    kept = {name: file[name] for name in ("filename", "file_data", "file_id") if isinstance(file.get(name), str)}
    for name in ("file_id", "file_data"):  # LiteLLM takes addresses in either
        if str(kept.get(name, "")).startswith(("http://", "https://")):
            kept["file_url"] = kept.pop(name)
            kept.pop("filename", None)
    return {"type": "input_file", **kept}


_INPUT_PARTS: Mapping[str, Convert] = {"text": _text_as("input_text"), "image_url": _image, "file": _file}
_OUTPUT_PARTS: Mapping[str, Convert] = {"text": _text_as("output_text")}
