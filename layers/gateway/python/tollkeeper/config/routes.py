"""Aliases and fallbacks: names that lead to other names. Each must lead somewhere, and not back to itself.

Fallbacks may stand in tollkeeper.routing.models, router_settings or litellm_settings (the first that names a model wins), as
`[{a: [b, c]}]`, `{a: [b, c]}`, `{a: b}` or `"a -> b -> c"`.
https://docs.litellm.ai/docs/proxy/reliability
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tollkeeper.config.findings import Findings, Path, did_you_mean, path_text
from tollkeeper.config.notation import arrows
from tollkeeper.config.routing_schema import ModelRouting
from tollkeeper.config.schema import RoutingGroup, check

FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
FORM = "write `- model: [first, second]`"

Chains = dict[str, tuple[str, ...]]


@dataclass(slots=True)
class Routes:
    aliases: dict[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    chains: dict[str, Chains] = field(default_factory=dict)
    default: tuple[str, ...] = ()


def compile_routes(
    settings: Mapping[str, Mapping[str, Any]], names: "Names", findings: Findings, own: Mapping[str, ModelRouting], *, cycles: bool = False
) -> Routes:
    """`settings` are the sections router_settings and litellm_settings, `own` is tollkeeper.routing.models. `names` learns the aliases.

    `cycles`: models may be each other's fallback. (No chain is followed into another, so none runs in a circle.)
    """
    router = settings["router_settings"]
    aliases, hidden = _aliases(router.get("model_group_alias"), ("router_settings", "model_group_alias"), names, findings)
    names.aliases = aliases
    _check_groups(router.get("routing_groups"), ("router_settings", "routing_groups"), names, findings)
    chains = {kind: _merged(kind, settings, own, names, findings, cycles=cycles) for kind in FALLBACKS}
    return Routes(aliases, hidden, chains, _default(settings, names, findings))


@dataclass(slots=True)
class Names:
    """Everything a name can lead to: model names (with patterns), ids of deployments, aliases."""

    groups: tuple[str, ...]
    ids: frozenset[str]
    aliases: Mapping[str, str] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.aliases or name in self.ids or any(name == group or fnmatchcase(name, group) for group in self.groups)

    def unknown(self, name: str) -> tuple[str, str]:
        return f"there is no model {name}", did_you_mean(name, (*self.groups, *self.aliases), "add it to model_list")


def _check_groups(written: Any, path: Path, names: Names, findings: Findings) -> None:
    """routing_groups: each model in one of them at most, since it can have one strategy."""
    if written is not None and not isinstance(written, list):
        findings.error(path, "must be a list", "write `- {group_name: name, models: [a, b], routing_strategy: least-busy}`")
        return
    seen: dict[str, int] = {}
    for index, row in enumerate(written or ()):
        checked = check(RoutingGroup, row, (*path, index), findings)
        if checked is None:
            continue
        if checked.model_priorities is not None:
            findings.warn((*path, index, "model_priorities"), "does nothing here", "give the deployments an `order`")
        for place, model in enumerate(checked.models):
            here = (*path, index, "models", place)
            if model not in names.groups:
                findings.error(here, *names.unknown(model))
            elif model in seen:
                findings.error(here, f"{model} is in routing_groups[{seen[model]}] too", "keep it in one")
            seen.setdefault(model, index)


def _aliases(written: Any, path: Path, names: Names, findings: Findings) -> tuple[dict[str, str], tuple[str, ...]]:
    if written is None:
        return {}, ()
    if not isinstance(written, dict):
        findings.error(path, "must be a mapping", "write `alias: model` lines below it")
        return {}, ()
    direct: dict[str, str] = {}
    hidden: list[str] = []
    for alias, entry in written.items():
        here = (*path, alias)
        target = entry.get("model") if isinstance(entry, dict) else entry
        if not isinstance(target, str):
            findings.error(here, "must name a model", "write `alias: model` or `alias: {model: name, hidden: true}`")
        elif alias in names.groups:
            findings.error(here, "a model in model_list has this name already", "rename the alias, or remove it")
        else:
            direct[alias] = target
            hidden += [alias] if isinstance(entry, dict) and entry.get("hidden") is True else []
    names.aliases = direct
    followed = {alias: _end_of(alias, direct, names, (*path, alias), findings) for alias in direct}
    return {alias: target for alias, target in followed.items() if target}, tuple(hidden)


def _end_of(alias: str, direct: Mapping[str, str], names: Names, path: Path, findings: Findings) -> str | None:
    """The model an alias of aliases means in the end."""
    seen, name = [alias], direct[alias]
    while name in direct:
        if name in seen:
            findings.error(path, f"is an alias of itself ({' -> '.join([*seen, name])})", "let one of them name a model")
            return None
        seen.append(name)
        name = direct[name]
    if name not in names:
        findings.error(path, *names.unknown(name))
        return None
    return name


def _merged(
    kind: str, settings: Mapping[str, Mapping[str, Any]], own: Mapping[str, ModelRouting], names: Names, findings: Findings, *, cycles: bool
) -> Chains:
    chains: Chains = {}
    places: dict[str, Path] = {}
    written = [row for section in _SECTIONS for row in _written(settings[section].get(kind), (section, kind), findings)]
    for path, model, targets in (*_own(own, kind), *written):
        # Chains are looked up by the group's own name, whatever alias was asked for.
        group, chain = names.aliases.get(model, model), _targets(model, targets, path, names, findings)
        if group in chains and places[group][0] == path[0] == "router_settings" and chains[group] != chain:
            findings.error(path, f"{model} has another chain in {path_text(places[group])}", "keep one of the two")
        if group not in chains:
            chains[group], places[group] = chain, path
    if not cycles:
        _check_cycles(chains, places, names, findings)
    return chains


_SECTIONS = ("router_settings", "litellm_settings")


def _own(models: Mapping[str, ModelRouting], kind: str) -> Iterator[tuple[Path, str, Any]]:
    for model, routing in models.items():
        if (targets := getattr(routing, kind)) is not None:
            # `a -> b -> c` as the chain of a itself is natural to write.
            yield ("tollkeeper", "routing", "models", model, kind), model, targets[1:] if targets[:1] == [model] else targets


def _check_cycles(chains: Chains, places: Mapping[str, Path], names: Names, findings: Findings) -> None:
    """Each circle is reported once, where it is closed."""
    done: set[str] = set()

    def follow(group: str, way: list[str]) -> None:
        for target in chains.get(group, ()):
            after = names.aliases.get(target, target)
            if after in way[:-1]:
                circle = " -> ".join([*way[way.index(after) :], after])
                advice = "remove one of these fallbacks, or write `tollkeeper: {routing: {fallback_cycles: allow}}` if both ways are meant"
                findings.error(places[group], f"the fallbacks run in a circle: {circle}", advice)
            elif after in chains and after not in done and after != group:
                follow(after, [*way, after])
        done.add(group)

    for group in chains:
        if group not in done and group != "*":
            follow(group, [group])


def _written(value: Any, path: Path, findings: Findings) -> Iterator[tuple[Path, str, Any]]:
    if value is None:
        return
    if isinstance(value, dict):
        for model, targets in value.items():
            yield (*path, model), model, targets
    elif isinstance(value, str) and "->" in value:
        model, *targets = arrows(value)
        yield path, model, targets
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, list):
                findings.error((*path, index), "must be a mapping of a model to its fallbacks", FORM)
            else:
                yield from _written(item, (*path, index), findings)
    else:
        findings.error(path, "must be a list of mappings", FORM)


def _targets(model: str, targets: Any, path: Path, names: Names, findings: Findings) -> tuple[str, ...]:
    if model != "*" and model not in names:
        findings.error(path, *names.unknown(model))
    listed = arrows(targets) if isinstance(targets, str) else targets
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        findings.error(path, "must be a list of model names", FORM)
        return ()
    for name in listed:
        if name not in names:
            findings.error(path, *names.unknown(name))
        elif names.aliases.get(name, name) == names.aliases.get(model, model):
            findings.error(path, f"{model} falls back to itself", "remove it from its own list")
    return tuple(listed)


def _default(settings: Mapping[str, Mapping[str, Any]], names: Names, findings: Findings) -> tuple[str, ...]:
    for section in ("router_settings", "litellm_settings"):
        if (written := settings[section].get("default_fallbacks")) is not None:
            return _targets("*", written, (section, "default_fallbacks"), names, findings)
    return ()
