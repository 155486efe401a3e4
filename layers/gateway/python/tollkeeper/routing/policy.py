"""How one model group is routed: what router_settings, its routing_groups and tollkeeper.routing say, as values.

https://docs.litellm.ai/docs/routing
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from tollkeeper.config.notation import strategy_named
from tollkeeper.config.snapshot import Deployment, Snapshot
from tollkeeper.routing.asked import Requirement, required
from tollkeeper.routing.breaker import Rules
from tollkeeper.routing.faults import Kind

MAX_FALLBACKS = 5
ANY = "Default"
"""The key of `retries` for every class that has none of its own."""

COUNTS_AT_START = frozenset({"least-busy", "usage-based-routing-v2"})
COUNTS_AT_END = COUNTS_AT_START | {"latency-based-routing", "adaptive"}
LIMITS = frozenset({"usage-based-routing-v2"})


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds (config/routing_schema.py: LatencyRules)."""

    first_token: float | None = None
    whole: float | None = None
    slow: float | None = None
    quantile: float = 0.95
    samples: int = 5


@dataclass(frozen=True, slots=True)
class Hedge:
    """`after` None: the deployment's own `quantile`. `share` of the calls at most."""

    after: float | None = None
    quantile: float = 0.95
    share: float = 0.05


@dataclass(frozen=True, slots=True)
class Canary:
    deployment: str
    share: float
    max_error_rate: float = 0.1
    min_requests: int = 20


@dataclass(frozen=True, slots=True)
class GroupPolicy:
    """`cooldown_time` and `retry_after` are seconds; `retries` and `allowed_by_kind` go by error class."""

    strategy: str = "simple-shuffle"
    args: Mapping[str, Any] = field(default_factory=dict)
    retries: Mapping[str, int] = field(default_factory=dict)
    retry_after: float = 0.0
    max_fallbacks: int = MAX_FALLBACKS
    cooldown_time: float | None = None
    allowed_fails: int | None = None
    allowed_by_kind: Mapping[str, int] = field(default_factory=dict)
    disable_cooldowns: bool = False
    context_checks: bool = False
    tag_filtering: bool = False
    tag_match_any: bool = True
    enforce_limits: bool = False
    all_open: Literal["bypass", "refuse"] = "bypass"
    num_retries: int | None = None
    require: tuple[Requirement, ...] = ()
    latency: Latency | None = None
    hedge: Hedge | None = None
    canary: Canary | None = None
    total_timeout: float | None = None
    statistics: bool = False

    @property
    def by_capability(self) -> bool:
        return self.strategy == "capability-based-routing"

    @property
    def counts_at_start(self) -> bool:
        return self.enforce_limits or self.strategy in COUNTS_AT_START

    @property
    def counts_at_end(self) -> bool:
        slow = self.latency is not None and self.latency.slow is not None
        watched = slow or self.hedge is not None or self.canary is not None
        return self.statistics or watched or self.enforce_limits or self.strategy in COUNTS_AT_END

    @property
    def limited(self) -> bool:
        """rpm and tpm of a deployment are held to over the whole fleet."""
        return self.enforce_limits or self.strategy in LIMITS

    def retries_for(self, kind: Kind | None) -> int | None:
        """None: no policy speaks of this class, and the general number applies."""
        return None if kind is None else self.retries.get(kind, self.retries.get(ANY))

    def rules_for(self, deployment: Deployment, *, peers: bool) -> Rules:
        """A deployment's own settings win over the router's. A cooldown_time of 0 means none, as in LiteLLM."""
        cooldown = self.cooldown_time if deployment.cooldown_time is None else deployment.cooldown_time
        own = deployment.allowed_fails is not None or bool(deployment.allowed_fails_policy)
        return Rules(
            cooldown_time=cooldown,
            allowed_fails=deployment.allowed_fails if own else self.allowed_fails,
            allowed_by_kind=_by_kind(deployment.allowed_fails_policy, "ErrorAllowedFails") if own else self.allowed_by_kind,
            disabled=self.disable_cooldowns or cooldown == 0,
            peers=peers,
        )


