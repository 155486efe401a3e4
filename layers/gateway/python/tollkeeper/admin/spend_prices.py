"""/spend/calculate and /cost/estimate: what a call would cost, or a given answer did, by the prices in force."""

from typing import Any

import orjson
from fastapi import APIRouter

from tollkeeper.admin import answers as a
from tollkeeper.admin.models_spend import CostEstimate, SpendCalculate
from tollkeeper.admin.route import StrictRoute
from tollkeeper.admin.services import Acting, AdminServices, Services
from tollkeeper.budgets.estimate import input_tokens
from tollkeeper.config.snapshot import Deployment, Prices
from tollkeeper.dialects.usage import Usage, usage_from_hub
from tollkeeper.errors import BadRequest
from tollkeeper.ledger.cost import CostBreakdown, cost_of
from tollkeeper.money import nano_to_usd
from tollkeeper.routing.resolve import Groups

router = APIRouter(tags=["spend"], route_class=StrictRoute)
_MONTH_DAYS = 30


@router.post("/spend/calculate", **a.answers(dict[str, float]))
async def calculate(body: SpendCalculate, services: Services, _actor: Acting) -> dict[str, float]:
    """Of `model` and `messages`: the input, before the call (an estimate of its tokens). Of `completion_response`: what it cost."""
    if body.completion_response is not None:
        model, usage = body.completion_response.get("model") or body.model, body.completion_response.get("usage")
        if not isinstance(model, str) or not isinstance(usage, dict):
            raise BadRequest("completion_response needs a model and its usage.", param="completion_response")
        _, prices = _priced(services, model)
        return {"cost": nano_to_usd(cost_of(usage_from_hub(usage), prices).total)}
    if body.model is None:
        raise BadRequest("Bad Request - Either 'model' or 'completion_response' must be provided", param="model")
    if body.messages is None:
        raise BadRequest("Bad Request - messages must be provided if 'model' is provided", param="messages")
    row, prices = _priced(services, body.model)
    asked = {"model": body.model, "messages": body.messages}
    tokens = input_tokens(asked, len(orjson.dumps(asked)), row.provider, row.model)
    return {"cost": nano_to_usd(cost_of(Usage(input=tokens), prices).total)}


@router.post("/cost/estimate", **a.answers(dict[str, Any]))
async def estimate(body: CostEstimate, services: Services, _actor: Acting) -> dict[str, Any]:
    """Of one call with so many tokens, and of so many such calls a day and a month."""
    row, prices = _priced(services, body.model)
    cost = cost_of(
        Usage(
            input=body.input_tokens,
            output=body.output_tokens,
            cache_read=body.cache_read_input_tokens,
            cache_creation=body.cache_creation_input_tokens,
            reasoning=body.reasoning_tokens,
        ),
        prices,
    )
    monthly = body.num_requests_per_month
    if monthly is None and body.num_requests_per_day is not None:
        monthly = body.num_requests_per_day * _MONTH_DAYS
    return {
        "model": body.model,
        "provider": row.provider,
        "input_tokens": body.input_tokens,
        "output_tokens": body.output_tokens,
        **_costs(cost),
        "num_requests_per_day": body.num_requests_per_day,
        "num_requests_per_month": body.num_requests_per_month,
        "daily_cost": None if body.num_requests_per_day is None else nano_to_usd(cost.total * body.num_requests_per_day),
        "monthly_cost": None if monthly is None else nano_to_usd(cost.total * monthly),
        "price_version": prices.version,
    }


def _costs(cost: CostBreakdown) -> dict[str, float]:
    return {"cost_per_request": nano_to_usd(cost.total), "input_cost_per_request": nano_to_usd(cost.input)} | {
        "output_cost_per_request": nano_to_usd(cost.output + cost.reasoning),
        "cache_read_cost_per_request": nano_to_usd(cost.cache_read),
        "cache_creation_cost_per_request": nano_to_usd(cost.cache_creation),
    }


def _priced(services: AdminServices, model: str) -> tuple[Deployment, Prices]:
    """By the name that callers use, else by the provider's. Raises BadRequest for a model or a price that nobody knows."""
    groups = services.groups() if services.groups else Groups(services.models)
    group = groups.find(model)
    rows = group.deployments if group else tuple(row for row in groups.snapshot.deployments if row.model == model)
    if not rows:
        raise BadRequest(f"There is no model {model[:200]}; GET /v1/models lists those there are.", param="model")
    for row in rows:
        if row.prices is not None:
            return row, row.prices
    raise BadRequest(f"Nobody knows the price of {model[:200]}; set input_cost_per_token and output_cost_per_token.", param="model")
