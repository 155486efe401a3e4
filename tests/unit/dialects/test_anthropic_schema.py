from tollkeeper.dialects.anthropic_schema import structured_output_schema


def test_objects_are_closed_all_the_way_down() -> None:
    inner = {"type": "object", "properties": {"x": {"type": ["object", "null"]}}}
    schema = {"type": "object", "properties": {"a": inner, "b": {"type": "array", "items": inner}}, "$defs": {"D": inner}, "anyOf": [inner]}
    closed = {
        "type": "object",
        "properties": {"x": {"type": ["object", "null"], "additionalProperties": False}},
        "additionalProperties": False,
    }
    assert structured_output_schema(schema) == {
        "type": "object",
        "properties": {"a": closed, "b": {"type": "array", "items": closed}},
        "$defs": {"D": closed},
        "anyOf": [closed],
        "additionalProperties": False,
    }


def test_limits_become_words() -> None:
    schema = {"type": "string", "description": "A name.", "minLength": 2, "maxLength": 5}
    assert structured_output_schema(schema) == {"type": "string", "description": "A name. {minLength: 2, maxLength: 5}"}
    assert structured_output_schema({"type": "array", "minItems": 3}) == {"type": "array", "description": "{minItems: 3}"}
    assert structured_output_schema({"type": "array", "minItems": 1}) == {"type": "array", "minItems": 1}


def test_a_property_that_is_called_like_a_limit_stays() -> None:
    schema = {"type": "object", "properties": {"minimum": {"type": "integer"}}, "additionalProperties": False}
    assert structured_output_schema(schema) == schema


def test_the_given_schema_is_not_changed() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "maximum": 3}}}
    structured_output_schema(schema)
    assert schema == {"type": "object", "properties": {"a": {"type": "integer", "maximum": 3}}}
