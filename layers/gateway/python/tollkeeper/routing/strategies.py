"""In which order the deployments of one tier are tried, under LiteLLM's names. A strategy is a function; a new one is a row in STRATEGIES.

All start from the weighted shuffle, so that ties fall by weight. https://docs.litellm.ai/docs/routing
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tollkeeper.config.snapshot import Deployment
from tollkeeper.routing.statistics import Statistics


@dataclass(frozen=True, slots=True)
class Scene:
    """What a strategy may look at. `turn` goes up by one with each request of the group in this process."""

    random: Random
    statistics: Callable[[Deployment], Statistics]
    turn: int = 0
    streamed: bool = False
    args: Mapping[str, Any] = field(default_factory=dict)


Strategy = Callable[[Sequence[Deployment], Scene], list[Deployment]]


def simple_shuffle(rows: Sequence[Deployment], scene: Scene) -> list[Deployment]:
    """Efraimidis and Spirakis' weighted order: key = u^(1/w), largest first; a weight of 0 comes last."""
    if len(rows) == 1:
        return list(rows)
    keys = [-(scene.random.random() ** (1 / weight)) if weight > 0 else 1.0 for weight in _weights(rows)]
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


STRATEGIES: Mapping[str, Strategy] = {
    "simple-shuffle": simple_shuffle,
    "least-busy": least_busy,
    "latency-based-routing": latency_based,
    "cost-based-routing": cost_based,
    "usage-based-routing": usage_based,
    "usage-based-routing-v2": usage_based,
    # The budgets of providers are kept by admission/doorkeeper.py, whatever the strategy.
    "provider-budget-routing": simple_shuffle,
    "round_robin": round_robin,
    "round-robin": round_robin,
}


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
