"""A JSON schema → the smallest value that satisfies it, so that the demo model can call tools and answer in structure.

https://json-schema.org/draft/2020-12. Only what function schemas use: types, properties, enum, const, items, anyOf, $ref, minimums.
"""

from typing import Any

Schema = dict[str, Any]
MAX_DEPTH = 16


def example_of(schema: Schema) -> Any:
    """Recursive schemas stop at a fixed depth with null."""
    return _example(schema, schema, 0)


def _example(schema: Any, root: Schema, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return None
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if isinstance(ref := schema.get("$ref"), str):
        return _example(_resolve(ref, root), root, depth + 1)
    for combiner in ("anyOf", "oneOf", "allOf"):
        if schema.get(combiner):
            return _example(schema[combiner][0], root, depth + 1)
    return _of_type(schema, root, depth)


def _of_type(schema: Schema, root: Schema, depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), None)
    if kind == "array":
        return [_example(schema.get("items") or {}, root, depth + 1) for _ in range(max(1, int(schema.get("minItems", 1))))]
    if kind in {"integer", "number"}:
        return schema.get("minimum", 1)
    if kind == "string":
        return str(schema.get("default", "demo")).ljust(int(schema.get("minLength", 0)), ".")
    if kind == "boolean":
        return True
    if kind == "object" or "properties" in schema:
        return {name: _example(part, root, depth + 1) for name, part in (schema.get("properties") or {}).items()}
    return {} if kind is None and depth == 0 else None


def _resolve(ref: str, root: Schema) -> Any:
    node: Any = root
    for part in ref.removeprefix("#/").split("/"):
        node = node.get(part, {}) if isinstance(node, dict) else {}
    return node
