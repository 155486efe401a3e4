"""`tollkeeper spend keys | teams | users | organizations`: what each has spent in its budget's present window, the most first."""

from typing import Any

import typer

from tollkeeper.dev import directory
from tollkeeper.dev.commands import show
from tollkeeper.dev.commands.options import AsJson, Key, Url, ask

COLUMNS = ("spend", "max_budget", "budget_duration", "budget_reset_at")
KINDS = {"keys": "key_alias", "teams": "team_alias", "users": "user_email", "organizations": "organization_alias", "customers": "alias"}
"""Kind → the column with a name for people."""
_IDS = {"keys": "key_name", "teams": "team_id", "users": "user_id", "organizations": "organization_id", "customers": "user_id"}


def add_to(root: typer.Typer) -> None:
    group = typer.Typer(help="What was spent in the present budget windows.", no_args_is_help=True)
    for kind in KINDS:
        group.command(kind, help=f"The {kind}, those that spent most first.")(_command(kind))
    root.add_typer(group, name="spend")


def _command(kind: str) -> Any:
    def command(*, json: AsJson = False, url: Url = None, key: Key = None) -> None:
        rows = ask(url, key, lambda client: directory.listed(client, kind))
        rows.sort(key=lambda row: -(row.get("spend") or 0))
        show.as_json(rows) if json else show.table(rows, (_IDS[kind], KINDS[kind], *COLUMNS))

    return command
