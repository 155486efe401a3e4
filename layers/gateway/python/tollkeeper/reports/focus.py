"""The ledger as FOCUS 1.2 rows (FinOps Open Cost and Usage Specification, https://focus.finops.org/focus-specification/v1-2/), and the
specification's column rules to hold rows against.

One row is what one key spent in one day on one model of one provider. Money is a decimal with nine places; what was paid is what was agreed
and what is listed, for the ledger knows one price. Unit prices are left out (conditional columns): tokens of different kinds cost
differently, and no one unit price times a quantity is the cost.
"""

import calendar
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from tollkeeper.reports.tabular import usd
from tollkeeper.store.table import Item

Row = dict[str, str | None]
CATEGORIES = {
    "ChargeCategory": ("Usage", "Purchase", "Tax", "Credit", "Adjustment"),
    "ChargeClass": ("Correction",),
    "ChargeFrequency": ("One-Time", "Recurring", "Usage-Based"),
    "PricingCategory": ("Standard", "Dynamic", "Committed", "Other"),
    "ServiceCategory": (
        "AI and Machine Learning", "Analytics", "Business Applications", "Compute", "Databases", "Developer Tools", "Multicloud",
        "Identity", "Integration", "Internet of Things", "Management and Governance", "Media", "Migration", "Mobile", "Networking",
        "Security", "Storage", "Web", "Other",
    ),
    "ServiceSubcategory": (
        "AI Platforms", "Bots", "Generative AI", "Machine Learning", "Natural Language Processing", "Other (AI and Machine Learning)",
    ),
}  # fmt: skip
DECIMALS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "PricingQuantity", "ConsumedQuantity")
MOMENTS = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
NEVER_NULL = (
    *("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", *MOMENTS),
    *("BillingAccountId", "BillingCurrency", "ChargeCategory", "ChargeFrequency", "InvoiceIssuerName", "ProviderName", "PublisherName"),
    *("ServiceCategory", "ServiceName", "ServiceSubcategory"),
)
COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory",
    "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit",
    "ContractedCost", "EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost", "PricingCategory", "PricingQuantity", "PricingUnit",
    "ProviderName", "PublisherName", "ResourceId", "ResourceName", "ResourceType", "ServiceCategory", "ServiceName", "ServiceSubcategory",
    "SkuId", "SkuMeter", "SkuPriceId", "SubAccountId", "SubAccountName", "Tags", "x_Requests", "x_InputTokens", "x_OutputTokens",
    "x_UserId", "x_CustomerId", "x_CallType", "x_KeyHash",
)  # fmt: skip
_GROUPED = ("key_hash", "team_id", "user_id", "customer_id", "organization_id", "model", "upstream_model", "provider", "call_type")


def focus_rows(entries: Iterable[Item], *, account: str = "tollkeeper") -> list[Row]:
    """In order of day. `account` is who pays: the BillingAccountId of entries without an organization."""
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for entry in entries:
        name = (
            str(entry["started_at"])[:10],
            *(str(entry.get(label) or "") for label in _GROUPED),
            ",".join(sorted(entry.get("tags", ()))),
        )
        group = groups.setdefault(name, {"cost": 0, "requests": 0, "input": 0, "output": 0, "entry": entry, "day": name[0]})
        group["cost"] += entry["cost"]
        group["requests"] += 1
        group["input"] += entry.get("input_tokens", 0)
        group["output"] += entry.get("output_tokens", 0)
    return [_row(groups[name], account) for name in sorted(groups)]


def _row(group: Mapping[str, Any], account: str) -> Row:
    entry, day = group["entry"], date.fromisoformat(group["day"])
    cost, tokens = usd(group["cost"]), str(group["input"] + group["output"])
    provider, model = entry.get("provider") or "unknown", entry.get("upstream_model") or entry["model"]
    month, payer = day.replace(day=1), entry.get("organization_id") or account
    tags = dict.fromkeys(entry.get("tags", ()), True)
    if entry.get("key_alias"):
        tags["tollkeeper/key_alias"] = entry["key_alias"]
    return {
        **dict.fromkeys(COLUMNS),
        **dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), cost),
        "BillingAccountId": payer,
        "BillingAccountName": payer,
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
        "SkuId": f"{provider}/{model}",
        "SkuMeter": "Tokens",
        "SkuPriceId": f"{provider}/{model}/{entry.get('price_version') or 'unpriced'}",
        "SubAccountId": entry.get("team_id"),
        "SubAccountName": entry.get("team_id"),
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


