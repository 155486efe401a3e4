"""What a caller is told of a call in response headers, in LiteLLM's names.

https://docs.litellm.ai/docs/proxy/response_headers. A header is there when there is something to say: no price, no cost; no budget, no
spend. On a stream the headers leave before the usage is known, so there they say nothing of costs (`usage.cost` in its last chunk does).
"""

import math
from collections.abc import Mapping

from tollkeeper.admission.visit import Visit
from tollkeeper.ledger.cost import CostBreakdown
from tollkeeper.money import nano_to_usd
from tollkeeper.providers.headers import shown_headers

SPOKEN_VERSION = "1.109.1"
"""The LiteLLM whose surface this gateway speaks; clients choose what they send by it."""
_PARTS = ("input", "output", "cache_read", "cache_creation", "reasoning")


def answer_headers(visit: Visit, provider: Mapping[str, str]) -> dict[str, str]:
    """`provider` are the headers of the provider's own answer."""
    account = visit.account
    headers = {**shown_headers(provider), **_place(visit), "x-litellm-version": SPOKEN_VERSION, **visit.ticket.headers}
    total, upstream = account.elapsed() * 1000, account.upstream * 1000
    headers["x-litellm-response-duration-ms"] = f"{total:.3f}"
    headers["x-litellm-overhead-duration-ms"] = f"{max(total - upstream, 0):.3f}"
    cost = account.cost()
    if cost is not None:
        headers.update(_costs(cost))
    headers.update(_key(visit, 0 if cost is None else cost.total))
    return headers


def error_headers(visit: Visit) -> dict[str, str]:
    """Of an error that came after the call was let in."""
    return {**_place(visit), **visit.ticket.headers}


def _place(visit: Visit) -> dict[str, str]:
    """Where the call went."""
    headers = {
        "x-litellm-call-id": visit.call.shown_id,
        "x-request-id": visit.call.id,
        "x-litellm-model-group": visit.group.name,
        "x-litellm-attempted-retries": str(max(visit.plan.tries - 1 - visit.plan.fallbacks_used, 0)),
        "x-litellm-attempted-fallbacks": str(visit.plan.fallbacks_used),
    }
    if visit.guarding.names:
        headers["x-litellm-applied-guardrails"] = ",".join(visit.guarding.names)
    if (deployment := visit.account.deployment) is not None:
        headers["x-litellm-model-id"] = deployment.id
        headers["x-litellm-model-name"] = f"{deployment.provider}/{deployment.model}"
        if deployment.base_url:
            headers["x-litellm-model-api-base"] = deployment.base_url
    return headers


def _costs(cost: CostBreakdown) -> dict[str, str]:
    """`original` is the list's; what finance took off it and put on it is said where there is any."""
    said = {"": cost.total, "-original": cost.listed, **{f"-{part.replace('_', '-')}": getattr(cost, part) for part in _PARTS}}
    adjusted = {"-tool-usage": cost.tools, "-discount-amount": cost.discount, "-margin-amount": cost.margin}
    said |= {name: nano for name, nano in adjusted.items() if nano}
    return {f"x-litellm-response-cost{name}": repr(nano_to_usd(nano)) for name, nano in said.items()}


def _key(visit: Visit, cost: int) -> dict[str, str]:
    """The key's own terms, and what its budget's window stands at with this call in it."""
    payer, headers = visit.ticket.payer, dict[str, str]()
    if payer is None:
        return headers
    key = payer.principal.key
    if key.max_budget is not None:
        raised = key.temp_budget_increase or 0 if visit.account.entry.started_at < (key.temp_budget_expiry or math.inf) else 0
        headers["x-litellm-key-max-budget"] = repr(nano_to_usd(key.max_budget + raised))
    for name, limit in (("rpm", key.rpm_limit), ("tpm", key.tpm_limit)):
        if limit is not None:
            headers[f"x-litellm-key-{name}-limit"] = str(limit)
    hold = visit.ticket.hold
    if hold is not None and (spent := hold.spent.get("key")) is not None:
        headers["x-litellm-key-spend"] = repr(nano_to_usd(spent + cost))
    return headers
