"""The short ways of writing things that routing allows: `a -> b -> c`, `2s`, `100k`, `5%`. Pure, so that requests may use them too."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_DURATION = re.compile(r"([0-9]*\.?[0-9]+)\s*(ms|s|m|h)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_COUNT = re.compile(r"([0-9]*\.?[0-9]+)\s*([kKmM])?(?:\s*tokens?)?")
_FACTOR = {"k": 1_000, "m": 1_000_000}


STRATEGIES = {
    "simple-shuffle": "simple-shuffle",
    "weighted": "simple-shuffle",
    "weight": "simple-shuffle",
    "shuffle": "simple-shuffle",
    "random": "simple-shuffle",
    "least-busy": "least-busy",
    "latency": "latency-based-routing",
    "fastest": "latency-based-routing",
    "cost": "cost-based-routing",
    "cheapest": "cost-based-routing",
    "usage": "usage-based-routing-v2",
    "usage-v2": "usage-based-routing-v2",
    "provider-budget": "provider-budget-routing",
    "round-robin": "round-robin",
    "capability": "capability-based-routing",
    "adaptive": "adaptive",
}
"""Every name of a strategy, without its ending, with dashes → the one name it has inside."""

_ENDINGS = ("-based-routing-v2", "-based-v2", "-based-routing", "-based", "-routing", "")


def strategy_named(text: str) -> str | None:
    """`usage_based`, `latency-based-routing`, `Round Robin` → the strategy; None: there is none of this name."""
    name = re.sub(r"[\s_]+", "-", text.strip().lower())
    for ending in _ENDINGS:
        if name.endswith(ending) and (found := STRATEGIES.get(name.removesuffix(ending))) is not None:
            return found
    return None


def arrows(text: str) -> list[str]:
    """`a -> b -> c`, also with `→` or `,` between."""
    return [part for part in (part.strip() for part in re.split(r"->|→|,", text)) if part]


def seconds_of(value: Any) -> float:
    """`2`, `"2s"`, `"500ms"`, `"1m"` → seconds. Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str) or (match := _DURATION.fullmatch(value.strip())) is None:
        raise ValueError("must be a duration, as in 2s or 500ms")
    return float(match[1]) * _SECONDS[match[2]]


def tokens_of(value: Any) -> int:
    """`100000`, `"100k"`, `"1M tokens"` → a number of tokens. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or (match := _COUNT.fullmatch(value.strip())) is None:
        raise ValueError("must be a number of tokens, as in 100000 or 100k")
    return int(float(match[1]) * _FACTOR.get((match[2] or "").lower(), 1))


def share_of(value: Any) -> float:
    """`"5%"`, `0.05` → 0.05. Raises ValueError."""
    if isinstance(value, str) and value.strip().endswith("%"):
        value = _number(value.strip()[:-1]) / 100
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("must be a share, as in 5% or 0.05")
    return float(value)


def chains(value: Any) -> Iterator[tuple[str, list[str]]]:
    """(model, its fallbacks) in every form: `[{a: [b, c]}]`, `{a: [b, c]}`, `{a: "b -> c"}`, `"a -> b -> c"`. Raises ValueError."""
    if isinstance(value, Mapping):
        for model, targets in value.items():
            yield str(model), names(targets)
    elif isinstance(value, str) and (listed := arrows(value)) and "->" in value.replace("→", "->"):
        yield listed[0], listed[1:]
    elif isinstance(value, list) and not any(isinstance(item, list) for item in value):
        for item in value:
            yield from chains(item)
    else:
        raise ValueError("must be a list of mappings of a model to its fallbacks")


def names(value: Any) -> list[str]:
    """A list of names, or the arrow notation of one. Raises ValueError."""
    if isinstance(value, str):
        return arrows(value)
    if isinstance(value, list) and all(isinstance(name, str) and name for name in value):
        return list(value)
    raise ValueError("must be a list of model names")


def requirements(value: Any) -> dict[str, tuple[Any, ...]]:
    """`{region: eu, training: false}`, `{region: [eu, ch]}` or `"region=eu|ch, training=false"` → label → what it may be.

    Raises ValueError.
    """
    if isinstance(value, str):
        value = dict(_assignment(part) for part in re.split(r"[,;]", value) if part.strip())
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and name for name in value):
        raise ValueError("must be a mapping of labels to what they may be, as in {region: eu}")
    return {name: _allowed(name, wanted) for name, wanted in value.items()}


def _allowed(name: str, wanted: Any) -> tuple[Any, ...]:
    listed = wanted if isinstance(wanted, list | tuple) else [wanted]
    if not listed or not all(isinstance(item, str | bool | int) and item != "" for item in listed):
        raise ValueError(f"{name} must be a text, a number, true or false, or a list of those")
    return tuple(listed)


def _assignment(part: str) -> tuple[str, list[Any]]:
    name, equals, value = part.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise ValueError("must be written as label=value, label=value")
    return name.strip(), [_WORDS.get(word.strip().lower(), word.strip()) for word in value.split("|")]


_WORDS: Mapping[str, Any] = {"true": True, "false": False, "yes": True, "no": False}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("must be a share, as in 5% or 0.05") from None
