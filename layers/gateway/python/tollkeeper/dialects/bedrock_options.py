"""Everything of a hub request but its messages → inferenceConfig, toolConfig, outputConfig, additionalModelRequestFields and the rest.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
Converse's own top-level fields pass; a field nobody knows is the model's own and goes into additionalModelRequestFields, as in LiteLLM.
Money was held for the hub's output limit, so no other spelling may ask for more: of several limits the smallest is sent.
"""

from typing import Any

import orjson

from tollkeeper.dialects.anthropic_encode import JSON_TOOL, MIN_THINKING_BUDGET
from tollkeeper.dialects.anthropic_schema import structured_output_schema
from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.bedrock_messages import cache_point, is_unsigned_tool_loop, used_tools
from tollkeeper.dialects.bedrock_models import Family, family_of
from tollkeeper.dialects.fields import drop_unsupported
from tollkeeper.dialects.gemini_options import smallest_limit
from tollkeeper.dialects.hub_request import narrow_tools
from tollkeeper.errors import BadRequest

_INFERENCE = {"temperature": "temperature", "top_p": "topP"}
_HIDDEN_LIMITS = frozenset(
    {"max_tokens", "maxTokens", "max_new_tokens", "max_gen_len", "maxTokenCount", "max_tokens_to_sample", "num_generations"}
)
_TOP = frozenset(
    {"guardrailConfig", "performanceConfig", "requestMetadata", "promptVariables", "additionalModelResponseFieldPaths", "serviceTier"}
    | {"outputConfig", "inferenceConfig", "additionalModelRequestFields", "toolConfig"}
)
_UNSUPPORTED = ("n", "seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias", "prediction", "verbosity",
                "modalities", "audio", "web_search_options", "functions", "function_call")  # fmt: skip
_READ = frozenset(
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
    | {"prompt_cache_retention", "parallel_tool_calls", "service_tier", "reasoning_effort", "tools", "tool_choice", "response_format"}
    | {"stop", "top_k"}
)
_JSON_ONLY = "Answer with one JSON object and nothing else, without a code fence."
_TIERS = ("default", "flex", "priority", "reserved")


def body_of(fields: Json, system: list[Json], messages: list[Json], target: Target) -> Json:
    """The whole body. `fields` is not changed. Raises BadRequest or UnsupportedParams."""
    fields = {name: value for name, value in fields.items() if value is not None}
    family = family_of(target.model)
    drop_unsupported(fields, (*_UNSUPPORTED, *_unsupported_by(family, fields)), target)
    body: Json = {"messages": messages, **{name: value for name, value in fields.items() if name in _TOP}}
    additional = _additional(fields, messages, family)
    if inference := _inference(fields):
        body["inferenceConfig"] = inference
    if tools := _tool_config(fields, messages, family, additional):
        body.setdefault("toolConfig", tools)
    system = [*system, *_response_format(body, fields, family, additional)]
    if system:
        body["system"] = system
    if fields.get("service_tier") in _TIERS:
        body.setdefault("serviceTier", {"type": fields["service_tier"]})
    additional = _merged(additional, _object(fields, "additionalModelRequestFields"))
    if hidden := _HIDDEN_LIMITS & {*additional, *_object(additional, "inferenceConfig")}:
        raise BadRequest("Limit the output with max_tokens.", param=min(hidden))
    if additional:
        body["additionalModelRequestFields"] = additional
    return body


def _unsupported_by(family: Family, fields: Json) -> list[str]:
    names = []
    if "reasoning_effort" in fields and not family.efforts:
        names.append("reasoning_effort")
    if fields.get("parallel_tool_calls") is False and not family.claude and len(_list(fields, "tools")) > 1:
        names.append("parallel_tool_calls")
    return names


def _inference(fields: Json) -> Json:
    config = {name: fields[field] for field, name in _INFERENCE.items() if field in fields}
    if stop := fields.get("stop"):
        config["stopSequences"] = [stop] if isinstance(stop, str) else stop
    config |= _object(fields, "inferenceConfig")
    limit = smallest_limit(fields.get("max_tokens"), fields.get("max_completion_tokens"), config.get("maxTokens"))
    return config if limit is None else {**config, "maxTokens": limit}


def _additional(fields: Json, messages: list[Json], family: Family) -> Json:
    """What the model takes and Converse does not know."""
    known = _READ | _TOP | _INFERENCE.keys()
    additional = {name: value for name, value in fields.items() if name not in known}
    if "top_k" in fields:
        additional = _merged(additional, _nested(family.top_k, fields["top_k"]))
    if (effort := fields.get("reasoning_effort")) is not None and family.efforts and "thinking" not in fields:
        if not isinstance(effort, str) or effort not in family.efforts:
            raise BadRequest(f"reasoning_effort must be one of {', '.join(family.efforts)}.", param="reasoning_effort")
        if not (family.claude and is_unsigned_tool_loop(messages)):
            additional = _merged(_within_limit(family.efforts[effort], fields), additional)
    return additional


