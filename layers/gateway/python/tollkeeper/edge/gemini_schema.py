"""Google's Schema → JSON Schema. https://ai.google.dev/api/caching#Schema"""

from typing import Any

from tollkeeper.dialects.base import Json

_WHOLE = frozenset({"minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength"})
"""int64, which protobuf writes as text."""
_LEFT_OUT = frozenset({"nullable", "propertyOrdering", "property_ordering", "example"})


def json_schema(schema: Json) -> Json:
    """Types in lower case, `nullable` as a type of its own; whatever else stands there stays."""
    made: Json = {}
    for name, value in schema.items():
        if name in _LEFT_OUT or value is None:
            continue
        made[_SPELLING.get(name, name)] = _value(_SPELLING.get(name, name), value)
    if schema.get("nullable") and isinstance(kind := made.get("type"), str):
        made["type"] = [kind, "null"]
    if made.get("type") == "type_unspecified":
        del made["type"]
    return made


_SPELLING = {
    "any_of": "anyOf",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "min_length": "minLength",
    "max_length": "maxLength",
    "additional_properties": "additionalProperties",
}


def _value(name: str, value: Any) -> Any:
    if name == "type":
        return value.lower() if isinstance(value, str) else value
    if name in {"items", "additionalProperties"} and isinstance(value, dict):
        return json_schema(value)
    if name == "properties" and isinstance(value, dict):
        return {key: json_schema(each) if isinstance(each, dict) else each for key, each in value.items()}
    if name == "anyOf" and isinstance(value, list):
        return [json_schema(each) if isinstance(each, dict) else each for each in value]
    if name in _WHOLE and isinstance(value, str) and value.isdecimal():
        return int(value)
    return value
