"""The ledger as FOCUS 1.2 rows (FinOps Open Cost and Usage Specification, https://focus.finops.org/focus-specification/v1-2/).

One row is what one key spent in one day on one model of one provider. Money is a decimal with nine places. What is billed is what was
agreed; what is listed has no discount off. The gateway publishes no price list of its own, so there are no unit prices (conditional
columns): tokens of different kinds cost differently, and no one unit price times a quantity is the cost. focus_rules.py holds rows
against the specification's rules.
"""

import calendar
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

import orjson

from tollkeeper.reports.tabular import usd
from tollkeeper.store.table import Item

Row = dict[str, str | None]
COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
    "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost", "PricingCategory",
    "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ResourceId", "ResourceName", "ResourceType", "ServiceCategory",
    "ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName",
    "SubAccountType", "Tags", "x_Requests", "x_InputTokens", "x_OutputTokens", "x_UserId", "x_CustomerId", "x_CallType", "x_KeyHash",
)  # fmt: skip
_GROUPED = (
    "key_hash",
    "team_id",
    "user_id",
    "customer_id",
    "organization_id",
    "model",
    "upstream_model",
    "provider",
    "call_type",
    "service_tier",
)


def focus_rows(entries: Iterable[Item], *, account: str = "tollkeeper") -> list[Row]:
    """In order of day. `account` is who pays: the BillingAccountId of entries without an organization."""
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for entry in entries:
        name = (
            str(entry["started_at"])[:10],
            *(str(entry.get(label) or "") for label in _GROUPED),
            ",".join(sorted(entry.get("tags", ()))),
        )
        group = groups.setdefault(name, {"cost": 0, "discount": 0, "requests": 0, "input": 0, "output": 0, "entry": entry, "day": name[0]})
        group["cost"] += entry["cost"]
        group["discount"] += (entry.get("cost_parts") or {}).get("discount", 0)
        group["requests"] += 1
        group["input"] += entry.get("input_tokens", 0)
        group["output"] += entry.get("output_tokens", 0)
    return [_row(groups[name], account) for name in sorted(groups)]


def _row(group: Mapping[str, Any], account: str) -> Row:
    entry, day = group["entry"], date.fromisoformat(group["day"])
    cost, tokens = usd(group["cost"]), str(group["input"] + group["output"])
    provider, model = entry.get("provider") or "unknown", entry.get("upstream_model") or entry["model"]
    month, payer = day.replace(day=1), entry.get("organization_id") or account
    sku, tier = f"{provider}/{model}", entry.get("service_tier")
    tags = dict.fromkeys(entry.get("tags", ()), True)
    if entry.get("key_alias"):
        tags["tollkeeper/key_alias"] = entry["key_alias"]
    return {
        **dict.fromkeys(COLUMNS),
        **dict.fromkeys(("BilledCost", "EffectiveCost", "ContractedCost"), cost),
        "ListCost": usd(group["cost"] + group["discount"]),
        "BillingAccountId": payer,
        "BillingAccountName": payer,
        "BillingAccountType": "Organization" if entry.get("organization_id") else "Installation",
        "BillingCurrency": "USD",
        "BillingPeriodStart": _moment(month),
        "BillingPeriodEnd": _moment(month + timedelta(days=calendar.monthrange(month.year, month.month)[1])),
        "ChargePeriodStart": _moment(day),
        "ChargePeriodEnd": _moment(day + timedelta(days=1)),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{model} at {provider}, {group['requests']} calls",
        "ChargeFrequency": "Usage-Based",
        **dict.fromkeys(("ConsumedQuantity", "PricingQuantity"), tokens),
        **dict.fromkeys(("ConsumedUnit", "PricingUnit"), "Tokens"),
        "PricingCategory": "Standard",
        **dict.fromkeys(("ProviderName", "PublisherName", "InvoiceIssuerName", "ServiceName"), provider),
        "ResourceId": entry.get("deployment_id") or model,
        "ResourceName": entry["model"],
        "ResourceType": "Model",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Generative AI",
        "SkuId": sku,
        "SkuMeter": "Tokens",
        # Neither an amount nor a time is in it: it has to stay the same from month to month.
        "SkuPriceId": f"{sku}/{tier or 'standard'}",
        "SkuPriceDetails": orjson.dumps({"x_ServiceTier": tier}).decode() if tier else None,
        "SubAccountId": entry.get("team_id"),
        "SubAccountName": entry.get("team_id"),
        "SubAccountType": "Team" if entry.get("team_id") else None,
        "Tags": orjson.dumps(tags).decode(),
        "x_Requests": str(group["requests"]),
        "x_InputTokens": str(group["input"]),
        "x_OutputTokens": str(group["output"]),
        "x_UserId": entry.get("user_id"),
        "x_CustomerId": entry.get("customer_id"),
        "x_CallType": entry.get("call_type"),
        "x_KeyHash": entry.get("key_hash"),
    }


def _moment(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"