def _within_limit(thinking: Json, fields: Json) -> Json:
    """Claude wants a thinking budget below the output limit. The caller's limit stands (a budget was held for it), so the thinking gives
    way, and at 1,024 tokens there is no room for any.
    """
    budget = _object(thinking, "thinking").get("budget_tokens")
    limit = _inference(fields).get("maxTokens")
    if not isinstance(budget, int) or not isinstance(limit, int) or budget < limit:
        return thinking
    return {"thinking": {"type": "enabled", "budget_tokens": limit - 1}} if limit > MIN_THINKING_BUDGET else {}


def _response_format(body: Json, fields: Json, family: Family, additional: Json) -> list[Json]:
    """Puts response_format into `body` as outputConfig or as a forced tool; where neither can be, gives the instruction that must do."""
    form = _object(fields, "response_format")
    if form.get("type") not in ("json_schema", "json_object") or "outputConfig" in body:
        return []
    given = _object(form, "json_schema")
    schema = _object(given, "schema")
    if form["type"] == "json_schema" and not schema:
        raise BadRequest("response_format.json_schema.schema must be an object.", param="response_format")
    if schema and family.schema:
        body["outputConfig"] = _output_config(structured_output_schema(schema) if family.claude else schema, given)
    elif schema and "toolConfig" not in body and "thinking" not in additional:
        spec = _tool_spec(JSON_TOOL, "Give the answer as this tool's input.", {"type": "object", "properties": {}, **schema})
        body["toolConfig"] = {"tools": [spec], "toolChoice": {"tool": {"name": JSON_TOOL}}}
    else:
        return [{"text": _JSON_ONLY + (f" It must match this JSON Schema: {orjson.dumps(schema).decode()}" if schema else "")}]
    return []


def _output_config(schema: Json, given: Json) -> Json:
    structure = {"schema": orjson.dumps(schema).decode(), "name": str(given.get("name") or "answer")}
    if description := given.get("description"):
        structure["description"] = description
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": structure}}}


def _tool_config(fields: Json, messages: list[Json], family: Family, additional: Json) -> Json:
    narrow_tools(fields := dict(fields))
    tools = [block for tool in _list(fields, "tools") for block in _tool(tool, family)]
    choice = _choice(fields.get("tool_choice"))
    if not tools or fields.get("tool_choice") == "none":
        # Converse refuses a history with tool calls unless toolConfig names tools; it has no way to forbid calling them.
        return {"tools": [_tool_spec(name, "", {}) for name in used]} if (used := used_tools(messages)) else {}
    if family.claude and fields.get("parallel_tool_calls") is False:
        additional.setdefault("tool_choice", {**_claude_choice(choice), "disable_parallel_tool_use": True})
        return {"tools": tools}
    return {"tools": tools, **({"toolChoice": choice} if choice else {})}


def _tool(tool: Any, family: Family) -> list[Json]:
    if not isinstance(tool, dict):
        raise BadRequest("A tool must be an object.", param="tools")
    if "type" not in tool:
        return [tool]  # Converse's own: toolSpec, systemTool, cachePoint.
    if tool["type"] != "function":
        raise BadRequest(f"Bedrock Converse has no tool of type {tool['type']!r}.", param="tools")
    function = _object(tool, "function")
    if not isinstance(name := function.get("name"), str) or not name:
        raise BadRequest("A tool has no function name.", param="tools")
    block = _tool_spec(name, str(function.get("description") or ""), _object(function, "parameters"))
    if function.get("strict") is True and family.schema:
        block["toolSpec"]["strict"] = True
    return [block, *(cache_point(tool) or cache_point(function))]


def _tool_spec(name: str, description: str, schema: Json) -> Json:
    spec: Json = {"name": name, "inputSchema": {"json": schema or {"type": "object", "properties": {}}}}
    return {"toolSpec": {**spec, "description": description} if description else spec}


def _choice(choice: Any) -> Json:
    if choice is None or choice == "none":
        return {}
    if choice in ("auto", "required", "any"):
        return {"auto" if choice == "auto" else "any": {}}
    if isinstance(choice, dict):
        name = _object(choice, "function").get("name") or choice.get("name")
        if isinstance(name, str) and name:
            return {"tool": {"name": name}}
        if choice.get("type") in ("auto", "any", "required"):
            return _choice(choice["type"])
    raise BadRequest("tool_choice must be auto, none, required, or name a function.", param="tool_choice")


def _claude_choice(choice: Json) -> Json:
    """Converse's toolChoice in the Messages API's words, which alone can say `disable_parallel_tool_use`."""
    if name := _object(choice, "tool").get("name"):
        return {"type": "tool", "name": name}
    return {"type": "any" if "any" in choice else "auto"}


def _nested(path: tuple[str, ...], value: Any) -> Json:
    for name in reversed(path):
        value = {name: value}
    return dict(value)


def _merged(base: Json, over: Json) -> Json:
    """Both; where both have an object, its fields together, `over` winning."""
    merged = {**base, **over}
    for name in base.keys() & over.keys():
        if isinstance(base[name], dict) and isinstance(over[name], dict):
            merged[name] = {**base[name], **over[name]}
    return merged


def _object(fields: Json, name: str) -> Json:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def _list(fields: Json, name: str) -> list[Any]:
    value = fields.get(name) or []
    if not isinstance(value, list):
        raise BadRequest(f"{name} must be a list.", param=name)
    return value
