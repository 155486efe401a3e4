"""`tollkeeper apply -f directory.yaml [--dry-run]` and `tollkeeper export`: see dev/directory.py for the file."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from tollkeeper.dev import directory
from tollkeeper.dev.commands import show
from tollkeeper.dev.commands.options import Key, Url, ask
from tollkeeper.errors import BadRequest


def add_to(root: typer.Typer) -> None:
    root.command("apply")(apply_file)
    root.command("export")(export)


def apply_file(
    file: Annotated[Path, typer.Option("--file", "-f", help="directory.yaml")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    keys_out: Annotated[Path | None, typer.Option(help="File for the texts of new keys, shown once; default: standard output.")] = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make the directory as a file says; nothing is deleted."""
    document = directory.check(_read(file))
    with show.progress("reading") as seen:
        steps = ask(url, key, lambda client: directory.plan(client, document, seen))
    print("\n".join(line for step in steps for line in step.lines()) or "nothing to do")
    if dry_run or not steps:
        return
    out = show.private(keys_out) if keys_out else None
    with show.progress("applying") as seen:
        texts = ask(url, key, lambda client: directory.apply(client, steps, seen))
    show.write("".join(f"{alias}: {text}\n" for alias, text in texts.items()), out)


def export(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: standard output.")] = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Write the whole directory as YAML."""
    found = ask(url, key, directory.export)
    show.write(yaml.safe_dump(found, sort_keys=False, allow_unicode=True), output)


def _read(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise BadRequest(f"{file}: {error}") from None
