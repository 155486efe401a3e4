"""Real traffic against another configuration: which deployment each ledger entry would go to, and what it would cost there.

No prompt is kept, so what needs one is left out: rules about text, headers and metadata do not fit, an auto-router stands for its default,
and the tokens of an answer are taken to be the same at another model. What the call required of its deployment is required again.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tollkeeper.clock import from_iso
from tollkeeper.config.notation import requirements
from tollkeeper.config.snapshot import Deployment, Snapshot
from tollkeeper.dialects.usage import Usage
from tollkeeper.errors import BadRequest, TollkeeperError
from tollkeeper.ledger.cost import cost_of
from tollkeeper.money import usd_to_nano
from tollkeeper.routing.asked import Asked, Requirement
from tollkeeper.routing.plan import Plan
from tollkeeper.routing.resolve import Groups
from tollkeeper.routing.rules import Circumstances

Entry = Mapping[str, Any]
_OURS = ("health_check", "silent_model")
"""Calls the gateway makes itself are no traffic."""
Move = tuple[str, str]
"""(provider/model that served, provider/model that would)"""


@dataclass(slots=True)
class Report:
    """Costs in nano-dollars; `moved` counts calls and (before, after) costs; `refused` by the reason a caller would read."""

    calls: int = 0
    left_out: int = 0
    stayed: int = 0
    before: int = 0
    after: int = 0
    unpriced: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    moved: dict[Move, list[int]] = field(default_factory=dict)


def read_ledger(source: Path) -> Iterator[Entry]:
    """A state folder of `make dev`, or a file of one JSON object a line: ours, or LiteLLM's spend logs. Raises BadRequest, OSError."""
    if source.is_dir():
        for database in sorted(source.glob("*.db")):
            # Read-only, beside a gateway that may be writing.
            with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
                rows = connection.execute("SELECT body FROM ledger WHERE pk LIKE 'day#%'")
                yield from (json.loads(body) for (body,) in rows)
        return
    with source.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _parsed(line, f"{source}:{number}")


def replayed(entries: Iterator[Entry], snapshot: Snapshot) -> Report:
    report, groups = Report(), Groups(snapshot)
    for entry in entries:
        call = _Call.of(entry)
        if call is None:
            report.left_out += 1
            continue
        report.calls += 1
        report.before += call.cost
        try:
            row = _destination(call, groups)
        except TollkeeperError as error:
            report.refused[error.message] += 1
            continue
        _book(report, call, row)
    return report


@dataclass(frozen=True, slots=True)
class _Call:
    """What an entry says, in either spelling."""

    id: str
    model: str
    served: str
    cost: int
    usage: Usage
    streamed: bool
    tags: tuple[str, ...]
    at: float
    who: Mapping[str, tuple[str, ...]]
    require: tuple[Requirement, ...]

    @classmethod
    def of(cls, entry: Entry) -> "_Call | None":
        """None: nothing to replay (failed before it cost anything, or nobody's call)."""
        model = entry.get("model_group") or entry.get("model")
        inputs = _whole(entry.get("input_tokens", entry.get("prompt_tokens")))
        outputs = _whole(entry.get("output_tokens", entry.get("completion_tokens")))
        if not isinstance(model, str) or entry.get("unconfirmed") or entry.get("key_alias") in _OURS or not (inputs or outputs):
            return None
        read, created, thought = (_whole(entry.get(f"{name}_tokens")) for name in ("cache_read", "cache_creation", "reasoning"))
        names = {kind: entry.get(f"{kind}_id") or entry.get(kind) for kind in ("team", "user", "organization", "customer")}
        return cls(
            id=str(entry.get("request_id")),
            model=model,
            served=_served(entry),
            cost=_whole(entry["cost"]) if "cost" in entry else usd_to_nano(float(entry.get("spend") or 0.0)),
            usage=Usage(inputs, outputs, read, created, reasoning=thought, service_tier=str(entry.get("service_tier") or "")),
            streamed=entry.get("stream") is True,
            tags=tuple(tag for tag in entry.get("tags") or entry.get("request_tags") or () if isinstance(tag, str)),
            at=_moment(entry.get("started_at", entry.get("startTime"))),
            who={**{kind: (str(name),) for kind, name in names.items() if name}, "key": _keys(entry)},
            require=_required(entry),
        )


def _destination(call: _Call, groups: Groups) -> Deployment:
    """Raises what the caller would be told."""
    group = groups.find(call.model)
    if group is None:
        raise BadRequest(f"there is no model {call.model}")
    asked = Asked(call.tags, call.streamed, lambda: call.usage.input, require=call.require, at=call.at)
    if groups.rules:
        who = {**call.who, "tag": call.tags}
        decision = groups.rules.decide(Circumstances(group.name, who, {}, {}, asked.tokens, asked.needs, str))
        if decision.refuse is not None:
            raise BadRequest(decision.refuse)
        group = (groups.find(decision.use) if decision.use else None) or group
        asked = Asked(call.tags, call.streamed, asked.tokens, require=(*decision.require, *call.require), at=call.at)
    return Plan(groups.snapshot, group, groups.find, Random(call.id), asked=asked).first().deployment


def _book(report: Report, call: _Call, row: Deployment) -> None:
    prices = row.prices.at(call.at) if row.prices is not None else None
    cost = cost_of(call.usage, prices).total if prices is not None else 0
    report.after += cost
    report.unpriced += prices is None
    target = f"{row.provider}/{row.model}"
    if target == call.served:
        report.stayed += 1
        return
    found = report.moved.setdefault((call.served, target), [0, 0, 0])
    for place, amount in enumerate((1, call.cost, cost)):
        found[place] += amount


def _served(entry: Entry) -> str:
    provider, model = entry.get("provider") or entry.get("custom_llm_provider"), entry.get("upstream_model")
    if model is None:
        model = str(entry.get("model") or "").removeprefix(f"{provider}/")
    return f"{provider or 'unknown'}/{model}"


def _keys(entry: Entry) -> tuple[str, ...]:
    return tuple(str(name) for name in (entry.get("key_alias"), entry.get("key_hash"), entry.get("api_key")) if name)


def _required(entry: Entry) -> tuple[Requirement, ...]:
    """`region=eu (team legal)`, as routing/record.py writes it."""
    routing = entry.get("routing")
    found = []
    for text in routing.get("required", ()) if isinstance(routing, dict) else ():
        rule, _, source = str(text).partition(" (")
        found += [Requirement(label, allowed, source.removesuffix(")")) for label, allowed in requirements(rule).items()]
    return tuple(found)


def _moment(value: Any) -> float:
    try:
        return from_iso(value) if isinstance(value, str) else float(value or 0.0)
    except ValueError:
        return 0.0


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and value > 0 else 0


def _parsed(line: str, where: str) -> Entry:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BadRequest(f"{where}: is no JSON object.")
    return found
