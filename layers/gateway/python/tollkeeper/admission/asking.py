"""What a request asks of routing, with all that its key, team and customer add: tags, required labels, rules, retries, fallbacks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tollkeeper.admission.payer import Payer
from tollkeeper.admission.visit import Call, cannot_serve, serving
from tollkeeper.auth.access import may_use_model
from tollkeeper.auth.principal import Principal
from tollkeeper.auth.records import Record
from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import Deployment
from tollkeeper.errors import BadRequest, Forbidden
from tollkeeper.providers.patience import usable
from tollkeeper.providers.scripted import is_rehearsal
from tollkeeper.routing.asked import Asked, Requirement, asked_for, required
from tollkeeper.routing.health import Health
from tollkeeper.routing.plan import Plan
from tollkeeper.routing.request import all_text
from tollkeeper.routing.resolve import Groups, ModelGroup
from tollkeeper.routing.rules import Circumstances, Decision, Rules
from tollkeeper.routing.wishes import Wishes, asked_of, wishes_of

MATCHED_HEADERS = ("user-agent", "x-app", "x-client-name")
"""What a deployment's tag_regex may look at, as `User-Agent: …`. https://docs.litellm.ai/docs/proxy/tag_routing"""


@dataclass(frozen=True, slots=True)
class Asking:
    """`decision` is what the rules said; `group` the one that serves, theirs if they named one."""

    group: ModelGroup
    asked: Asked
    wishes: Wishes
    decision: Decision


def asking(call: Call, payer: Payer, group: ModelGroup, groups: Groups, now: float) -> Asking:
    """Raises BadRequest naming the field; Forbidden where a rule refuses, or a fallback is named that the key may not use."""
    principal, body, headers = payer.principal, call.body, call.headers
    wishes = wishes_of(body, headers, router_settings(principal))
    for name in wishes.named:
        found = groups.find(name, principal.aliases)
        if found is None:
            raise BadRequest(f"There is no model {name[:200]} to fall back on.", param="fallbacks", code="model_not_found")
        may_use_model(principal, name, found.access_groups)
    asked = asked_of(body, headers)
    decision = groups.rules.decide(_circumstances(call, payer, group, asked)) if groups.rules else Decision()
    if decision.refuse is not None:
        raise Forbidden(decision.refuse, type="routing_rule", code="refused_by_rule", param="model")
    asked = replace(
        asked,
        tags=tuple(dict.fromkeys((*asked.tags, *principal.tags))),
        require=(*decision.require, *_required(payer), *asked_for(body, headers), *call.require),
        phrases=tuple(f"{name.title()}: {headers[name]}" for name in MATCHED_HEADERS if name in headers),
        at=now,
        rehearsal=is_rehearsal(body),
    )
    target = groups.find(decision.use) if decision.use else None
    return Asking(target or group, asked, wishes, decision)


def plan_of(asks: Asking, groups: Groups, find: Callable[[str], ModelGroup | None], call: Call, *, random: Random, health: Health) -> Plan:
    """Raises BadRequest where the model that a rule names cannot serve the endpoint, and as Plan does."""
    group = serving(asks.group, call.endpoint)
    if group is None:
        raise cannot_serve(asks.group, call.endpoint, call.body["model"])
    wishes = asks.wishes
    plan = Plan(groups.snapshot, group, find, random, chains=wishes.chains, num_retries=wishes.num_retries, asked=asks.asked, health=health)
    plan.record.rule = asks.decision.rule
    plan.record.required = tuple(dict.fromkeys(rule.words() for rule in (*group.policy.require, *asks.asked.require)))
    return plan


def deadline_of(call: Call, group: ModelGroup, clock: Clock) -> float | None:
    """The sooner of what the platform and the group's `total_timeout` leave, in monotonic seconds."""
    known = [seconds for seconds in (usable(call.seconds_left(clock)), group.policy.total_timeout) if seconds is not None]
    return clock.monotonic() + min(known) if known else None


def router_settings(principal: Principal) -> dict[str, Any]:
    """Of the key, over those of its team. https://docs.litellm.ai/docs/proxy/keys_teams_router_settings"""
    found: dict[str, Any] = {}
    for record in (principal.team, principal.key):
        if record is not None:
            given = record.extra.get("router_settings") or record.metadata.get("router_settings")
            found |= given if isinstance(given, dict) else {}
    return found


def budget_fallbacks(principal: Principal, groups: Groups, model: str) -> list[str]:
    """The models to go down to when this one's budget is used up: the key's, else the team's, else the configuration's.

    https://docs.litellm.ai/docs/proxy/budget_fallbacks
    """
    own = groups.snapshot.settings.get("tollkeeper", {}).get("routing") or {}
    listed = [record.extra.get("budget_fallbacks") or record.metadata.get("budget_fallbacks") for record in _owners(principal)]
    for chains in (*listed, own.get("budget_fallbacks")):
        chain = chains.get(model) if isinstance(chains, Mapping) else None
        if isinstance(chain, list):
            return [name for name in chain if isinstance(name, str) and name != model]
    return []


def _owners(principal: Principal) -> list[Record]:
    return [record for record in (principal.key, principal.team) if record is not None]


def held_to(rules: Rules, payer: Payer, body: Mapping[str, Any], headers: Mapping[str, str], deployment: Deployment) -> None:
    """For a call that is not routed: raises Forbidden where something is required of deployments that this one does not say it has."""
    for rule in (*rules.require, *_required(payer), *asked_for(body, headers)):
        if not rule.met_by(deployment):
            message = f"This request may only go where {rule.words()}, which {deployment.provider or deployment.group} does not say it is."
            raise Forbidden(message, type="routing_rule", code="requirement_not_met")


def _required(payer: Payer) -> list[Requirement]:
    """`metadata.require` of everybody concerned, and the customer's `allowed_model_region`: all of it must hold."""
    principal = payer.principal
    named: tuple[tuple[str, Record | None], ...] = (
        ("organization", principal.organization),
        ("team", principal.team),
        ("project", principal.project),
        ("user", principal.user),
        ("key", principal.key),
        ("customer", payer.customer),
    )
    found = [rule for kind, record in named if record is not None for rule in _of_record(kind, record)]
    region = payer.customer.allowed_model_region if payer.customer is not None else None
    return [*found, Requirement("region", (region,), "customer")] if region else found


def _of_record(kind: str, record: Record) -> list[Requirement]:
    source = f"the {kind}"
    found = [rule for given in (record.metadata, record.extra) for rule in required(given.get("require"), source)]
    region = record.extra.get("allowed_model_region") or record.metadata.get("allowed_model_region")
    return [*found, Requirement("region", (region,), source)] if isinstance(region, str) else found


def _circumstances(call: Call, payer: Payer, group: ModelGroup, asked: Asked) -> Circumstances:
    principal, metadata = payer.principal, call.body.get("metadata")
    named = {
        "team": (principal.team_id, principal.team.team_alias if principal.team else None),
        "key": (principal.key_alias, principal.key_name, principal.key_hash),
        "user": (principal.user_id, principal.user.user_email if principal.user else None),
        "organization": (principal.organization_id, principal.organization.organization_alias if principal.organization else None),
        "customer": (payer.customer_id,),
        "tag": (*asked.tags, *principal.tags),
    }
    who = {kind: [name for name in names if name] for kind, names in named.items()}
    own = metadata if isinstance(metadata, dict) else {}
    return Circumstances(group.name, who, call.headers, own, asked.tokens, asked.needs, lambda: all_text(call.body))
