"""In which order the deployments of one tier are tried. A strategy is a function; a new one is a row in STRATEGIES.

All start from the weighted shuffle, so that ties fall by weight. https://docs.litellm.ai/docs/routing
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tollkeeper.config.snapshot import Deployment
from tollkeeper.routing.asked import NO_NEEDS
from tollkeeper.routing.policy import Canary, GroupPolicy
from tollkeeper.routing.statistics import Statistics

FASTEST_SECONDS = 0.05
"""Below this no deployment counts as faster than another."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a strategy may look at. `turn` goes up by one with each request of the group in this process."""

    random: Random
    statistics: Callable[[Deployment], Statistics]
    turn: int = 0
    streamed: bool = False
    args: Mapping[str, Any] = field(default_factory=dict)
    needs: Callable[[], frozenset[str]] = lambda: NO_NEEDS

    def slow(self, row: Deployment, policy: GroupPolicy) -> bool:
        """Its quantile of the last minutes is above what the group may take."""
        limits = policy.latency
        if limits is None or limits.slow is None:
            return False
        time = self.statistics(row).quantile(limits.quantile, streamed=self.streamed, samples=limits.samples)
        return time is not None and time > limits.slow


Strategy = Callable[[Sequence[Deployment], Scene], list[Deployment]]


def simple_shuffle(rows: Sequence[Deployment], scene: Scene) -> list[Deployment]:
    """Efraimidis and Spirakis' weighted order: key = u^(1/w), largest first; a weight of 0 comes last."""
    return list(rows) if len(rows) == 1 else _shuffled(rows, _weights(rows), scene.random)


def _shuffled(rows: Sequence[Deployment], weights: Sequence[float], random: Random) -> list[Deployment]:
    keys = [-(random.random() ** (1 / weight)) if weight > 0 else 1.0 for weight in weights]
    return [rows[index] for index in sorted(range(len(rows)), key=keys.__getitem__)]


def round_robin(rows: Sequence[Deployment], scene: Scene) -> list[Deployment]:
    """Each process takes turns from a random start: over a fleet that is even, and costs no shared counter."""
    start = scene.turn % len(rows)
    return [*rows[start:], *rows[:start]]


def least_busy(rows: Sequence[Deployment], scene: Scene) -> list[Deployment]:
    return sorted(simple_shuffle(rows, scene), key=lambda row: scene.statistics(row).in_flight)


def usage_based(rows: Sequence[Deployment], scene: Scene) -> list[Deployment]:
    """The fewest tokens in this minute first, in proportion to `tpm` where all have one."""
    relative = all(row.tpm for row in rows)
    return sorted(simple_shuffle(rows, scene), key=lambda row: scene.statistics(row).tokens / ((row.tpm if relative else None) or 1))


def cost_based(rows: Sequence[Deployment], scene: Scene) -> list[Deployment]:
    return sorted(simple_shuffle(rows, scene), key=_price)


def latency_based(rows: Sequence[Deployment], scene: Scene) -> list[Deployment]:
    """Fastest first; one that has not been measured lately is tried. Within `lowest_latency_buffer` of the best all are equal."""
    times = {row.id: scene.statistics(row).latency(streamed=scene.streamed) for row in rows}
    known = [time for time in times.values() if time is not None]
    limit = min(known, default=0.0) * (1 + float(scene.args.get("lowest_latency_buffer") or 0.0))

    def rank(row: Deployment) -> float:
        time = times[row.id]
        return -1.0 if time is None else 0.0 if time <= limit else time

    return sorted(simple_shuffle(rows, scene), key=rank)


def capability_based(rows: Sequence[Deployment], scene: Scene) -> list[Deployment]:
    """Those first that are said to have what the request needs; one of which nobody says anything after them."""
    needs = scene.needs()
    return sorted(simple_shuffle(rows, scene), key=lambda row: -len(needs.intersection(row.able)))


def adaptive(rows: Sequence[Deployment], scene: Scene) -> list[Deployment]:
    """By chance, with the weight of what was seen in the last minutes: twice as fast is twice as likely, errors weigh four times over.

    What was not measured counts as the best, so that it is.
    """
    seen = {row.id: scene.statistics(row) for row in rows}
    times = {name: found.quantile(0.5, streamed=scene.streamed) for name, found in seen.items()}
    best = min((time for time in times.values() if time is not None), default=FASTEST_SECONDS)

    def weight(row: Deployment) -> float:
        time, errors = times[row.id], seen[row.id].error_rate or 0.0
        return (1 - errors) ** 4 / max(best if time is None else time, FASTEST_SECONDS)

    return _shuffled(rows, [weight(row) * own for row, own in zip(rows, _weights(rows), strict=True)], scene.random)


STRATEGIES: Mapping[str, Strategy] = {
    "simple-shuffle": simple_shuffle,
    "least-busy": least_busy,
    "latency-based-routing": latency_based,
    "cost-based-routing": cost_based,
    "usage-based-routing-v2": usage_based,
    # The budgets of providers are kept by admission/doorkeeper.py, whatever the strategy.
    "provider-budget-routing": simple_shuffle,
    "round-robin": round_robin,
    "capability-based-routing": capability_based,
    "adaptive": adaptive,
}
"""By the names of config/notation.py."""


def arranged(
    rows: Sequence[Deployment], policy: GroupPolicy, scene: Scene, *, rolled_back: Callable[[Deployment, Canary], bool]
) -> list[Deployment]:
    """As the policy says; a canary gets its share of the calls as their first, and is the last resort of the others."""
    canary = next((row for row in rows if policy.canary is not None and row.id == policy.canary.deployment), None)
    if canary is None or policy.canary is None:
        return ordered(rows, policy.strategy, scene)
    others = ordered([row for row in rows if row is not canary], policy.strategy, scene) if len(rows) > 1 else []
    return [canary, *others] if _turn_of(policy.canary, canary, scene, rolled_back) else [*others, canary]


def _turn_of(canary: Canary, row: Deployment, scene: Scene, rolled_back: Callable[[Deployment, Canary], bool]) -> bool:
    return scene.random.random() < canary.share and not rolled_back(row, canary)


def ordered(rows: Sequence[Deployment], strategy: str, scene: Scene) -> list[Deployment]:
    """Tier by tier (`order`), each as the strategy says."""
    arrange = STRATEGIES.get(strategy, simple_shuffle)
    tiers = sorted({row.order for row in rows})
    if len(tiers) == 1:
        return arrange(rows, scene)
    return [row for tier in tiers for row in arrange([row for row in rows if row.order == tier], scene)]


def _price(row: Deployment) -> float:
    """Input and output per token; without a known price last."""
    rates = row.prices.rates if row.prices else {}
    return float(sum(rates[name].price for name in ("input", "output") if name in rates)) if rates else float("inf")


def _weights(rows: Sequence[Deployment]) -> list[float]:
    """LiteLLM's precedence: explicit weights if any row has one, else rpm, else tpm, else even."""
    columns: tuple[list[float | None], ...] = ([row.weight for row in rows], [row.rpm for row in rows], [row.tpm for row in rows])
    for values in columns:
        if any(value is not None for value in values):
            return [float(value or 0) for value in values]
    return [1.0] * len(rows)
