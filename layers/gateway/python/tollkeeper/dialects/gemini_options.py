"""Everything of a hub request but its messages → generationConfig, tools, toolConfig and the rest of a Gemini body.

https://ai.google.dev/api/generate-content#v1beta.GenerationConfig · https://ai.google.dev/api/caching#Tool
Gemini's own fields pass, in either spelling: top-level ones stay where they are, generationConfig's move into it. Money was held for the
output limit and `n` of the hub, so no other spelling may ask for more: of several limits the smallest is sent.
"""

from typing import Any

from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.fields import drop_unsupported
from tollkeeper.dialects.gemini_thinking import family_of, thinking_of, unsupported_thinking
from tollkeeper.errors import BadRequest

_GENERATION = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "n": "candidateCount",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
"""OpenAI's name → generationConfig's."""

_NATIVE_GENERATION = (
    "topP", "topK", "maxOutputTokens", "candidateCount", "stopSequences", "presencePenalty", "frequencyPenalty", "responseLogprobs",
    "responseMimeType", "responseSchema", "responseJsonSchema", "responseModalities", "thinkingConfig", "speechConfig", "imageConfig",
    "mediaResolution", "enableEnhancedCivicAnswers", "audioTimestamp", "routingConfig", "modelSelectionConfig",
)  # fmt: skip
_NATIVE_TOP = (
    "generationConfig", "safetySettings", "cachedContent", "toolConfig", "systemInstruction", "contents", "labels", "modelArmorConfig",
    "serviceTier",
)  # fmt: skip

_UNSUPPORTED = ("logit_bias", "prediction", "verbosity", "functions", "function_call")
_IGNORED = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "stream",
        "stream_options",
        "user",
        "metadata",
        "store",
        "safety_identifier",
        "prompt_cache_key",
    }
    | {"prompt_cache_retention", "parallel_tool_calls", "service_tier", "thinking", "reasoning_effort", "audio", "modalities"}
    | {"tools", "tool_choice", "response_format", "stop", "web_search_options"}
)
"""Read by name below, or meaning nothing to Gemini and asking nothing of it."""

_TIERS = ("flex", "priority", "standard")
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "any": "ANY", "validated": "VALIDATED"}
_WEB_SEARCH = ("web_search", "web_search_preview", "web_search_20250305")


def _snake(name: str) -> str:
    return "".join("_" + char.lower() if char.isupper() else char for char in name)


_GENERATION_NAMES = {spelling: name for name in _NATIVE_GENERATION for spelling in (name, _snake(name))}
_TOP_NAMES = {spelling: name for name in _NATIVE_TOP for spelling in (name, _snake(name))}


def is_vertex(target: Target) -> bool:
    return "/projects/" in target.base_url or "aiplatform.googleapis.com" in target.base_url


def body_of(fields: Json, target: Target) -> Json:
    """The body without contents. `fields` is the caller's request without what is addressed to the gateway; it is not changed."""
    fields = {name: value for name, value in fields.items() if value is not None}
    drop_unsupported(fields, (*_UNSUPPORTED, *_single_call(fields), *unsupported_thinking(fields, target.model)), target)
    body = {_TOP_NAMES.get(name, name): value for name, value in fields.items() if not _is_read(name)}
    if generation := _generation(fields, _own_generation(fields, body), target):
        body["generationConfig"] = generation
    tools = _tools(fields)
    if tools:
        body["tools"] = tools
    if config := _tool_config(fields, tools, target) | _object(body, "toolConfig"):
        body["toolConfig"] = config
    if fields.get("service_tier") in _TIERS and not is_vertex(target):
        body.setdefault("serviceTier", fields["service_tier"])
    return body


def _is_read(name: str) -> bool:
    return name in _IGNORED or name in _GENERATION or name in _GENERATION_NAMES


def _single_call(fields: Json) -> tuple[str, ...]:
    """Gemini has no switch for one call at a time; with one tool at most it is not missed."""
    tools = fields.get("tools")
    several = isinstance(tools, list) and len(tools) > 1
    return ("parallel_tool_calls",) if several and fields.get("parallel_tool_calls") is False else ()


def _own_generation(fields: Json, body: Json) -> Json:
    """generationConfig in Gemini's words, from the top level and from an object of that name, which is taken out of `body`."""
    nested = body.pop("generationConfig", None)
    given = {**fields, **(nested if isinstance(nested, dict) else {})}
    own = {_GENERATION_NAMES[name]: value for name, value in given.items() if name in _GENERATION_NAMES}
    rest = {name: value for name, value in nested.items() if name not in _GENERATION_NAMES} if isinstance(nested, dict) else {}
    if "candidateCount" in own and own["candidateCount"] != fields.get("n", 1):
        raise BadRequest("Ask for several candidates with n.", param="candidateCount")
    return {**rest, **own}


