"""Metrics as log lines: CloudWatch's embedded metric format. On Lambda printing one costs nothing; PutMetricData would be a call.

Each distinct set of dimension values is a billed metric, so dimensions are few and bounded by the configuration: never a key, a user or
a name that a caller makes up. What is per key is in the ledger.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from collections.abc import Mapping
from types import MappingProxyType

import orjson

NAMESPACE = "Tollkeeper"
UNITS: Mapping[str, str] = MappingProxyType({
    "Requests": "Count",
    "Latency": "Milliseconds",
    "TimeToFirstToken": "Milliseconds",
    "CostNanoUSD": "None",
    "InputTokens": "Count",
    "OutputTokens": "Count",
    "Fallbacks": "Count",
    "Refusals": "Count",
    "Errors": "Count",
    "UnconfirmedHolds": "Count",
    "BoundViolations": "Count",
    "LedgerDriftNanoUSD": "None",
    "CountersMended": "Count",
})  # fmt: skip
DIMENSIONS = (("environment",), ("environment", "provider", "model"), ("environment", "outcome"))
_UNKNOWN = "none"


def line(
    now: float, environment: str, values: Mapping[str, int], *, provider: str = "", model: str = "", outcome: str = "", **fields: str
) -> str:
    """One line for stdout. `now` is epoch seconds; `values` are whole numbers by a name in UNITS; `fields` are logged, not dimensions.

    `model` is the configured alias, and `""` where the caller's name matched a wildcard only. Raises KeyError for an unknown metric.
    """
    definitions = [{"Name": name, "Unit": UNITS[name]} for name in values]
    dimensions = [names for names in DIMENSIONS if _has(names, provider, outcome)]
    body = {
        **fields,
        "_aws": {
            "Timestamp": int(now * 1000),
            "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": definitions}],
        },
        "environment": environment,
        "provider": provider or _UNKNOWN,
        "model": model or _UNKNOWN,
        "outcome": outcome or _UNKNOWN,
        **values,
    }
    return orjson.dumps(body).decode()


def _has(names: tuple[str, ...], provider: str, outcome: str) -> bool:
    """A set is used where its values are known: a refusal has no provider, an expired hold no outcome."""
    return not ("provider" in names and not provider) and not ("outcome" in names and not outcome)
