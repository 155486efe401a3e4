"""`tollkeeper keys`: virtual keys."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from tollkeeper.dev.commands import show
from tollkeeper.dev.commands.options import AsJson, Key, ModelNames, Money, Page, Period, Size, Url, ask, given
from tollkeeper.errors import BadRequest

COLUMNS = ("key_alias", "key_name", "team_id", "user_id", "spend", "max_budget", "expires")
Which = Annotated[str, typer.Argument(metavar="KEY", help="Text or hash.")]
Team = Annotated[str | None, typer.Option("--team", help="A team's id.")]
User = Annotated[str | None, typer.Option("--user", help="A user's id.")]


def add_to(root: typer.Typer) -> None:
    group = typer.Typer(help="Virtual keys.", no_args_is_help=True)
    for name, command in (
        ("list", list_keys), ("info", info), ("create", create), ("delete", delete), ("block", block), ("unblock", unblock),
        ("rotate", rotate), ("fetch", fetch),
    ):  # fmt: skip
        group.command(name)(command)
    root.add_typer(group, name="keys")


def list_keys(
    *,
    team: Team = None,
    user: User = None,
    search: Annotated[str | None, typer.Option(help="In alias, name, user, team or hash.")] = None,
    page: Page = 1,
    size: Size = 100,
    json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List keys, the newest first."""
    query = given(team_id=team, user_id=user, search=search, page=page, size=size, return_full_object=True)
    answer = ask(url, key, lambda client: client.call("GET", "/key/list", **query))
    show.as_json(answer) if json else show.table(answer["keys"], COLUMNS)


def info(which: Which, *, json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show one key."""
    answer = ask(url, key, lambda client: client.call("GET", "/key/info", key=which))
    show.as_json(answer) if json else show.record(answer["info"])


def create(
    *,
    alias: Annotated[str | None, typer.Option(help="A name for people.")] = None,
    team: Team = None,
    user: User = None,
    models: ModelNames = None,
    max_budget: Money = None,
    budget_duration: Period = None,
    duration: Annotated[str | None, typer.Option(help="When it expires: 30d, 12h.")] = None,
    json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make a key and print its text, which is shown this once."""
    body = given(
        key_alias=alias,
        team_id=team,
        user_id=user,
        models=models,
        max_budget=max_budget,
        budget_duration=budget_duration,
        duration=duration,
    )
    _print_text(ask(url, key, lambda client: client.call("POST", "/key/generate", body=body)), json=json)


def delete(which: Annotated[list[str], typer.Argument(metavar="KEY…", help="Texts or hashes.")], url: Url = None, key: Key = None) -> None:
    """End keys for good."""
    gone = ask(url, key, lambda client: client.call("POST", "/key/delete", body={"keys": which}))
    print(f"deleted {len(gone['deleted_keys'])}")


def block(which: Which, url: Url = None, key: Key = None) -> None:
    """Refuse a key until it is unblocked."""
    ask(url, key, lambda client: client.call("POST", "/key/block", body={"key": which}))


def unblock(which: Which, url: Url = None, key: Key = None) -> None:
    """Let a blocked key in again."""
    ask(url, key, lambda client: client.call("POST", "/key/unblock", body={"key": which}))


def rotate(
    which: Which,
    *,
    grace_period: Annotated[str | None, typer.Option(help="How long the old text still counts: 24h.")] = None,
    json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Give a key a new text and print it, this once; budget, spend and name go on."""
    body = given(key=which, grace_period=grace_period)
    _print_text(ask(url, key, lambda client: client.call("POST", "/key/regenerate", body=body)), json=json)


def fetch(
    alias: Annotated[str, typer.Argument(help="The key's alias; without one, the first 32 digits of its hash.")],
    state: Annotated[str, typer.Option(help="The gateway's state folder.")] = ".tollkeeper",
) -> None:
    """Print the text of a key that was renewed by itself (auto_rotate), on the machine of an embedded gateway."""
    from tollkeeper.bootstrap import Installation
    from tollkeeper.bootstrap.rotation import KEPT
    from tollkeeper.config.snapshot import Snapshot
    from tollkeeper.settings import Settings

    if not Path(state).is_dir():
        raise BadRequest(f"{state} is no folder; say where the gateway keeps its state, with --state.")
    desk = Installation(Settings.from_env(store="sqlite", state=state), snapshot=Snapshot(version="")).secret_desk
    found = asyncio.run(desk.get(f"kept/{KEPT}{alias}"))
    print(found["value"] if isinstance(found, dict) else found)


def _print_text(answer: dict[str, Any], *, json: bool) -> None:
    show.as_json(answer) if json else print(answer["key"])