def _generation(fields: Json, own: Json, target: Target) -> Json:
    config = {name: fields[field] for field, name in _GENERATION.items() if field in fields and not _is_default(field, fields[field])}
    if stop := fields.get("stop"):
        config["stopSequences"] = [stop] if isinstance(stop, str) else stop
    if modalities := fields.get("modalities"):
        config["responseModalities"] = [str(modality).upper() for modality in _list(modalities, "modalities")]
    if voice := _object(fields, "audio").get("voice"):
        config["speechConfig"] = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}}
    if thinking := thinking_of(fields, target.model):
        config["thinkingConfig"] = thinking
    config |= _response_format(fields) | own
    limit = smallest_limit(fields.get("max_tokens"), fields.get("max_completion_tokens"), own.get("maxOutputTokens"))
    return config if limit is None else {**config, "maxOutputTokens": limit}


def smallest_limit(*limits: Any) -> int | None:
    """The output limit to send. A limit that is not a whole number is refused, since a provider may read more into it than we do."""
    given = [limit for limit in limits if limit is not None]
    if not all(isinstance(limit, int) and not isinstance(limit, bool) for limit in given):
        raise BadRequest("An output limit must be a whole number.", param="max_tokens")
    return min(given, default=None)


def _is_default(field: str, value: Any) -> bool:
    return (field == "n" and value == 1) or (field in {"logprobs", "top_logprobs"} and not value)


def _response_format(fields: Json) -> Json:
    """JSON Schema goes as it is: responseJsonSchema takes $defs, $ref, additionalProperties and the rest
    (https://ai.google.dev/gemini-api/docs/structured-output#json_schema_support).
    """
    form = _object(fields, "response_format")
    if form.get("type") == "json_schema":
        schema = _object(form, "json_schema").get("schema")
        return {"responseMimeType": "application/json", **({"responseJsonSchema": schema} if schema else {})}
    if form.get("type") == "json_object":
        schema = form.get("response_schema") or form.get("schema")
        return {"responseMimeType": "application/json", **({"responseJsonSchema": schema} if schema else {})}
    return {}


def _tools(fields: Json) -> list[Json]:
    functions: list[Json] = []
    tools: list[Json] = []
    for tool in _list(fields.get("tools") or [], "tools"):
        if not isinstance(tool, dict):
            raise BadRequest("A tool must be an object.", param="tools")
        if tool.get("type") == "function":
            functions.append(_declaration(tool))
        elif "type" not in tool:
            tools.append(tool)  # Gemini's own: googleSearch, codeExecution, urlContext, functionDeclarations …
        elif str(tool["type"]) in _WEB_SEARCH:
            tools.append({"googleSearch": {}})
        else:
            raise BadRequest(f"Gemini has no tool of type {tool['type']!r}.", param="tools")
    if "web_search_options" in fields:
        tools.append({"googleSearch": {}})
    return [*tools, {"functionDeclarations": functions}] if functions else tools


def _declaration(tool: Json) -> Json:
    function = _object(tool, "function")
    if not isinstance(name := function.get("name"), str) or not name:
        raise BadRequest("A tool has no function name.", param="tools")
    declaration: Json = {"name": name}
    if description := function.get("description"):
        declaration["description"] = description
    if parameters := function.get("parameters"):
        declaration["parametersJsonSchema"] = parameters
    return declaration


def _tool_config(fields: Json, tools: list[Json], target: Target) -> Json:
    config: Json = {}
    if tools and (calling := _calling(fields.get("tool_choice"))):
        config["functionCallingConfig"] = calling
    family = family_of(target.model)
    mixed = any("functionDeclarations" in tool for tool in tools) and any("functionDeclarations" not in tool for tool in tools)
    # https://ai.google.dev/gemini-api/docs/tool-combination
    if mixed and family and family.signed_calls and not is_vertex(target):
        config["includeServerSideToolInvocations"] = True
    return config


def _calling(choice: Any) -> Json:
    if choice is None:
        return {}
    if isinstance(choice, str) and choice.lower() in _MODES:
        return {"mode": _MODES[choice.lower()]}
    if isinstance(choice, dict) and choice.get("type") == "function":
        name = _object(choice, "function").get("name") or choice.get("name")
        return {"mode": "ANY", "allowedFunctionNames": [name]}
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        return _allowed(_object(choice, "allowed_tools") or choice)
    if isinstance(choice, dict) and str(choice.get("type")) in _MODES:
        return {"mode": _MODES[choice["type"]]}
    raise BadRequest("tool_choice must be auto, none, required, or name a function.", param="tool_choice")


def _allowed(choice: Json) -> Json:
    """AUTO takes no list of names; VALIDATED is AUTO with one."""
    names = [_object(tool, "function").get("name") or tool.get("name") for tool in _list(choice.get("tools") or [], "tool_choice")]
    mode = "ANY" if choice.get("mode") == "required" else "VALIDATED"
    return {"mode": mode, "allowedFunctionNames": [name for name in names if name]}


def _object(fields: Json, name: str) -> Json:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadRequest(f"{name} must be a list.", param=name)
    return value
