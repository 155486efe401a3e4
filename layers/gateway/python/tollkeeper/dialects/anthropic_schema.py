"""JSON Schemas as Anthropic's structured outputs take them: closed objects, no numeric, length or pattern constraints.

What is taken out is put into words in the description, as Anthropic's own SDKs do.
https://docs.claude.com/en/docs/build-with-claude/structured-outputs#json-schema-limitations
"""

from typing import Any

import orjson

_UNSUPPORTED = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
)
_MAPS = ("properties", "$defs", "definitions", "patternProperties")
_LISTS = ("anyOf", "allOf", "oneOf", "prefixItems")


def structured_output_schema(schema: Any) -> Any:
    """A copy of the schema without what the API refuses."""
    if not isinstance(schema, dict):
        return schema
    limits = [name for name in _UNSUPPORTED if name in schema]
    if schema.get("minItems", 0) not in (0, 1):
        limits.append("minItems")
    copy = {name: _converted(name, value) for name, value in schema.items() if name not in limits}
    if limits:
        words = ", ".join(f"{name}: {orjson.dumps(schema[name]).decode()}" for name in limits)
        copy["description"] = f"{schema['description']} {{{words}}}" if schema.get("description") else f"{{{words}}}"
    if "object" in _types(schema) or "properties" in schema:
        copy["additionalProperties"] = False
    return copy


def _converted(name: str, value: Any) -> Any:
    if name in _MAPS and isinstance(value, dict):
        return {key: structured_output_schema(item) for key, item in value.items()}
    if name in _LISTS and isinstance(value, list):
        return [structured_output_schema(item) for item in value]
    return structured_output_schema(value) if name == "items" else value


def _types(schema: dict[str, Any]) -> list[Any]:
    kind = schema.get("type")
    return kind if isinstance(kind, list) else [kind]
