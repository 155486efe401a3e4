"""`tollkeeper budgets`: named sets of limits that keys, customers, tags and organizations refer to."""

import typer

from tollkeeper.dev.commands import show
from tollkeeper.dev.commands.options import AsJson, Key, Url, ask

COLUMNS = ("budget_id", "max_budget", "budget_duration", "rpm_limit", "tpm_limit")


def add_to(root: typer.Typer) -> None:
    root.command("budgets")(list_budgets)


def list_budgets(*, json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List the named budgets."""
    answer = ask(url, key, lambda client: client.call("GET", "/budget/list"))
    show.as_json(answer) if json else show.table(answer, COLUMNS)
