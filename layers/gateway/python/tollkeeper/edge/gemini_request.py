"""A generateContent request → the hub, for a deployment of another make. https://ai.google.dev/api/generate-content

What has a word in the hub is translated. Hints (safetySettings, labels, mediaResolution, topK where nobody takes it) are left out, since
they change no answer's meaning; Google's own tools but for search, and content that lies with Google, cannot be had elsewhere, and are
refused.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.fields import GATEWAY_FIELDS
from tollkeeper.dialects.hub_stream import as_object, as_objects, as_word
from tollkeeper.edge.anthropic_request import REASONS, TAKE_TOP_K
from tollkeeper.edge.carried import carried
from tollkeeper.edge.gemini_schema import json_schema
from tollkeeper.edge.tool_names import fit_names
from tollkeeper.errors import BadRequest

_SAME = {
    "temperature": "temperature",
    "topP": "top_p",
    "candidateCount": "n",
    "stopSequences": "stop",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "responseLogprobs": "logprobs",
    "logprobs": "top_logprobs",
}
"""generationConfig's name → OpenAI's."""
_MODES = {"AUTO": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "auto"}
_EFFORTS = ((2_048, "low"), (8_192, "medium"))
"""A thinking budget below so many tokens is this effort, any other one is high."""
_AUDIO_FORMATS = {"mpeg": "mp3", "mp3": "mp3", "x-wav": "wav", "wav": "wav", "wave": "wav"}
_REFUSED_TOOLS = ("codeExecution", "urlContext", "fileSearch", "computerUse", "googleMaps", "retrieval", "mcpServers")


def check_generate(body: Json, headers: Mapping[str, str]) -> Json:
    """One spelling for what has two, and the output limit under a name of the hub's, where budgets look for it. Raises BadRequest."""
    body = {name if name in _OURS else camel(name): value for name, value in body.items()}
    body["contents"] = _contents(body.get("contents"))
    config = body.get("generationConfig")
    if config is None:
        return body
    if not isinstance(config, dict):
        raise BadRequest("generationConfig must be an object.", param="generationConfig")
    config = {camel(name): value for name, value in config.items()}
    if (count := config.get("candidateCount")) is not None and (type(count) is not int or count < 1):
        # Google reads "5" as 5, and so would bill what was not set aside.
        raise BadRequest("candidateCount must be a whole number, at least 1.", param="generationConfig")
    limit = config.pop("maxOutputTokens", None)
    if limit is not None:
        body["max_output_tokens"] = limit
    return {**body, "generationConfig": config}


def check_stream(body: Json, headers: Mapping[str, str]) -> Json:
    return {**check_generate(body, headers), "stream": True}


def camel(name: str) -> str:
    """Google takes both spellings of its own fields."""
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)


_HUB_NAMES = frozenset({"max_output_tokens", "max_tokens", "max_completion_tokens", "metadata", "user"})
_OURS = GATEWAY_FIELDS | _HUB_NAMES


def _contents(given: Any) -> list[Json]:
    """A single content, and bare text, are taken as Google's clients take them."""
    if isinstance(given, dict):
        given = [given]
    if isinstance(given, str):
        given = [{"role": "user", "parts": [{"text": given}]}]
    if not isinstance(given, list) or not given or not all(isinstance(content, dict) for content in given):
        raise BadRequest("contents must be a non-empty list of objects with parts.", param="contents")
    for place, content in enumerate(given):
        if not isinstance(content.get("parts") or [], list | dict):
            raise BadRequest(f"contents[{place}].parts must be a list.", param="contents")
    return given


def _spelled_out(body: Json) -> Json:
    """Lists where Google takes one thing for a list of one. What goes to Google itself goes as it came."""
    system = body.get("systemInstruction")
    if isinstance(system, dict):
        body = {**body, "systemInstruction": _one_or_many(system, "parts")}
    return _one_or_many({**body, "contents": [_one_or_many(content, "parts") for content in body["contents"]]}, "tools")


def _one_or_many(holder: Json, name: str) -> Json:
    """Google takes one thing for a list of one, and its own examples give it so."""
    return {**holder, name: [holder[name]]} if isinstance(holder.get(name), dict) else holder


