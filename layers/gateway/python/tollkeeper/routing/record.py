"""Why a call went where it went: what `POST /routing/explain` shows, and what the ledger keeps of each call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tollkeeper.config.snapshot import Deployment

_MOST = 20


@dataclass(slots=True)
class Record:
    """`dropped` maps deployment ids to the reason they were not considered; `tries` are in the order they were made."""

    group: str
    strategy: str
    rule: str | None = None
    chosen_by: str | None = None
    """What an auto-router or a used-up budget said, where one of them chose the group."""
    required: tuple[str, ...] = ()
    dropped: dict[str, str] = field(default_factory=dict)
    orders: dict[str, list[str]] = field(default_factory=dict)
    slow: list[str] = field(default_factory=list)
    tries: list[dict[str, Any]] = field(default_factory=list)

    def ordered(self, group: str, rows: Sequence[Deployment], slow: Sequence[Deployment]) -> None:
        self.orders[group] = [row.id for row in rows[:_MOST]]
        self.slow += [row.id for row in slow if row.id not in self.slow]

    def tried(self, deployment_id: str, outcome: str, milliseconds: int, trial: str = "") -> None:
        """`outcome`: ok, or the error's type."""
        self.tries.append({"deployment": deployment_id, "outcome": outcome, "ms": milliseconds, **({"trial": trial} if trial else {})})

    def as_json(self) -> dict[str, Any]:
        """Only what is worth saying: a plain call has its group, strategy and try."""
        said: Mapping[str, Any] = {
            "group": self.group,
            "strategy": self.strategy,
            "rule": self.rule,
            "chosen_by": self.chosen_by,
            "required": list(self.required),
            "order": self.orders.get(self.group, []),
            "fallbacks": {name: order for name, order in self.orders.items() if name != self.group},
            "dropped": dict(list(self.dropped.items())[:_MOST]),
            "slow": self.slow[:_MOST],
            "tries": self.tries[:_MOST],
        }
        return {name: value for name, value in said.items() if value}
