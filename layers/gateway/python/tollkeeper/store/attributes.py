"""Items ⇄ DynamoDB's typed attributes, and the conditions ⇄ its expressions.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from tollkeeper.store.table import AtMost, Condition, Equals, Exists, Item, Missing
from tollkeeper.store.values import canonical

Attribute = dict[str, Any]


def marshal_value(value: Any) -> Attribute:
    """Raises ValueError for what no store can hold."""
    return _typed(canonical(value))


def marshal(item: Mapping[str, Any]) -> dict[str, Attribute]:
    return {name: _typed(value) for name, value in canonical(item).items()}


def unmarshal(attributes: Mapping[str, Attribute]) -> Item:
    """Raises ValueError for a type that this gateway never writes (binary, sets)."""
    return {name: _plain(value) for name, value in attributes.items()}


def _typed(value: Any) -> Attribute:
    return _TYPED[type(value)](value)


_TYPED: dict[type, Callable[[Any], Attribute]] = {
    str: lambda value: {"S": value},
    bool: lambda value: {"BOOL": value},
    int: lambda value: {"N": str(value)},
    float: lambda value: {"N": repr(value)},
    type(None): lambda _: {"NULL": True},
    list: lambda value: {"L": [_typed(each) for each in value]},
    dict: lambda value: {"M": {name: _typed(each) for name, each in value.items()}},
}


def _plain(attribute: Attribute) -> Any:
    ((kind, value),) = attribute.items()
    if kind == "S":
        return value
    reader = _PLAIN.get(kind)
    if reader is None:
        raise ValueError(f"an attribute of type {kind} is not ours")
    return reader(value)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        number = Decimal(text)
    return int(number) if number == number.to_integral_value() else float(number)


_PLAIN: dict[str, Callable[[Any], Any]] = {
    "N": _number,
    "BOOL": bool,
    "NULL": lambda _: None,
    "L": lambda value: [_plain(each) for each in value],
    "M": unmarshal,
}


class Expressions:
    """Collects placeholders: names and values never appear in an expression, so reserved words, `#` and `.` are ordinary characters."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Attribute] = {}
        self._places: dict[str, str] = {}

    def name(self, attribute: str) -> str:
        place = self._places.get(attribute)
        if place is None:
            place = self._places[attribute] = f"#{len(self.names)}"
            self.names[place] = attribute
        return place

    def value(self, value: Any) -> str:
        place = f":{len(self.values)}"
        self.values[place] = marshal_value(value)
        return place

    def update(self, add: Mapping[str, int], assign: Mapping[str, Any], remove: Iterable[str]) -> str:
        clauses = (
            ("SET", [f"{self.name(name)} = {self.value(value)}" for name, value in assign.items()]),
            ("ADD", [f"{self.name(name)} {self.value(amount)}" for name, amount in add.items()]),
            ("REMOVE", [self.name(name) for name in remove]),
        )
        return " ".join(f"{verb} {', '.join(parts)}" for verb, parts in clauses if parts)

    def condition(self, condition: Condition) -> str:
        name = self.name(condition.attribute or "pk")
        match condition:
            case Exists():
                return f"attribute_exists({name})"
            case Missing():
                return f"attribute_not_exists({name})"
            case AtMost(_, limit):
                bound = f"{name} <= {self.value(limit)}"
                return f"(attribute_not_exists({name}) OR {bound})" if limit >= 0 else bound
            case Equals(_, expected):
                return f"{name} = {self.value(expected)}"

    def into(self, request: dict[str, Any]) -> dict[str, Any]:
        """The request with the placeholders it uses; DynamoDB refuses empty maps."""
        if self.names:
            request["ExpressionAttributeNames"] = self.names
        if self.values:
            request["ExpressionAttributeValues"] = self.values
        return request
