"""`tollkeeper.routing` → what the router reads, with everything that contradicts itself or leads nowhere refused.

A model with `weights` over other models is a mixture: its deployments are theirs, each weighted by its model's share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tollkeeper.catalog.regions import area_of
from tollkeeper.config.findings import Findings, Path
from tollkeeper.config.routes import Names
from tollkeeper.config.routing_schema import CanaryRules, ModelRouting, RoutingRule, RoutingSettings
from tollkeeper.config.snapshot import Deployment

HERE: Path = ("tollkeeper", "routing")


def mixed(models: Mapping[str, ModelRouting], rows: Sequence[Deployment], findings: Findings) -> list[Deployment]:
    """The deployments with the weights that `models` give them, and those of mixtures after them."""
    groups: dict[str, list[Deployment]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    weights: dict[tuple[str, str], float] = {}
    copies: list[Deployment] = []
    for name, model in models.items():
        path = (*HERE, "models", name, "weights")
        if model.weights is None:
            continue
        if not any(model.weights.values()):
            findings.error(path, "gives nothing any weight", "write a number above 0 for one at least")
        if name in groups:
            weights |= {(name, key): weight for key, weight in _own_weights(name, model.weights, groups[name], path, findings).items()}
        else:
            copies += _mixture(name, model.weights, groups, path, findings)
    return [*(_weighted(row, weights) for row in rows), *copies]


def check_routing(own: RoutingSettings, names: Names, rows: Sequence[Deployment], findings: Findings) -> None:
    """Adds a finding for every name that leads nowhere, and for rules that contradict one another."""
    _Check(own, names, rows, findings).all()


def _weighted(row: Deployment, weights: Mapping[tuple[str, str], float]) -> Deployment:
    weight = weights.get((row.group, row.id))
    return row if weight is None else replace(row, weight=weight)


def _own_weights(name: str, written: Mapping[str, float], rows: Sequence[Deployment], path: Path, findings: Findings) -> dict[str, float]:
    """Of a model's own deployments: by id, by `provider/model`, or by the provider's model name."""
    found: dict[str, float] = {}
    for key, weight in written.items():
        meant = [row for row in rows if key in {row.id, f"{row.provider}/{row.model}", row.model, row.provider}]
        if not meant:
            findings.error((*path, key), f"{name} has no deployment of this name", "write a deployment's id or its provider/model")
        found |= {row.id: weight / len(meant) for row in meant}
    # One that nobody mentions gets nothing, rather than the default of whatever unit was meant.
    return {**{row.id: 0.0 for row in rows}, **found}


def _mixture(
    name: str, written: Mapping[str, float], groups: Mapping[str, list[Deployment]], path: Path, findings: Findings
) -> list[Deployment]:
    copies = []
    for key, weight in written.items():
        members = groups.get(key, [])
        if not members:
            findings.error((*path, key), f"there is no model {key}", "add it to model_list")
        total = sum(1.0 if row.weight is None else row.weight for row in members) or 1.0
        # The order of a model's own tiers would compare with that of other models, where it means nothing.
        copies += [
            replace(row, group=name, order=1, weight=weight * (1.0 if row.weight is None else row.weight) / total) for row in members
        ]
    return copies


@dataclass(frozen=True, slots=True)
class _Check:
    own: RoutingSettings
    names: Names
    rows: Sequence[Deployment]
    findings: Findings

    def all(self) -> None:
        for name, model in (self.own.models or {}).items():
            self._model(name, model)
        for index, rule in enumerate(self.own.rules or ()):
            self._rule(rule, (*HERE, "rules", index))
        self._order(self.own.rules or [])
        for name, chain in (self.own.budget_fallbacks or {}).items():
            path = (*HERE, "budget_fallbacks", name)
            for target in (name, *chain):
                self._known(target, path)
            if name in chain:
                self.findings.error(path, f"{name} falls back to itself", "remove it from its own list")
        if self.own.require:
            self._possible(self.own.require, None, (*HERE, "require"))

    def _model(self, name: str, model: ModelRouting) -> None:
        path = (*HERE, "models", name)
        if name not in self.names:
            self.findings.error(path, *self.names.unknown(name))
            return
        self._context(name, model, path)
        if model.require:
            self._possible(model.require, name, (*path, "require"))
        if model.canary is not None:
            self._canary(name, model.canary, model.weights or {}, path)

    def _context(self, name: str, model: ModelRouting, path: Path) -> None:
        last = -1
        for index, step in enumerate(model.context or ()):
            here = (*path, "context", index)
            self._known(step.use, (*here, "use"))
            if step.use == name:
                self.findings.error((*here, "use"), "is the model itself", "name the one with the larger window")
            if step.over <= last:
                self.findings.error((*here, "over"), f"is not above {last}, the one before it", "order them from small to large")
            last = step.over

    def _canary(self, name: str, canary: CanaryRules, weights: Mapping[str, float], path: Path) -> None:
        own = [row for row in self.rows if row.group == self._group(name)]
        if canary.deployment not in {row.id for row in own}:
            here = (*path, "canary", "deployment")
            self.findings.error(here, f"there is no deployment {canary.deployment} in it", "write a model_info.id of this model")
        elif len(own) < 2:
            self.findings.error((*path, "canary"), "is the only deployment", "add the one that serves the other calls")
        if canary.deployment in weights:
            self.findings.error((*path, "canary", "share"), "and weights both say how much it gets", "leave it out of weights")

    def _rule(self, rule: RoutingRule, path: Path) -> None:
        when = rule.when
        if rule.use is None and rule.require is None and rule.refuse is None:
            self.findings.error(path, "says nothing", "add use, require or refuse")
        if rule.refuse is not None and (rule.use is not None or rule.require is not None):
            self.findings.error((*path, "refuse"), "contradicts use and require", "keep one of them")
        if when.tokens_over is not None and when.tokens_under is not None and when.tokens_over >= when.tokens_under:
            self.findings.error((*path, "when"), "no prompt has more than tokens_over and fewer than tokens_under", "swap the two")
        for place, model in enumerate(when.model or ()):
            if "*" not in model:
                self._known(model, (*path, "when", "model", place))
        if rule.use is not None:
            self._known(rule.use, (*path, "use"))
        require = self._joined(rule.require or {}, (*path, "require"))
        if rule.require is not None or (rule.use is not None and require):
            self._possible(require, rule.use, path)

    def _joined(self, require: Mapping[str, list[Any]], path: Path) -> dict[str, list[Any]]:
        """With what every request must have; a finding where no value satisfies both."""
        everywhere = self.own.require or {}
        for label in require.keys() & everywhere.keys():
            if not any(_agree(label, one, other) for one in require[label] for other in everywhere[label]):
                problem = f"contradicts tollkeeper.routing.require.{label}"
                self.findings.error((*path, label), problem, "no deployment can satisfy both; change one")
        return {**everywhere, **require}

    def _possible(self, require: Mapping[str, list[Any]], model: str | None, path: Path) -> None:
        """A rule nobody can satisfy is a mistake in it, or a label that was forgotten."""
        rows = [row for row in self.rows if model is None or row.group == self._group(model)]
        if rows and not any(all(row.satisfies(label, allowed) for label, allowed in require.items()) for row in rows):
            wanted = ", ".join(f"{label}={'|'.join(map(str, allowed))}" for label, allowed in require.items())
            whose = f"{model} has" if model else "there is"
            self.findings.error(path, f"{whose} no deployment with {wanted}", "label one in model_info.labels, or change the rule")

    def _order(self, rules: Sequence[RoutingRule]) -> None:
        """Of rules with the same condition that send a call elsewhere only the first ever acts."""
        seen: dict[str, int] = {}
        for index, rule in enumerate(rules):
            if rule.use is None and rule.refuse is None:
                continue
            condition = rule.when.model_dump_json(exclude_none=True)
            first = rules[seen.setdefault(condition, index)]
            if (first.use, first.refuse) != (rule.use, rule.refuse):
                problem = f"contradicts rules[{seen[condition]}], which has the same condition and comes first"
                self.findings.error((*HERE, "rules", index), problem, "remove one of them")

    def _known(self, name: str, path: Path) -> None:
        if name not in self.names:
            self.findings.error(path, *self.names.unknown(name))

    def _group(self, name: str) -> str:
        return self.names.aliases.get(name, name)


def _agree(label: str, one: Any, other: Any) -> bool:
    return bool(one == other) or (label == "region" and (area_of(str(one)) == other or area_of(str(other)) == one))
