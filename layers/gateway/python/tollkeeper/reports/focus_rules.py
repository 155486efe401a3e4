"""FOCUS 1.2's rules for rows, as data: each finding names the rule of the specification's requirements model that it breaks.

Which columns must be there depends on what the data's generator supports. This one measures usage, has sub accounts, resources, SKUs and
tags, and more than one type of billing account; it has no commitments, capacity reservations, regions, second currency or price list.
https://github.com/FinOps-Open-Cost-and-Usage-Spec/FOCUS_Spec/tree/main/specification/requirements_model
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson

Cells = Mapping[str, Any]
Broken = Callable[[Cells], bool]

PRESENT: Mapping[str, str] = {
    "BillingAccountName": "D-005-M", "BilledCost": "D-006-M", "BillingAccountType": "D-007-C", "ChargeCategory": "D-008-M",
    "BillingPeriodStart": "D-009-M", "BillingPeriodEnd": "D-010-M", "ConsumedQuantity": "D-011-C", "SubAccountId": "D-019-C",
    "PublisherName": "D-021-M", "PricingCategory": "D-022-C", "InvoiceIssuerName": "D-023-M", "BillingAccountId": "D-024-M",
    "ChargeDescription": "D-025-M", "ChargeClass": "D-026-M", "ChargeFrequency": "D-027-O", "ChargePeriodEnd": "D-028-M",
    "SubAccountName": "D-029-C", "ContractedCost": "D-030-M", "EffectiveCost": "D-031-M", "ListCost": "D-032-M", "InvoiceId": "D-033-O",
    "BillingCurrency": "D-035-M", "PricingQuantity": "D-036-M", "ChargePeriodStart": "D-037-M", "ProviderName": "D-038-M",
    "ResourceType": "D-039-C", "ServiceCategory": "D-040-M", "ServiceName": "D-041-M", "ServiceSubcategory": "D-042-O",
    "ResourceId": "D-043-C", "ResourceName": "D-044-C", "SkuPriceId": "D-055-C", "SkuMeter": "D-056-C", "SkuId": "D-057-C",
    "SkuPriceDetails": "D-058-C", "Tags": "D-061-C", "ConsumedUnit": "D-063-C", "SubAccountType": "D-064-C", "PricingUnit": "D-065-M",
}  # fmt: skip
"""Column → the rule of the dataset (CostAndUsage-…) that wants it."""

NEVER_NULL: Mapping[str, str] = {
    "BilledCost": "C-001-M", "BillingAccountId": "C-001-M", "BillingAccountName": "C-003-C", "BillingAccountType": "C-005-C",
    "BillingCurrency": "C-004-M", "BillingPeriodEnd": "C-003-M", "BillingPeriodStart": "C-003-M", "ChargeCategory": "C-002-M",
    "ChargeDescription": "C-003-O", "ChargeFrequency": "C-002-M", "ChargePeriodEnd": "C-003-M", "ChargePeriodStart": "C-003-M",
    "ContractedCost": "C-003-M", "EffectiveCost": "C-003-M", "InvoiceIssuerName": "C-003-M", "ListCost": "C-003-M",
    "ProviderName": "C-003-M", "PublisherName": "C-003-M", "ServiceCategory": "C-002-M", "ServiceName": "C-003-M",
    "ServiceSubcategory": "C-002-M",
}  # fmt: skip

DECIMALS: Mapping[str, str] = {
    "BilledCost": "C-003-M", "ConsumedQuantity": "C-002-M", "ContractedCost": "C-002-M", "EffectiveCost": "C-002-M", "ListCost": "C-002-M",
    "PricingQuantity": "C-002-M",
}  # fmt: skip
MOMENTS = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
SUBCATEGORIES = {
    "AI and Machine Learning": (
        "AI Platforms", "Bots", "Generative AI", "Machine Learning", "Natural Language Processing", "Other (AI and Machine Learning)",
    ),
}  # fmt: skip
"""Of the one category that rows here have."""

ALLOWED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ChargeCategory": ("C-003-M", ("Usage", "Purchase", "Tax", "Credit", "Adjustment")),
    "ChargeClass": ("C-005-C", ("Correction",)),
    "ChargeFrequency": ("C-003-M", ("One-Time", "Recurring", "Usage-Based")),
    "PricingCategory": ("C-007-M", ("Standard", "Committed", "Dynamic", "Other")),
    "ServiceCategory": ("C-003-M", (
        "AI and Machine Learning", "Analytics", "Business Applications", "Compute", "Databases", "Developer Tools", "Multicloud",
        "Identity", "Integration", "Internet of Things", "Management and Governance", "Media", "Migration", "Mobile", "Networking",
        "Security", "Storage", "Web", "Other",
    )),
}  # fmt: skip


def _used(row: Cells) -> bool:
    return row.get("ChargeCategory") in {"Usage", "Purchase"} and row.get("ChargeClass") != "Correction"


def _unlike(one: str, other: str) -> Broken:
    """One of the two is null and the other is not."""
    return lambda row: _null(row.get(one)) != _null(row.get(other))


def _missing(column: str) -> Broken:
    """Null in a row of usage or a purchase."""
    return lambda row: _used(row) and _null(row.get(column))


def _taxed(column: str) -> Broken:
    return lambda row: row.get("ChargeCategory") == "Tax" and not _null(row.get(column))


def _not_behind(kind: str) -> Broken:
    return lambda row: str(row.get(f"{kind}PeriodEnd")) <= str(row.get(f"{kind}PeriodStart"))


def _purchase_by_usage(row: Cells) -> bool:
    return (row.get("ChargeCategory"), row.get("ChargeFrequency")) == ("Purchase", "Usage-Based")


def _bought_twice(row: Cells) -> bool:
    return row.get("ChargeCategory") == "Purchase" and not _is_zero(row.get("EffectiveCost"))


def _unmeasured(row: Cells) -> bool:
    return row.get("ChargeCategory") == "Usage" and _used(row) and _null(row.get("ConsumedQuantity"))


def _in_another_category(row: Cells) -> bool:
    known = SUBCATEGORIES.get(str(row.get("ServiceCategory")))
    return known is not None and row.get("ServiceSubcategory") not in known


def _details_of_nothing(row: Cells) -> bool:
    return _null(row.get("SkuPriceId")) and not _null(row.get("SkuPriceDetails"))


def _invoiced_elsewhere(row: Cells) -> bool:
    return row.get("ProviderName") != row.get("InvoiceIssuerName") and not _is_zero(row.get("BilledCost"))


CONDITIONS: tuple[tuple[str, str, Broken], ...] = (
    ("BilledCost-C-004-C", "is 0 where somebody else than the provider invoices", _invoiced_elsewhere),
    ("BillingCurrency-C-006-M", "is a code of ISO 4217", lambda row: not _is_currency(row.get("BillingCurrency"))),
    ("BillingPeriodEnd-C-004-M", "lies behind its start", _not_behind("Billing")),
    ("ChargePeriodEnd-C-004-M", "lies behind its start", _not_behind("Charge")),
    ("ChargeFrequency-C-004-C", "is not Usage-Based for a purchase", _purchase_by_usage),
    ("ConsumedQuantity-C-005-C", "may not be null for usage", _unmeasured),
    ("ConsumedUnit-C-004-C", "goes with ConsumedQuantity", _unlike("ConsumedUnit", "ConsumedQuantity")),
    ("EffectiveCost-C-005-C", "is 0 for a purchase", _bought_twice),
    ("PricingCategory-C-003-C", "is null for a tax", _taxed("PricingCategory")),
    ("PricingCategory-C-004-C", "may not be null for usage", _missing("PricingCategory")),
    ("PricingQuantity-C-004-C", "is null for a tax", _taxed("PricingQuantity")),
    ("PricingQuantity-C-005-C", "may not be null for usage", _missing("PricingQuantity")),
    ("PricingUnit-C-003-O", "is a unit such as Tokens or 1000 Tokens", lambda row: not _is_unit(row.get("PricingUnit"))),
    ("PricingUnit-C-004-C", "goes with PricingQuantity", _unlike("PricingUnit", "PricingQuantity")),
    ("ResourceType-C-003-C", "goes with ResourceId", _unlike("ResourceType", "ResourceId")),
    ("ServiceSubcategory-C-004-M", "is none of its ServiceCategory", _in_another_category),
    ("SkuId-C-005-C", "may not be null for usage", _missing("SkuId")),
    ("SkuMeter-C-003-C", "goes with SkuId", _unlike("SkuMeter", "SkuId")),
    ("SkuPriceDetails-C-001-M", "is a flat JSON object", lambda row: not _is_key_value(row.get("SkuPriceDetails"))),
    ("SkuPriceDetails-C-004-C", "is null without a SkuPriceId", _details_of_nothing),
    ("SkuPriceId-C-005-C", "may not be null for usage", _missing("SkuPriceId")),
    ("SubAccountName-C-003-C", "goes with SubAccountId", _unlike("SubAccountName", "SubAccountId")),
    ("SubAccountType-C-003-C", "goes with SubAccountId", _unlike("SubAccountType", "SubAccountId")),
    ("Tags-C-001-M", "is a flat JSON object", lambda row: not _is_key_value(row.get("Tags"))),
)
ONE_PARENT = (("ServiceName-C-005-C", "ServiceName", "ServiceCategory"), ("SkuPriceId-C-008-M", "SkuPriceId", "SkuId"))
"""Whoever has the first has one and only one of the second, in all rows."""


def violations(row: Cells) -> list[str]:
    """What the rules say against a row, `<rule>: <why>`; none for a good one."""
    found = [f"CostAndUsage-{rule}: {name} is missing" for name, rule in PRESENT.items() if name not in row]
    found += [f"{name}-{rule}: may not be null" for name, rule in NEVER_NULL.items() if name in row and _null(row[name])]
    found += [f"{name}-{rule}: {row[name]!r} is no decimal" for name, rule in DECIMALS.items() if not _is_decimal(row.get(name))]
    found += [f"{name}-C-002-M: {row[name]!r} is no date and time in UTC" for name in MOMENTS if not _is_moment(row.get(name))]
    found += [
        f"{name}-{rule}: {row[name]!r} is not allowed"
        for name, (rule, allowed) in ALLOWED.items()
        if not _null(row.get(name)) and row[name] not in allowed
    ]
    found += [f"{rule}: {why}" for rule, why, broken in CONDITIONS if broken(row)]
    found += [f"ColumnHandling-A-009-M: {name} is no column of the specification" for name in row if _is_foreign(name)]
    return found


def quarrels(rows: Iterable[Cells]) -> list[str]:
    """What rows say against each other."""
    parents: dict[tuple[str, Any], Any] = {}
    found = []
    for row in rows:
        for rule, child, parent in ONE_PARENT:
            if parents.setdefault((rule, row.get(child)), row.get(parent)) != row.get(parent):
                found.append(f"{rule}: {child} {row.get(child)!r} has more than one {parent}")
    return found


def _is_foreign(name: str) -> bool:
    return name not in PRESENT and not re.fullmatch(r"x_[A-Za-z0-9]+", name)


def _null(value: Any) -> bool:
    return value in {None, ""}


def _is_zero(text: Any) -> bool:
    return isinstance(text, str) and not text.strip("-0.")


def _is_decimal(text: Any) -> bool:
    """NumericFormat: no exponent, no plus sign, no separators."""
    return _null(text) or (isinstance(text, str) and re.fullmatch(r"-?\d+(\.\d+)?", text, re.ASCII) is not None)


def _is_moment(text: Any) -> bool:
    """DateTimeFormat: YYYY-MM-DDTHH:mm:ssZ."""
    if _null(text):
        return True
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").strftime("%Y-%m-%dT%H:%M:%SZ") == str(text)  # noqa: DTZ007 - the Z is UTC
    except (ValueError, TypeError):
        return False


def _is_currency(text: Any) -> bool:
    return isinstance(text, str) and re.fullmatch(r"[A-Z]{3}", text) is not None


def _is_unit(text: Any) -> bool:
    """UnitFormat, of one simple unit."""
    return _null(text) or (isinstance(text, str) and re.fullmatch(r"([1-9]\d* )?[A-Z][A-Za-z]*", text, re.ASCII) is not None)


def _is_key_value(text: Any) -> bool:
    """KeyValueFormat: no value is an object or a list."""
    if _null(text):
        return True
    try:
        found = orjson.loads(text)
    except (orjson.JSONDecodeError, TypeError):
        return False
    return isinstance(found, dict) and all(value is None or isinstance(value, str | int | float | bool) for value in found.values())
