"""Recorded exchanges with Google and AWS: their raw bytes, an independent reading of them, and their requests in hub words."""

import base64
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support.recordings import ROOT, Answer

Json = dict[str, Any]


@dataclass(frozen=True)
class Exchange:
    name: str
    url: str
    model: str
    kind: str
    request: Any
    status: int
    headers: dict[str, str]
    body: bytes


def exchanges(*apis: str, failed: bool = False, kinds: tuple[str, ...] = ()) -> list[Any]:
    """pytest parameters for `provider/api` folders; one that skips when there is no data."""
    found = [
        pytest.param(exchange, id=exchange.name)
        for api in apis
        for exchange in _all(api)
        if (exchange.status >= 300) == failed and (not kinds or exchange.kind in kinds)
    ]
    return found or [pytest.param(None, marks=pytest.mark.skip(reason=f"no recordings of {', '.join(apis)} at ../shared/recordings"))]


def _all(api: str) -> Iterator[Exchange]:
    for path in sorted((ROOT / api).glob("*.json")):
        data = json.loads(path.read_text("utf-8"))
        response = data["response"]
        encoded = response.get("body_base64")
        yield Exchange(
            name=str(path.relative_to(ROOT).with_suffix("")),
            url=data["request"]["url"],
            model=data["model"],
            kind=data["response_kind"],
            request=data["request"].get("body"),
            status=response["status"],
            headers={key.lower(): value for key, value in response["headers"].items()},
            body=base64.b64decode(encoded) if encoded else (response.get("body") or "").encode(),
        )


# --- Gemini -------------------------------------------------------------------------------------------------------------------------------


def gemini_documents(body: bytes) -> list[Json]:
    """Every GenerateContentResponse of an answer, whole, array or SSE."""
    text = body.decode()
    if text.lstrip().startswith("["):
        return list(json.loads(text))
    if text.lstrip().startswith("{"):
        return [json.loads(text)]
    return [json.loads(line[5:]) for line in text.replace("\r\n", "\n").split("\n") if line.startswith("data:")]


def gemini_reading(body: bytes) -> tuple[Answer, Json]:
    """(the first candidate's answer, the usage that counts)."""
    answer, usage = Answer(), {}
    for document in gemini_documents(body):
        metadata = document.get("usageMetadata", {})
        if "totalTokenCount" in metadata or "candidatesTokenCount" in metadata:
            usage = metadata
        if "promptFeedback" in document and "candidates" not in document:
            answer.finish, answer.refusal = "content_filter", document["promptFeedback"]["blockReasonMessage"]
        for candidate in document.get("candidates", []):
            _read_candidate(candidate, answer)
    if answer.tools and answer.finish == "stop":
        answer.finish = "tool_calls"
    return answer, usage


def _read_candidate(candidate: Json, answer: Answer) -> None:
    for part in candidate.get("content", {}).get("parts", []):
        if part.get("thought"):
            answer.reasoning += part.get("text", "")
        elif "text" in part:
            answer.text += part["text"]
        elif "functionCall" in part:
            answer.tools.append((part["functionCall"]["name"], part["functionCall"].get("args", {})))
    if reason := candidate.get("finishReason"):
        answer.finish = {"STOP": "stop", "MAX_TOKENS": "length", "UNEXPECTED_TOOL_CALL": "stop", "SAFETY": "content_filter"}[reason]


def gemini_to_hub(body: Json, model: str, *, stream: bool) -> Json:
    """A recorded generateContent request as an OpenAI client would have said it; Google's own fields stay beside."""
    body = camel(body)
    request: Json = {"model": "alias", "messages": [], **({"stream": True} if stream else {})}
    if system := _parts(body.pop("systemInstruction", None)):
        request["messages"].append({"role": "system", "content": [{"type": "text", "text": part["text"]} for part in system]})
    calls: list[str] = []
    for content in body.pop("contents"):
        request["messages"] += list(_gemini_messages(content, calls))
    request |= _gemini_config(body.pop("generationConfig", None) or {})
    request |= _gemini_tools(body)
    return request | {name: value for name, value in body.items() if value is not None}


