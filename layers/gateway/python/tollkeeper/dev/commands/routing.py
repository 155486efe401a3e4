"""`tollkeeper routing simulate`: last week's calls against another gateway.yaml, before it is deployed."""

from pathlib import Path
from typing import Annotated

import typer

from tollkeeper.config.compile import compile_file
from tollkeeper.dev.commands import show
from tollkeeper.dev.replay import Report, read_ledger, replayed
from tollkeeper.money import nano_to_usd
from tollkeeper.settings import secret_env

COLUMNS = ("FROM", "TO", "CALLS", "COST NOW", "COST THEN")
SHOWN = 20


def add_to(root: typer.Typer) -> None:
    group = typer.Typer(help="Where calls go, and where they would.", no_args_is_help=True)
    group.callback()(_routing)
    group.command("simulate")(simulate)
    root.add_typer(group, name="routing")


def _routing() -> None:
    """Where calls go, and where they would."""


def simulate(
    *,
    ledger: Annotated[Path, typer.Option(help="A state folder, or a file with one JSON entry a line.", exists=True)],
    config: Annotated[Path, typer.Option(metavar="gateway.yaml", help="The configuration to try.", exists=True, dir_okay=False)],
    json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
) -> None:
    """Replay real traffic against another configuration: what it would cost, what would be refused, what would move."""
    report = replayed(read_ledger(ledger), compile_file(config, env=secret_env))
    if json:
        show.as_json(_json(report))
        return
    print(f"{report.calls} calls replayed, {report.left_out} entries without usage left out")
    print(
        f"cost: {_usd(report.before)} as booked, {_usd(report.after)} under {config.name} ({_usd(report.after - report.before, sign=True)})"
    )
    if report.unpriced:
        print(f"{report.unpriced} calls would go to a deployment without a known price, and count as free here")
    print(f"{sum(report.refused.values())} would be refused")
    for reason, count in report.refused.most_common(SHOWN):
        print(f"  {count}  {reason}")
    print(f"{report.stayed} would stay where they were, {sum(row[0] for row in report.moved.values())} would move")
    moves = sorted(report.moved.items(), key=lambda pair: -pair[1][0])[:SHOWN]
    if moves:
        show.table([dict(zip(COLUMNS, (*move, count, _usd(old), _usd(new)), strict=True)) for move, (count, old, new) in moves], COLUMNS)


def _usd(nano: int, *, sign: bool = False) -> str:
    return f"{'-' if nano < 0 else '+' if sign else ''}${nano_to_usd(abs(nano)):.4f}"


def _json(report: Report) -> dict[str, object]:
    return {
        "calls": report.calls,
        "left_out": report.left_out,
        "cost_now_usd": nano_to_usd(report.before),
        "cost_then_usd": nano_to_usd(report.after),
        "unpriced": report.unpriced,
        "refused": dict(report.refused),
        "stayed": report.stayed,
        "moved": [
            {"from": old, "to": new, "calls": count, "cost_now_usd": nano_to_usd(before), "cost_then_usd": nano_to_usd(after)}
            for (old, new), (count, before, after) in report.moved.items()
        ],
    }