def violations(row: Mapping[str, Any]) -> list[str]:
    """What the specification's column rules say against a row; none for a good one."""
    found = [f"{name}: missing" for name in COLUMNS if name not in row and not name.startswith("x_")]
    found += [f"{name}: may not be null" for name in NEVER_NULL if row.get(name) in {None, ""}]
    found += [f"{name}: {row[name]!r} is no decimal" for name in DECIMALS if row.get(name) is not None and not _is_decimal(row[name])]
    found += [f"{name}: {row[name]!r} is no date and time in UTC" for name in MOMENTS if row.get(name) and not _is_moment(row[name])]
    found += [f"{name}: {row[name]!r} is not allowed" for name, allowed in CATEGORIES.items() if row.get(name) and row[name] not in allowed]
    found += [f"{name}: {text}" for name, text, broken in _RULES if broken(row)]
    found += [f"{name}: a column of our own begins with x_" for name in row if name not in COLUMNS and not name.startswith("x_")]
    return found


def _used(row: Mapping[str, Any]) -> bool:
    return row.get("ChargeCategory") == "Usage" and row.get("ChargeClass") != "Correction"


Broken = Callable[[Mapping[str, Any]], bool]
_RULES: tuple[tuple[str, str, Broken], ...] = (
    ("BillingCurrency", "is a code of ISO 4217", lambda row: not _is_currency(row.get("BillingCurrency"))),
    ("ChargePeriodEnd", "lies behind its start", lambda row: str(row.get("ChargePeriodEnd")) <= str(row.get("ChargePeriodStart"))),
    ("BillingPeriodEnd", "lies behind its start", lambda row: str(row.get("BillingPeriodEnd")) <= str(row.get("BillingPeriodStart"))),
    ("PricingQuantity", "may not be null for usage", lambda row: _used(row) and row.get("PricingQuantity") is None),
    ("PricingUnit", "goes with PricingQuantity", lambda row: (row.get("PricingUnit") is None) != (row.get("PricingQuantity") is None)),
    ("ConsumedQuantity", "may not be null for usage", lambda row: _used(row) and row.get("ConsumedQuantity") is None),
    ("ConsumedUnit", "goes with ConsumedQuantity", lambda row: (row.get("ConsumedUnit") is None) != (row.get("ConsumedQuantity") is None)),
    ("PricingCategory", "may not be null for usage", lambda row: _used(row) and row.get("PricingCategory") is None),
    ("SkuPriceId", "may not be null for usage", lambda row: _used(row) and row.get("SkuPriceId") is None),
    ("SkuId", "may not be null where there is a SkuPriceId", lambda row: bool(row.get("SkuPriceId")) and row.get("SkuId") is None),
    ("ResourceType", "goes with ResourceId", lambda row: bool(row.get("ResourceId")) and row.get("ResourceType") is None),
    ("SubAccountName", "is null without SubAccountId", lambda row: bool(row.get("SubAccountName")) and row.get("SubAccountId") is None),
    ("Tags", "is a JSON object of texts, numbers and booleans", lambda row: not _is_tags(row.get("Tags"))),
)


def _is_decimal(text: Any) -> bool:
    try:
        return isinstance(text, str) and Decimal(text).is_finite()
    except InvalidOperation:
        return False


def _is_moment(text: Any) -> bool:
    try:
        return isinstance(text, str) and text.endswith("Z") and datetime.fromisoformat(text).second >= 0
    except ValueError:
        return False


def _is_currency(text: Any) -> bool:
    return isinstance(text, str) and len(text) == 3 and text.isascii() and text.isalpha() and text.isupper()


def _is_tags(text: Any) -> bool:
    if text is None:
        return True
    try:
        tags = orjson.loads(text)
    except (orjson.JSONDecodeError, TypeError):
        return False
    return isinstance(tags, dict) and all(isinstance(value, str | int | float | bool) for value in tags.values())
