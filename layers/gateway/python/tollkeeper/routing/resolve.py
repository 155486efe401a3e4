"""The name a caller asks for → the deployments that may serve it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from tollkeeper.catalog.profiles import quirks_for
from tollkeeper.catalog.regions import inference_profile
from tollkeeper.config.snapshot import AutoRouter, Deployment, Snapshot
from tollkeeper.routing.policy import DEFAULT, GroupPolicy, Policies
from tollkeeper.routing.rules import Rules


@dataclass(frozen=True, slots=True)
class ModelGroup:
    """A model alias with its deployments (at least one). `access_groups` are the names under which a key may be given all of them."""

    name: str
    deployments: tuple[Deployment, ...]
    policy: GroupPolicy = DEFAULT

    @property
    def access_groups(self) -> frozenset[str]:
        return frozenset(group for deployment in self.deployments for group in deployment.access_groups)


class Groups:
    """An index over one snapshot. Exact names win over wildcards, and of those the longest (most specific) pattern wins."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._policies = policies = Policies(snapshot)
        by_name: dict[str, list[Deployment]] = {}
        for deployment in snapshot.deployments:
            by_name.setdefault(deployment.group, []).append(deployment)
        self._exact = {name: ModelGroup(name, tuple(rows), policies.of(name)) for name, rows in by_name.items() if "*" not in name}
        wildcards = ((name, tuple(rows)) for name, rows in by_name.items() if "*" in name)
        self._wildcards = sorted(wildcards, key=lambda row: len(row[0]), reverse=True)
        # A mixture repeats the ids of its members, which come first.
        self._by_id = {row.id: ModelGroup(row.group, (row,), policies.of(row.group)) for row in reversed(snapshot.deployments)}
        self.rules = Rules.of(snapshot)

    def listed(self) -> dict[str, frozenset[str]]:
        """Every name a client can be shown, with its access groups. Patterns are left out: they are not callable as they stand."""
        aliases = (alias for alias in self.snapshot.aliases if alias not in self._exact and alias not in self.snapshot.hidden_aliases)
        names = [*self._exact, *aliases]
        found = {name: group.access_groups for name in names if (group := self.find(name)) is not None}
        return {**found, **dict.fromkeys(self.snapshot.auto_routers, frozenset[str]())}

    def auto_router(self, model: str, own_aliases: Mapping[str, str] | None = None) -> AutoRouter | None:
        """The name stands for a choice among others."""
        name = (own_aliases or {}).get(model, model)
        return self.snapshot.auto_routers.get(self.snapshot.aliases.get(name, name))

    def find(self, model: str, own_aliases: Mapping[str, str] | None = None) -> ModelGroup | None:
        """`own_aliases` are the key's. A deployment's id also works, as in LiteLLM; an auto-router stands for its default.

        None: there is no such model.
        """
        name = (own_aliases or {}).get(model, model)
        name = self.snapshot.aliases.get(name, name)
        if (router := self.snapshot.auto_routers.get(name)) is not None and router.default != name:
            return self.find(router.default)
        return self._exact.get(name) or self._match(name) or self._by_id.get(name)

    def deployment(self, identifier: str) -> Deployment | None:
        group = self._by_id.get(identifier)
        return group.deployments[0] if group is not None else None

    def _match(self, name: str) -> ModelGroup | None:
        for pattern, rows in self._wildcards:
            if fnmatchcase(name, pattern):
                return ModelGroup(name, tuple(_filled_in(row, pattern, name) for row in rows), self._policies.of(pattern))
        return None


def _filled_in(row: Deployment, pattern: str, name: str) -> Deployment:
    """`openai/*` asked for as `openai/gpt-4o` → the row's own `*` becomes `gpt-4o`."""
    prefix = pattern.split("*", 1)[0]
    matched = name[len(prefix) :]
    model = row.model.replace("*", matched, 1) if "*" in row.model else row.model
    prices = row.prices or row.wildcard_prices.get(model)
    # What the caller names decides where Bedrock may send it.
    profile = inference_profile(model) if row.provider == "bedrock" else None
    labels = {**row.labels, "region": profile} if profile else row.labels
    return replace(row, model=model, prices=prices, labels=labels, quirks=tuple(sorted({*row.quirks, *quirks_for(row.provider, model)})))
