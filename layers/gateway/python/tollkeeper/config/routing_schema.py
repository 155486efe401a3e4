"""`tollkeeper.routing`: what it holds, and its types. README, "Routing", shows it in use; routing/policy.py and routing/rules.py read it.

Everything is optional. Durations are seconds or `2s`, `500ms`; tokens a number or `100k`; shares `5%` or 0.05; chains `a -> b -> c`.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from tollkeeper.config import notation


def _read(reader: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A reader of notation.py as a pydantic validator, with its message as it is."""

    def read(value: Any) -> Any:
        try:
            return reader(value)
        except ValueError as error:
            raise PydanticCustomError("notation", "{said}", {"said": str(error)}) from None

    return read


def _strategy(value: Any) -> str:
    if not isinstance(value, str) or (found := notation.strategy_named(value)) is None:
        raise ValueError(f"there is no such strategy; write one of {', '.join(sorted(notation.STRATEGIES))}")
    return found


def _listed(value: Any) -> list[str]:
    listed = [value] if isinstance(value, str | int) and not isinstance(value, bool) else value
    if not isinstance(listed, list) or not listed or not all(isinstance(item, str | int) for item in listed):
        raise ValueError("must be a name, or a list of names")
    return [str(item) for item in listed]


def _pattern(value: Any) -> str:
    try:
        re.compile(value)
    except (re.error, TypeError):
        raise ValueError("is no regular expression") from None
    return str(value)


def _target(value: Any) -> str:
    """A model, also as a sentence: `route to secure-private`."""
    if not isinstance(value, str) or not (name := re.sub(r"^(?:route|send|go)?\s*(?:to|->)\s+", "", value.strip())):
        raise ValueError("must name a model")
    return name


Strategy = Annotated[str, BeforeValidator(_read(_strategy))]
Span = Annotated[float, BeforeValidator(_read(notation.seconds_of)), Field(gt=0)]
Tokens = Annotated[int, BeforeValidator(_read(notation.tokens_of)), Field(ge=0)]
Share = Annotated[float, BeforeValidator(_read(notation.share_of))]
Chain = Annotated[list[str], BeforeValidator(_read(notation.names))]
Names = Annotated[list[str], BeforeValidator(_read(_listed))]
Require = Annotated[
    dict[str, list[Any]], BeforeValidator(_read(lambda value: {k: list(v) for k, v in notation.requirements(value).items()}))
]
Pattern = Annotated[str, BeforeValidator(_read(_pattern))]
Target = Annotated[str, BeforeValidator(_read(_target))]
Need = Literal["vision", "audio", "file", "tools", "json_schema", "reasoning", "web_search"]
Whole = Annotated[int, Field(ge=0, le=2**31)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class When(Strict):
    """All that is written must hold. Names may have `*`; headers and metadata are `name: what it may be`, `text` a regular expression."""

    model: Names | None = None
    team: Names | None = None
    key: Names | None = None
    user: Names | None = None
    organization: Names | None = None
    customer: Names | None = None
    tag: Names | None = None
    headers: dict[str, Names] | None = None
    metadata: dict[str, Names] | None = None
    tokens_over: Tokens | None = None
    tokens_under: Tokens | None = None
    needs: list[Need] | None = None
    text: Pattern | None = None


class RoutingRule(Strict):
    """`use`: the model that serves instead; `require`: labels the deployment must have; `refuse`: the message of a refusal."""

    name: str | None = None
    when: When
    use: Target | None = None
    require: Require | None = None
    refuse: Annotated[str, Field(min_length=1)] | None = None


class ContextRule(Strict):
    """Prompts of more than `over` tokens go to another model."""

    over: Tokens
    use: Target


class LatencyRules(Strict):
    """`first_token`: a stream silent for longer is tried elsewhere; `whole`: a buffered answer. `slow`: a deployment whose `quantile` of
    the last minutes is above it waits behind the others and the fallbacks.
    """

    first_token: Span | None = None
    whole: Span | None = None
    slow: Span | None = None
    quantile: Annotated[float, Field(ge=0.5, le=0.99)] = 0.95
    samples: Annotated[int, Field(ge=1, le=10_000)] = 5


class HedgeRules(Strict):
    """A second deployment is asked where the first is slower than its own `quantile`, or than `after`; at most `share` of the calls."""

    after: Span | None = None
    quantile: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95
    share: Share = 0.05


class CanaryRules(Strict):
    """`deployment` (an id) gets `share` of its model's calls, until more than `max_error_rate` of at least `min_requests` calls failed."""

    deployment: Annotated[str, Field(min_length=1)]
    share: Share
    max_error_rate: Share = 0.1
    min_requests: Annotated[int, Field(ge=1, le=100_000)] = 20


class ModelRouting(Strict):
    """How one model is routed. `weights` over other models makes this name a mixture of them."""

    strategy: Strategy | None = None
    weights: dict[str, Annotated[float, Field(ge=0)]] | None = None
    fallbacks: Chain | None = None
    context_window_fallbacks: Chain | None = None
    content_policy_fallbacks: Chain | None = None
    retries: Whole | None = None
    retry_delay: Span | None = None
    context: list[ContextRule] | None = None
    require: Require | None = None
    latency: LatencyRules | None = None
    hedge: HedgeRules | None = None
    canary: CanaryRules | None = None
    total_timeout: Span | None = None


class RoutingSettings(Strict):
    """`all_open`: what to do when every deployment of a group rests and no fallback is left: try one that only had transient faults, or
    refuse as LiteLLM does. `fallback_cycles: allow` admits models that are each other's fallback. `statistics` counts every deployment's
    latency and errors, also where no strategy asks.
    """

    all_open: Literal["bypass", "refuse"] | None = None
    fallback_cycles: Literal["refuse", "allow"] | None = None
    statistics: bool | None = None
    total_timeout: Span | None = None
    require: Require | None = None
    rules: list[RoutingRule] | None = None
    models: dict[str, ModelRouting] | None = None
    budget_fallbacks: dict[str, Chain] | None = None
    latency: LatencyRules | None = None
    hedge: HedgeRules | None = None
