"""`POST /routing/explain`: a request in, the plan out, with the reason for every deployment that is not in it. Nothing is sent or spent.

What the ledger keeps of a call that was made (`routing`, see routing/record.py) says the same of what happened.
"""

from typing import Any

from tollkeeper.admission.reception import EmbedFor, Planned, Received, Reception
from tollkeeper.admission.visit import Call
from tollkeeper.catalog.endpoints import mode_of
from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects.base import Json
from tollkeeper.errors import NoDeployment, TollkeeperError
from tollkeeper.money import nano_to_usd
from tollkeeper.routing.health import Health
from tollkeeper.routing.plan import Plan

FEMTO_PER_USD_OF_A_MILLION = 10**9


async def explained(reception: Reception, call: Call, embed: EmbedFor) -> Json:
    """Raises what keeps a caller from asking at all (key, route, model); a refusal by rules is part of the answer."""
    received = await reception.receive(call, embed)
    try:
        planned = await reception.plan(received)
    except TollkeeperError as error:
        return {
            "model": received.call.shown_model,
            "group": received.group.name,
            "chosen_by": received.chosen_by,
            "refused": _refusal(error),
        }
    return await _described(reception, received, planned)


async def _described(reception: Reception, received: Received, planned: Planned) -> Json:
    plan, health = planned.plan, reception.health
    await health.refresh([*plan.group.deployments, *plan.deployments()])
    first, refused = _first(plan)
    fallbacks = plan.fallback_groups()
    worst, balances = await reception.doorkeeper.standing(
        planned.payer, received.call.body, received.call.raw, plan.deployments(), output=received.call.endpoint.output
    )
    record = plan.record.as_json()
    return {
        "model": received.call.shown_model,
        **{name: record.get(name) for name in ("group", "strategy", "rule", "chosen_by", "required")},
        "tags": list(planned.asks.asked.tags),
        "needs": sorted(planned.asks.asked.needs()),
        "prompt_tokens": planned.asks.asked.tokens(),
        "first": first,
        "refused": refused,
        "deployments": [_row(row, plan, health) for row in _in_order(plan)],
        "fallbacks": {name: [_row(row, plan, health) for row in rows] for name, rows in fallbacks.items()},
        "retries": plan.retries,
        "worst_case_usd": None if worst is None else nano_to_usd(worst),
        "budgets": [
            {
                "scope": cap.kind,
                "name": cap.name,
                "max_usd": None if cap.cap is None else nano_to_usd(cap.cap),
                "spent_usd": nano_to_usd(balance.spent),
                "held_usd": nano_to_usd(balance.held),
            }
            for cap, balance in balances
        ],
    }


def _first(plan: Plan) -> tuple[str | None, Json | None]:
    """Which deployment would be tried first; or what the caller would be told in its place."""
    try:
        return plan.first().deployment.id, None
    except (NoDeployment, TollkeeperError) as error:
        return None, _refusal(error)


def _in_order(plan: Plan) -> list[Deployment]:
    """As they would be tried, the dropped ones last."""
    order = plan.record.orders.get(plan.group.name, [])
    place = {name: index for index, name in enumerate(order)}
    return sorted(plan.group.deployments, key=lambda row: place.get(row.id, len(place)))


def _row(row: Deployment, plan: Plan, health: Health) -> Json:
    standing, seen = health.standing(row), health.statistics(row)
    dropped = plan.record.dropped.get(row.id)
    if dropped is None and standing.resting:
        dropped = f"it rests for {standing.wait:.1f} s more ({standing.reason})"
    said: dict[str, Any] = {
        "id": row.id,
        "model": f"{row.provider}/{row.model}",
        "mode": mode_of(row),
        "dropped_because": dropped,
        "slow": row.id in plan.record.slow,
        "order": row.order,
        "weight": row.weight,
        "labels": row.labels,
        "prices_usd_per_million": _prices(row),
        "limits": {
            "rpm": row.rpm,
            "tpm": row.tpm,
            "max_parallel_requests": row.max_parallel_requests,
            "max_input_tokens": row.max_input_tokens,
        },
        "used_this_minute": {"requests": seen.requests, "tokens": seen.tokens, "in_flight": seen.in_flight},
        "max_budget_usd": None if row.max_budget is None else nano_to_usd(row.max_budget),
        "circuit": "half-open" if standing.due else "open" if standing.open else "closed",
        "measured": {
            "first_token_p95": seen.quantile(0.95, streamed=True),
            "answer_p95": seen.quantile(0.95, streamed=False),
            "tokens_per_second": seen.tokens_per_second,
            "error_rate": seen.error_rate,
        },
    }
    return said


def _prices(row: Deployment) -> dict[str, float] | None:
    if row.prices is None:
        return None
    return {unit: rate.price / FEMTO_PER_USD_OF_A_MILLION for unit, rate in row.prices.rates.items() if unit != "request"}


def _refusal(error: TollkeeperError) -> Json:
    return {"status": error.status, "type": error.type, "code": error.code, "message": error.message, "retry_after": error.retry_after}
