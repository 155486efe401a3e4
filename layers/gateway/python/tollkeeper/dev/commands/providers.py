"""`tollkeeper providers [NAME]`: the providers that a model may name."""

from typing import Annotated

import typer

from tollkeeper.catalog.providers import PROVIDERS
from tollkeeper.dev.commands import show

COLUMNS = ("PREFIX", "DIALECT", "ADDRESS", "KEY", "PAGE")


def add_to(root: typer.Typer) -> None:
    root.command("providers")(providers)


def providers(name: Annotated[str, typer.Argument(help="Only those with this in their name.")] = "") -> None:
    """List the providers that a model may name."""
    found = sorted((row for row in PROVIDERS.values() if name in row.name), key=lambda row: row.name)
    cells = ((f"{row.name}/", row.dialect, row.base_url or "(api_base)", row.key_env[0] if row.key_env else "-", row.link) for row in found)
    show.table([dict(zip(COLUMNS, line, strict=True)) for line in cells], COLUMNS)