def _gemini_messages(content: Json, calls: list[str]) -> Iterator[Json]:
    if content["role"] == "model":
        yield _gemini_assistant(content, calls)
        return
    user = []
    for part in content["parts"]:
        if "functionResponse" in part:
            response = part["functionResponse"]
            media = [_hub_part(item) for item in response.get("parts", [])]
            text = {"type": "text", "text": json.dumps(response["response"])}
            yield {"role": "tool", "tool_call_id": response.get("id") or calls.pop(0), "content": [text, *media]}
        else:
            user.append(_hub_part(part))
    if user:
        yield {"role": "user" if content["role"] == "user" else content["role"], "content": user}


def _gemini_assistant(content: Json, calls: list[str]) -> Json:
    message: Json = {"role": "assistant", "content": [], "provider_specific_fields": {}}
    for part in content["parts"]:
        signature = part.get("thoughtSignature")
        if part.get("thought"):
            message["reasoning_content"] = message.get("reasoning_content", "") + part["text"]
        elif "functionCall" in part:
            call = part["functionCall"]
            identifier = call.get("id") or f"call_gem{len(calls):020x}"
            calls += [] if "id" in call else [identifier]
            made = {"id": identifier, "type": "function", "function": {"name": call["name"], "arguments": json.dumps(call["args"])}}
            message.setdefault("tool_calls", []).append(
                made | ({"provider_specific_fields": {"thought_signature": signature}} if signature else {})
            )
        elif "text" in part:
            message["content"].append({"type": "text", "text": part["text"]})
            if signature:
                message["provider_specific_fields"]["thought_signatures"] = [signature]
        else:
            message["provider_specific_fields"].setdefault("server_tools", []).append(part)
    return message


def _hub_part(part: Json) -> Json:
    if "text" in part:
        return {"type": "text", "text": part["text"]}
    file = part.get("fileData") or part["inlineData"]
    url, kind = file.get("fileUri") or f"data:{file['mimeType']};base64,{file['data']}", file["mimeType"]
    if kind.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url, "format": kind}}
    return {"type": "file", "file": {"file_id" if "fileUri" in file else "file_data": url, "format": kind}}


def _gemini_config(config: Json) -> Json:
    names = {
        "maxOutputTokens": "max_tokens",
        "temperature": "temperature",
        "topP": "top_p",
        "stopSequences": "stop",
        "candidateCount": "n",
        "seed": "seed",
    }
    request = {names[name]: value for name, value in config.items() if name in names}
    rest = {name: value for name, value in config.items() if name not in names}
    if "responseModalities" in rest:
        request["modalities"] = [name.lower() for name in rest.pop("responseModalities")]
    if "responseJsonSchema" in rest:
        rest.pop("responseMimeType")
        request["response_format"] = {"type": "json_schema", "json_schema": {"name": "x", "schema": rest.pop("responseJsonSchema")}}
    return request | rest


def _gemini_tools(body: Json) -> Json:
    tools: list[Json] = []
    for tool in body.pop("tools", None) or []:
        for function in tool.get("functionDeclarations", []):
            schema = function.get("parametersJsonSchema") or function.get("parameters")
            tools.append(
                {
                    "type": "function",
                    "function": {"name": function["name"], "description": function.get("description"), "parameters": schema},
                }
            )
        tools += [tool] if "functionDeclarations" not in tool else []
    request: Json = {"tools": tools} if tools else {}
    calling = (body.get("toolConfig") or {}).pop("functionCallingConfig", None)
    return request | ({"tool_choice": calling["mode"].lower()} if calling else {})


def gemini_meaning(body: Json) -> Json:
    """A request body without what makes no difference to Google: spelling, empty and null fields, a system role, order of tools."""
    body = _pruned(camel(body))
    for content in body["contents"]:
        # Summaries of thoughts need not come back; signatures carry the thoughts.
        content["parts"] = [part for part in content["parts"] if not part.get("thought")]
    if system := _parts(body.pop("systemInstruction", None)):
        body["systemInstruction"] = [part["text"] for part in system if part.get("text")]
        body = {name: value for name, value in body.items() if name != "systemInstruction" or value}
    tools = body.pop("tools", [])
    body["functions"] = {
        function["name"]: (
            function.get("description") or None,
            _lower_types(function.get("parametersJsonSchema") or function.get("parameters")),
        )
        for tool in tools
        for function in tool.get("functionDeclarations", [])
    }
    body["native"] = [tool for tool in tools if "functionDeclarations" not in tool]
    config = body.get("generationConfig", {})
    if config.get("candidateCount") == 1:
        del config["candidateCount"]
    calling = body.get("toolConfig", {}).get("functionCallingConfig")
    if calling:
        calling["mode"] = calling["mode"].upper()
    return _pruned(body)