DEFAULT = GroupPolicy()


class Policies:
    """One snapshot's settings, by group."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._router: Mapping[str, Any] = snapshot.settings.get("router_settings", {})
        self._litellm: Mapping[str, Any] = snapshot.settings.get("litellm_settings", {})
        self._own: Mapping[str, Any] = snapshot.settings.get("tollkeeper", {}).get("routing") or {}
        self._groups = {name: row for row in self._router.get("routing_groups") or () for name in row.get("models", ())}
        self._known: dict[str, GroupPolicy] = {}

    def of(self, group: str) -> GroupPolicy:
        """`group` is a model_name of the configuration (a pattern, not what it was asked for as)."""
        if group not in self._known:
            self._known[group] = self._with_own(group, self._made(group))
        return self._known[group]

    def _made(self, group: str) -> GroupPolicy:
        router, own = self._router, self._groups.get(group, {})
        checks = router.get("optional_pre_call_checks") or ()
        retries = (router.get("model_group_retry_policy") or {}).get(group) or router.get("retry_policy") or {}
        most = router.get("max_fallbacks", self._litellm.get("max_fallbacks"))
        named = own.get("routing_strategy") or router.get("routing_strategy") or DEFAULT.strategy
        return GroupPolicy(
            strategy=strategy_named(named) or named,
            args=own.get("routing_strategy_args") or router.get("routing_strategy_args") or {},
            retries=_by_kind(retries, "ErrorRetries") | ({ANY: retries["DefaultRetries"]} if "DefaultRetries" in retries else {}),
            retry_after=float(router.get("retry_after") or 0.0),
            max_fallbacks=MAX_FALLBACKS if most is None else most,
            cooldown_time=router.get("cooldown_time"),
            allowed_fails=router.get("allowed_fails", self._litellm.get("allowed_fails")),
            allowed_by_kind=_by_kind(router.get("allowed_fails_policy"), "ErrorAllowedFails"),
            disable_cooldowns=router.get("disable_cooldowns") is True,
            context_checks=router.get("enable_pre_call_checks") is True,
            tag_filtering=router.get("enable_tag_filtering") is True,
            tag_match_any=router.get("tag_filtering_match_any") is not False,
            enforce_limits="enforce_model_rate_limits" in checks,
        )

    def _with_own(self, group: str, policy: GroupPolicy) -> GroupPolicy:
        """What tollkeeper.routing adds for every model and for this one."""
        everywhere, here = self._own, (self._own.get("models") or {}).get(group) or {}
        canary = here.get("canary")
        return replace(
            policy,
            strategy=here.get("strategy") or policy.strategy,
            retry_after=here.get("retry_delay") or policy.retry_after,
            num_retries=here.get("retries"),
            all_open=everywhere.get("all_open") or policy.all_open,
            statistics=everywhere.get("statistics") is True,
            require=tuple(required(here.get("require"), f"model {group}")),
            latency=_part(Latency, here.get("latency") or everywhere.get("latency")),
            hedge=_part(Hedge, here.get("hedge") or everywhere.get("hedge")),
            canary=Canary(**canary) if canary else None,
            total_timeout=here.get("total_timeout") or everywhere.get("total_timeout"),
        )


Part = TypeVar("Part", Latency, Hedge)


def _part(kind: type[Part], written: Mapping[str, Any] | None) -> Part | None:
    return kind(**written) if written else None


def _by_kind(policy: Mapping[str, Any] | None, suffix: str) -> dict[str, int]:
    """`{TimeoutErrorRetries: 3}` → {"Timeout": 3}"""
    return {name.removesuffix(suffix): int(value) for name, value in (policy or {}).items() if name.endswith(suffix) and value is not None}
