"""`tollkeeper audit list | verify`: the log of management writes."""

from typing import Annotated, Any

import typer

from tollkeeper.dev.commands import show
from tollkeeper.dev.commands.options import AsJson, Key, Size, Url, ask
from tollkeeper.dev.gateway_client import GatewayClient

COLUMNS = ("number", "updated_at", "changed_by", "action", "table_name", "object_id")


def add_to(root: typer.Typer) -> None:
    group = typer.Typer(help="The log of management writes.", no_args_is_help=True)
    group.command("list")(list_entries)
    group.command("verify")(verify)
    root.add_typer(group, name="audit")


def list_entries(*, size: Size = 25, json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """The newest entries: who, what, when."""
    answer = ask(url, key, lambda client: client.call("GET", "/audit", page_size=size))
    show.as_json(answer) if json else show.table(answer["audit_logs"], COLUMNS)


def verify(
    after: Annotated[int, typer.Option(help="Begin behind this number, which was verified earlier.")] = 0, url: Url = None, key: Key = None
) -> None:
    """Check that no entry was altered, removed or slipped in. Prints the last number and seal: kept elsewhere, they prove later that the
    log was not cut there.
    """
    verdict = ask(url, key, lambda client: _verified(client, after))
    for problem in verdict["problems"]:
        print(f"entry {problem['number']}: {problem['problem']}")
    word = "BROKEN" if verdict["problems"] else "unbroken"
    print(f"{verdict['checked']} entries checked, last {verdict['last']}, seal {verdict['seal']}: {word}")
    raise typer.Exit(int(bool(verdict["problems"])))


async def _verified(client: GatewayClient, after: int) -> dict[str, Any]:
    """The last page's verdict, with the count and the problems of all pages."""
    checked, problems = 0, []
    while True:
        verdict: dict[str, Any] = await client.call("GET", "/audit/verify", after=after, limit=2000)
        checked += verdict["checked"]
        problems += verdict["problems"]
        if verdict["next"] is None:
            return {**verdict, "checked": checked, "problems": problems}
        after = verdict["next"]