def generate_to_hub(body: Json, deployment: Deployment) -> Json:
    """Raises BadRequest naming what cannot be said elsewhere."""
    body = _spelled_out(body)
    if body.get("cachedContent"):
        raise BadRequest("cachedContent lies with Google and cannot be sent to this model.", param="cachedContent")
    hub: Json = {name: value for name, value in body.items() if name in GATEWAY_FIELDS or name in _HUB_NAMES}
    hub |= {name: body[name] for name in ("model", "stream") if name in body}
    limits = [hub.pop(name) for name in ("max_tokens", "max_completion_tokens", "max_output_tokens") if hub.get(name) is not None]
    if limits:
        hub["max_tokens"] = min(limits)
    hub["messages"] = list(_messages(body))
    _generation(as_object(body.get("generationConfig")), hub, deployment)
    _tools(body, hub)
    return fit_names(hub)


def _messages(body: Json) -> Iterator[Json]:
    system = body.get("systemInstruction")
    if system:
        parts = [{"text": system}] if isinstance(system, str) else as_objects(as_object(system).get("parts"))
        yield {"role": "system", "content": "\n".join(str(part.get("text") or "") for part in parts)}
    history = _History()
    for place, content in enumerate(body["contents"]):
        history.add(content, f"contents[{place}]")
    yield from history.messages


class _History:
    """Gemini's calls and responses mostly have no ids: a response belongs to the first call of its name that has none yet."""

    def __init__(self) -> None:
        self.messages: list[Json] = []
        self._open: list[tuple[str, str]] = []
        self._calls = 0

    def add(self, content: Json, where: str) -> None:
        parts = as_objects(content.get("parts"))
        role = content.get("role") or "user"
        if role == "model":
            self.messages.append(self._assistant(parts, where))
        elif role in ("user", "function", "tool"):
            self._user(parts, where)
        else:
            raise BadRequest(f"{where}.role: {str(role)[:40]!r} is not a role; use user or model.", param="contents")

    def _assistant(self, parts: list[Json], where: str) -> Json:
        message: Json = {"role": "assistant", "content": None}
        texts = [str(part["text"]) for part in parts if isinstance(part.get("text"), str) and not part.get("thought")]
        if any(texts):
            message["content"] = "".join(texts)
        if calls := [self._call(call) for part in parts if (call := as_object(_either(part, "functionCall")))]:
            message["tool_calls"] = calls
        for part in parts:
            message |= carried(_either(part, "thoughtSignature"))
        if message["content"] is None and "tool_calls" not in message:
            message["content"] = ""
        return message

    def _call(self, call: Json) -> Json:
        name = str(call.get("name") or "")
        self._calls += 1
        identifier = str(call.get("id") or f"call_{self._calls}")
        self._open.append((identifier, name))
        arguments = orjson.dumps(call.get("args") or {}).decode()
        return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}

    def _user(self, parts: list[Json], where: str) -> None:
        """Tool results first, as the hub wants them right after the calls."""
        rest: list[Json] = []
        for place, part in enumerate(parts):
            response = _either(part, "functionResponse")
            if isinstance(response, dict):
                self.messages.append(self._result(response))
                rest += [made for media in as_objects(response.get("parts")) if (made := hub_part(media, f"{where}.parts[{place}]"))]
            elif made := hub_part(part, f"{where}.parts[{place}]"):
                rest.append(made)
        if rest:
            only_text = len(rest) == 1 and rest[0]["type"] == "text"
            self.messages.append({"role": "user", "content": rest[0]["text"] if only_text else rest})

    def _result(self, response: Json) -> Json:
        name, identifier = str(response.get("name") or ""), str(response.get("id") or "")
        fitting = next((pair for pair in self._open if pair[0] == identifier), None) if identifier else None
        fitting = fitting or next((pair for pair in self._open if pair[1] == name), None)
        if fitting is not None:
            self._open.remove(fitting)
        said = response.get("response")
        only = next(iter(said.values())) if isinstance(said, dict) and said.keys() in ({"output"}, {"result"}) else None
        content = only if isinstance(only, str) else orjson.dumps(said if said is not None else {}).decode()
        return {"role": "tool", "tool_call_id": fitting[0] if fitting else identifier or name, "content": content}


def hub_part(part: Json, where: str) -> Json | None:
    """One part of a user's turn; None for one that says nothing. Raises BadRequest for what only Google can read."""
    if isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]} if part["text"] and not part.get("thought") else None
    if isinstance(blob := _either(part, "inlineData"), dict):
        kind, data = str(_either(blob, "mimeType") or "image/png"), str(blob.get("data") or "").translate(_STANDARD)
        return _media(kind, f"data:{kind};base64,{data}", data)
    if isinstance(file := _either(part, "fileData"), dict):
        kind, uri = str(_either(file, "mimeType") or "image/png"), str(_either(file, "fileUri") or "")
        if uri.startswith("gs://") or "/v1beta/files/" in uri:
            raise BadRequest(f"{where}: {uri[:80]} lies with Google; send the file itself, or a public URL.", param="contents")
        return _media(kind, uri, None)
    if isinstance(part.get("executableCode") or part.get("codeExecutionResult"), dict):
        return None
    if not part or part.keys() <= {"thoughtSignature", "thought_signature", "thought"}:
        return None
    raise BadRequest(f"{where}: parts with {', '.join(sorted(part))[:80]} can only be sent to Google's own models.", param="contents")