def _parts(instruction: Any) -> list[Json]:
    parts = (instruction or {}).get("parts", [])
    return parts if isinstance(parts, list) else [parts]


_OPAQUE = {"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema"}


def camel(value: Any) -> Any:
    """snake_case keys → camelCase, but not inside schemas, arguments and results."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for name, item in value.items():
        head, *rest = name.split("_")
        key = head + "".join(word.capitalize() for word in rest)
        made[key] = item if key in _OPAQUE else camel(item)
    return made


def _pruned(value: Any) -> Any:
    if isinstance(value, list):
        return [_pruned(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _pruned(item) if name not in _OPAQUE else item for name, item in value.items()}
    return {
        name: item
        for name, item in kept.items()
        if item is not None
        and not (name == "thought" and item is False)
        and not (name in {"generationConfig", "toolConfig"} and item == {})
    }


def _lower_types(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_lower_types(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: item.lower() if name == "type" and isinstance(item, str) else _lower_types(item) for name, item in schema.items()}


# --- Bedrock ------------------------------------------------------------------------------------------------------------------------------


def frames(body: bytes) -> list[tuple[str, Json]]:
    """(event type, payload) of each message of an AWS event stream whose headers are all strings."""
    found, at = [], 0
    while at < len(body):
        total, size = struct.unpack(">II", body[at : at + 8])
        head, payload = body[at + 12 : at + 12 + size], body[at + 12 + size : at + total - 4]
        names, place = {}, 0
        while place < len(head):
            end = place + 1 + head[place]
            (length,) = struct.unpack(">H", head[end + 1 : end + 3])
            names[head[place + 1 : end].decode()] = head[end + 3 : end + 3 + length].decode()
            place = end + 3 + length
        found.append((names[":event-type"], json.loads(payload)))
        at += total
    return found


_STOPS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}


def converse_reading(body: bytes) -> tuple[Answer, Json]:
    data = json.loads(body)
    answer = Answer(finish=_STOPS[data["stopReason"]])
    for block in data["output"]["message"]["content"]:
        answer.text += block.get("text", "")
        answer.text += "".join(piece["text"] for piece in block.get("citationsContent", {}).get("content", []))
        answer.reasoning += block.get("reasoningContent", {}).get("reasoningText", {}).get("text", "")
        if "toolUse" in block and block["toolUse"].get("type") != "server_tool_use":
            answer.tools.append((block["toolUse"]["name"], block["toolUse"]["input"]))
    return answer, data["usage"]


def converse_stream_reading(body: bytes) -> tuple[Answer, Json]:
    answer, usage = Answer(), {}
    tools: dict[int, tuple[str, list[str]]] = {}
    for name, event in frames(body):
        if name == "contentBlockStart" and "toolUse" in event["start"] and event["start"]["toolUse"].get("type") != "server_tool_use":
            tools[event["contentBlockIndex"]] = (event["start"]["toolUse"]["name"], [])
        if name == "contentBlockDelta":
            delta = event["delta"]
            answer.text += delta.get("text", "")
            answer.reasoning += delta.get("reasoningContent", {}).get("text", "")
            if "toolUse" in delta and event["contentBlockIndex"] in tools:
                tools[event["contentBlockIndex"]][1].append(delta["toolUse"]["input"])
        if name == "messageStop":
            answer.finish = _STOPS[event["stopReason"]]
        if name == "metadata":
            usage = event["usage"]
    answer.tools = [(name, json.loads("".join(pieces) or "{}")) for name, pieces in tools.values()]
    return answer, usage


def converse_to_hub(body: Json, *, stream: bool) -> Json:
    """A recorded Converse request as an OpenAI client would have said it; AWS's own fields stay beside."""
    body = json.loads(json.dumps(body))
    request: Json = {"model": "alias", "messages": [], **({"stream": True} if stream else {})}
    if system := body.pop("system", None):
        request["messages"].append({"role": "system", "content": list(_hub_blocks(system))})
    for message in body.pop("messages"):
        request["messages"] += list(_converse_messages(message))
    config = body.pop("inferenceConfig", {})
    names = {"maxTokens": "max_tokens", "temperature": "temperature", "topP": "top_p", "stopSequences": "stop"}
    request |= {names[name]: value for name, value in config.items()}
    request |= _converse_tools(body.pop("toolConfig", {}))
    additional = body.pop("additionalModelRequestFields", {})
    if "inferenceConfig" in additional:
        request["top_k"] = additional.pop("inferenceConfig")["topK"]
    return request | additional | body


