"""The cost page: what an environment costs while nobody calls, and what a million calls cost. `make cost ENV=dev`.

From the settings and infra/prices.py. The calls' own figures (write units, log bytes) are in `Call`, each with where it comes from.
Model tokens are not in it: they are the provider's bill, and for most installations a thousand times this.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

from infra import functions, prices
from infra.environments import load
from infra.settings import Environment, Network, OnPrem, Pool, SettingsError

MILLION = 1_000_000
EXAMPLE_POOL = OnPrem(network=Network(zones=("a", "b")), pools=(Pool(name="vllm", kind="vllm", addresses=("10.0.0.1",)),))
_FIREWALL_RULES = 4
_SCHEDULED_MS = 300


@dataclass(frozen=True)
class Call:
    """One call through the gateway. Sizes below 1 KB are one write unit each (budgets keep counters that small)."""

    seconds: float
    scopes: int = 2
    """Budgets a call falls under: its key and one more."""
    own_milliseconds: float = 40.0
    """The gateway's own time beside the provider's."""
    log_bytes: int = 1500
    on_prem: bool = False

    @property
    def write_units(self) -> int:
        """Reserve and settle in each scope, the rate window twice, and the ledger entry with its three indexes."""
        return 2 * self.scopes + 2 + 4

    @property
    def read_units(self) -> float:
        """The key's record, eventually consistent, while a sandbox remembers it for five seconds."""
        return 0.5


def idle(env: Environment) -> dict[str, float]:
    """Dollars a month, by component, without a single call."""
    rows = {
        "Secrets": (len(env.provider_secrets) + 2) * prices.SECRET.dollars,
        "Alarms": alarm_metrics(env) * prices.ALARM.dollars,
        "Schedules": _schedules(env),
        "Functions, API, tables": 0.0,
    }
    if env.own_key:
        rows["Encryption key"] = prices.KEY.dollars
    if env.api.firewall:
        rows["Firewall"] = prices.FIREWALL_ACL.dollars + _FIREWALL_RULES * prices.FIREWALL_RULE.dollars
    if ready := _kept_ready(env):
        rows["Kept ready (SnapStart, provisioned)"] = ready
    if env.on_prem:
        rows |= _on_prem(env.on_prem)
    return rows


def alarm_metrics(env: Environment) -> int:
    """What infra/constructs/alarms.py makes, in metrics, by which CloudWatch bills an alarm: an error rate has two."""
    rows = functions.deployed()
    errors = 2 if env.alarms.error_percent else 1
    each = sum(errors + 1 + (functions.size_of(row, env).reserved != 1) for row in rows)
    fixed = len(("latency", "holds", "bounds", "drift", "dead letters")) + len(("directory", "counters", "ledger"))
    return each + fixed + any(row.reads_ledger_stream for row in rows) + (len(env.on_prem.pools) if env.on_prem else 0)


def _schedules(env: Environment) -> float:
    return sum(_runs(env, row) for row in functions.deployed() if row.every)


def _runs(env: Environment, row: functions.Function) -> float:
    minutes: int = getattr(env, row.every)
    runs = prices.HOURS_A_MONTH * 60 / minutes
    gigabytes = functions.size_of(row, env).memory / 1024
    each = prices.LAMBDA_REQUEST.dollars + prices.SCHEDULE.dollars + gigabytes * _SCHEDULED_MS / 1000 * prices.LAMBDA_GB_SECOND.dollars
    return runs * (each + 4 * prices.READ_UNIT.dollars)


def _kept_ready(env: Environment) -> float:
    seconds = prices.HOURS_A_MONTH * 3600
    total = 0.0
    for row in functions.deployed():
        size = functions.size_of(row, env)
        gigabytes = size.memory / 1024
        total += size.provisioned * gigabytes * seconds * prices.LAMBDA_PROVISIONED.dollars
        total += size.snap_start * gigabytes * seconds * prices.SNAP_START_CACHE.dollars
    return total


def _on_prem(on_prem: OnPrem) -> dict[str, float]:
    probes = prices.HOURS_A_MONTH * 60 / on_prem.probe_minutes * len(on_prem.pools)
    return {
        "On-prem load balancer": prices.HOURS_A_MONTH * prices.BALANCER_HOUR.dollars,
        "On-prem probe": probes * (prices.API_REQUEST.dollars + prices.SCHEDULE.dollars),
    }


def million_calls(env: Environment, call: Call) -> dict[str, float]:
    """Dollars for a million calls, by component."""
    gigabytes = functions.size_of(functions.PROXY, env).memory / 1024
    seconds = call.seconds + call.own_milliseconds / 1000
    one = {
        "Lambda": prices.LAMBDA_REQUEST.dollars + gigabytes * seconds * prices.LAMBDA_GB_SECOND.dollars,
        "API Gateway": prices.API_REQUEST.dollars * (2 if call.on_prem else 1),
        "DynamoDB": call.write_units * prices.WRITE_UNIT.dollars + call.read_units * prices.READ_UNIT.dollars,
        "Logs": call.log_bytes / 1e9 * prices.LOG_GB.dollars,
    }
    if env.api.firewall:
        one["Firewall"] = prices.FIREWALL_REQUEST.dollars
    return {name: dollars * MILLION for name, dollars in one.items()}


def page(env: Environment) -> str:
    """Markdown."""
    off, on = replace(env, on_prem=None), replace(env, on_prem=env.on_prem or EXAMPLE_POOL)
    columns = {"5 s": Call(5), "30 s": Call(30), "30 s, on-prem": Call(30, on_prem=True)}
    memory = functions.size_of(functions.PROXY, env).memory
    return "\n".join(
        (
            f"List prices of {prices.AS_OF}, us-east-1, US dollars; the proxy with {memory} MB. Model tokens are not in it.",
            "",
            "**Idle, a month**",
            "",
            *_table({"On-prem off": idle(off), "On-prem on": idle(on)}),
            "",
            "**A million calls**",
            "",
            *_table({name: million_calls(env, call) for name, call in columns.items()}, shares=True),
        )
    )


def _table(columns: Mapping[str, Mapping[str, float]], *, shares: bool = False) -> list[str]:
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    totals = {title: sum(column.values()) for title, column in columns.items()}
    rows = [
        f"| {name} | " + " | ".join(_cell(column.get(name), totals[title], shares=shares) for title, column in columns.items()) + " |"
        for name in names
    ]
    sums = "| **Sum** | " + " | ".join(f"**{total:,.2f}**" for total in totals.values()) + " |"
    return ["| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns), *rows, sums]


def _cell(dollars: float | None, total: float, *, shares: bool) -> str:
    if dollars is None:
        return "–"
    return f"{dollars:,.2f} ({100 * dollars / total:.0f} %)" if shares else f"{dollars:,.2f}"


def main(arguments: list[str]) -> int:
    try:
        print(page(load(arguments[0] if arguments else "dev")))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