_STANDARD = str.maketrans("-_", "+/")
"""Google's clients send URL-safe base64, which others refuse in a data: URL."""


def _media(kind: str, url: str, data: str | None) -> Json:
    family, _, form = kind.partition("/")
    if family == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    if family == "audio" and data is not None:
        return {"type": "input_audio", "input_audio": {"data": data, "format": _AUDIO_FORMATS.get(form, form)}}
    if family == "video":
        return {"type": "video_url", "video_url": {"url": url}}
    return {"type": "file", "file": {"file_id": url} if data is None else {"filename": f"file.{form}", "file_data": url}}


def _generation(config: Json, hub: Json, deployment: Deployment) -> None:
    hub |= {theirs: config[ours] for ours, theirs in _SAME.items() if config.get(ours) is not None}
    if config.get("topK") is not None and deployment.dialect in TAKE_TOP_K:
        hub["top_k"] = config["topK"]
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    if isinstance(schema, dict):
        found = json_schema(schema) if "responseJsonSchema" not in config else schema
        hub["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": found}}
    elif config.get("responseMimeType") == "application/json":
        hub["response_format"] = {"type": "json_object"}
    modalities = [str(each).lower() for each in _list(config.get("responseModalities"))]
    if modalities and modalities != ["text"]:
        hub["modalities"] = modalities
    _thinking(as_object(config.get("thinkingConfig")), hub, deployment)


def _thinking(given: Json, hub: Json, deployment: Deployment) -> None:
    """https://ai.google.dev/gemini-api/docs/thinking"""
    if not given or not REASONS.search(deployment.model.lower()):
        return
    budget, level = _either(given, "thinkingBudget"), as_word(_either(given, "thinkingLevel")).lower()
    if level:
        hub["reasoning_effort"] = level
    elif type(budget) is int and budget > 0:
        hub["reasoning_effort"] = next((effort for least, effort in _EFFORTS if budget < least), "high")


def _tools(body: Json, hub: Json) -> None:
    for place, given in enumerate(as_objects(body.get("tools"))):
        tool = {camel(name): value for name, value in given.items() if value is not None}
        if refused := [name for name in _REFUSED_TOOLS if name in tool]:
            raise BadRequest(f"tools[{place}]: {refused[0]} is only run by Google's own models.", param="tools")
        if "googleSearch" in tool or "googleSearchRetrieval" in tool:
            hub["web_search_options"] = {}
        for declared in as_objects(tool.get("functionDeclarations")):
            hub.setdefault("tools", []).append({"type": "function", "function": _function(declared, place)})
    if "tools" in hub:
        config = as_object(body.get("toolConfig"))
        _choice(as_object(_either(config, "functionCallingConfig")), hub)


def _function(declared: Json, place: int) -> Json:
    if not isinstance(declared.get("name"), str) or not declared["name"]:
        raise BadRequest(f"tools[{place}]: a function declaration needs a name.", param="tools")
    given = _either(declared, "parametersJsonSchema")
    parameters = given if isinstance(given, dict) else json_schema(as_object(declared.get("parameters")))
    function: Json = {"name": declared["name"], "parameters": parameters or {"type": "object", "properties": {}}}
    return {**function, "description": declared["description"]} if declared.get("description") else function


def _choice(config: Json, hub: Json) -> None:
    mode = as_word(config.get("mode")).upper()
    names = [name for name in _list(_either(config, "allowedFunctionNames")) if isinstance(name, str)]
    if names:
        hub["tools"] = [tool for tool in hub["tools"] if tool["function"]["name"] in names] or hub["tools"]
    if mode == "ANY" and len(names) == 1:
        hub["tool_choice"] = {"type": "function", "function": {"name": names[0]}}
    elif mode in _MODES:
        hub["tool_choice"] = _MODES[mode]


def _either(node: Json, name: str) -> Any:
    """A field in either of Google's spellings."""
    if name in node:
        return node[name]
    return node.get("".join("_" + char.lower() if char.isupper() else char for char in name))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
