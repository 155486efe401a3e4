"""Ledger entries by the seed: keys, teams, users and models as a company has them, and what their sums must be, worked out anew."""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tollkeeper.clock import time_ordered_id
from tollkeeper.ledger.entry import Entry, to_item

MODELS = (
    ("fast", "gpt-4o-mini", "openai", "fast-1"),
    ("fast", "gpt-4o-mini", "azure", "fast-2"),
    ("smart", "claude-sonnet-4-5", "anthropic", "smart-1"),
    ("local", "llama3", "ollama", "local-1"),
)
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
DAY = 86400.0


@dataclass(frozen=True)
class Company:
    """How many of each there are; a key always has the same team, user and organization."""

    keys: int = 20
    teams: int = 4
    users: int = 8
    organizations: int = 2
    customers: int = 5
    tags: int = 3


def entries(count: int, seed: int, company: Company = Company(), start: float = NOVEMBER, days: float = 30.0) -> Iterator[dict[str, Any]]:
    """In order of time, as table items."""
    chance = random.Random(seed)
    for number in range(count):
        yield entry(chance, company, start + days * DAY * (number + chance.random()) / count, number)


def entry(chance: random.Random, company: Company, moment: float, number: int, **fields: Any) -> dict[str, Any]:
    key = min(int(chance.expovariate(6.0 / company.keys)), company.keys - 1)
    alias, upstream, provider, deployment = MODELS[chance.choice((0, 0, 0, 1, 2, 2, 3))]
    status = chance.choices(("success", "failure", "cut", "cancelled"), (90, 5, 2, 3))[0]
    given, taken = chance.randrange(1, 5000), 0 if status == "failure" else chance.randrange(1, 1500)
    made = Entry(
        request_id=time_ordered_id(moment, number.to_bytes(10, "big")),
        call_id=f"call-{number}",
        started_at=moment,
        call_type="acompletion",
        model=alias,
        status=status,
        http_status=429 if status == "failure" and chance.random() < 0.5 else 200,
        key_hash=f"hash-{key}",
        key_alias=f"key {key}",
        team_id=None if key % 10 == 9 else f"team-{key % company.teams}",
        user_id=f"user-{key % company.users}",
        organization_id=f"org-{key % company.organizations}",
        customer_id=f"customer#{chance.randrange(company.customers)}" if chance.random() < 0.3 else None,
        tags=tuple(f"tag-{tag}" for tag in range(company.tags) if chance.random() < 0.1),
        deployment_id=deployment,
        upstream_model=upstream,
        provider=provider,
        input_tokens=given,
        output_tokens=taken,
        cost=0 if status == "failure" else given * 150 + taken * 600 + chance.randrange(1000),
        priced=True,
        latency_ms=chance.randrange(50, 9000),
        stream=chance.random() < 0.5,
        attempts=1,
    )
    for name, value in fields.items():
        setattr(made, name, value)
    return to_item(made)


_OWNERS = {
    "key": "key_hash",
    "team": "team_id",
    "user": "user_id",
    "organization": "organization_id",
    "customer": "customer_id",
    "model": "model",
    "deployment": "deployment_id",
    "provider": "provider",
}


def expected(found: Iterable[dict[str, Any]]) -> dict[tuple[str, str, str], tuple[int, int]]:
    """(kind, value, month or day) → (nano-dollars, calls): counted the plain way, with none of our code."""
    sums: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for item in found:
        owners = [(kind, item[name]) for kind, name in _OWNERS.items() if item.get(name)] + [("tag", tag) for tag in item["tags"]]
        if not item.get("team_id"):
            owners.append(("team", ""))
        for kind, value in (*owners, ("all", "")):
            for period in (item["started_at"][:7], item["started_at"][:10], item["started_at"][:13]):
                cell = sums[kind, value, period]
                cell[0] += item["cost"]
                cell[1] += 1
    return {name: (cell[0], cell[1]) for name, cell in sums.items()}