def _converse_tools(config: Json) -> Json:
    tools: list[Json] = []
    for tool in config.get("tools", []):
        if "cachePoint" in tool:
            tools[-1]["cache_control"] = {"type": "ephemeral"}
        elif spec := tool.get("toolSpec"):
            function = {"name": spec["name"], "description": spec.get("description"), "parameters": spec["inputSchema"]["json"]}
            tools.append({"type": "function", "function": function | ({"strict": True} if spec.get("strict") else {})})
        else:
            tools.append(tool)
    choices = {"auto": "auto", "any": "required"}
    choice: Any = next(iter(config.get("toolChoice", {})), None)
    choice = {"type": "function", "function": {"name": config["toolChoice"]["tool"]["name"]}} if choice == "tool" else choices.get(choice)
    return ({"tools": tools} if tools else {}) | ({"tool_choice": choice} if choice else {})


def _converse_messages(message: Json) -> Iterator[Json]:
    blocks = message["content"]
    if message["role"] == "assistant":
        yield _converse_assistant(blocks)
        return
    rest = [block for block in blocks if "toolResult" not in block]
    for block in blocks:
        if result := block.get("toolResult"):
            yield {"role": "tool", "tool_call_id": result["toolUseId"], "content": list(_hub_blocks(result["content"]))}
    if rest:
        yield {"role": "user", "content": list(_hub_blocks(rest))}


def _converse_assistant(blocks: list[Json]) -> Json:
    message: Json = {"role": "assistant", "content": []}
    for block in blocks:
        if "reasoningContent" in block:
            thought = {"type": "redacted_thinking", "data": block["reasoningContent"]["redactedContent"]}
            message.setdefault("thinking_blocks", []).append(thought)
        elif "toolResult" in block or block.get("toolUse", {}).get("type") == "server_tool_use":
            message.setdefault("provider_specific_fields", {}).setdefault("server_tools", []).append(block)
        elif use := block.get("toolUse"):
            function = {"name": use["name"], "arguments": json.dumps(use["input"])}
            message.setdefault("tool_calls", []).append({"id": use["toolUseId"], "type": "function", "function": function})
        else:
            message["content"] += _hub_blocks([block])
    return message


def _hub_blocks(blocks: list[Json]) -> Iterator[Json]:
    made: list[Json] = []
    for block in blocks:
        if "cachePoint" in block:
            made[-1]["cache_control"] = {"type": "ephemeral"}
        elif "text" in block:
            made.append({"type": "text", "text": block["text"]})
        elif image := block.get("image"):
            made.append({"type": "image_url", "image_url": {"url": f"data:image/{image['format']};base64,{image['source']['bytes']}"}})
        elif document := block.get("document"):
            data = f"data:text/plain;base64,{document['source']['bytes']}"
            made.append({"type": "file", "file": {"filename": f"{document['name']}.{document['format']}", "file_data": data}})
        else:
            made.append(block)
    yield from made


def converse_meaning(body: Json) -> Json:
    """A request body without what makes no difference to AWS: empty fields, a success status, messages split by role."""
    body = {name: value for name, value in json.loads(json.dumps(body)).items() if value not in ({}, [])}
    merged: list[Json] = []
    for message in body["messages"]:
        for block in message["content"]:
            if block.get("toolResult", {}).get("status") == "success" and "type" not in block["toolResult"]:
                del block["toolResult"]["status"]
        if merged and merged[-1]["role"] == message["role"]:
            merged[-1]["content"] += message["content"]
        else:
            merged.append(message)
    return body | {"messages": merged}
