"""`tollkeeper teams`."""

from typing import Annotated

import typer

from tollkeeper.dev.commands import show
from tollkeeper.dev.commands.options import AsJson, Key, ModelNames, Money, Page, Period, Size, Url, ask, given

COLUMNS = ("team_id", "team_alias", "organization_id", "spend", "max_budget", "blocked")
Which = Annotated[str, typer.Argument(metavar="TEAM", help="A team's id.")]
Person = Annotated[str, typer.Argument(metavar="USER", help="A user's id.")]


def add_to(root: typer.Typer) -> None:
    group = typer.Typer(help="Teams and their members.", no_args_is_help=True)
    for name, command in (
        ("list", list_teams), ("info", info), ("create", create), ("delete", delete), ("block", block), ("unblock", unblock),
        ("add-member", add_member), ("remove-member", remove_member),
    ):  # fmt: skip
        group.command(name)(command)
    root.add_typer(group, name="teams")


def list_teams(
    *,
    search: Annotated[str | None, typer.Option(help="In id or alias.")] = None,
    page: Page = 1,
    size: Size = 100,
    json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List teams, the newest first."""
    query = given(search=search, page=page, page_size=size)
    answer = ask(url, key, lambda client: client.call("GET", "/v2/team/list", **query))
    show.as_json(answer) if json else show.table(answer["teams"], COLUMNS)


def info(which: Which, *, json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show one team."""
    answer = ask(url, key, lambda client: client.call("GET", "/team/info", team_id=which))
    show.as_json(answer) if json else show.record(answer["team_info"])


def create(
    *,
    team_id: Annotated[str | None, typer.Option("--id", help="Default: a new one.")] = None,
    alias: Annotated[str | None, typer.Option(help="A name for people.")] = None,
    organization: Annotated[str | None, typer.Option(help="An organization's id.")] = None,
    models: ModelNames = None,
    max_budget: Money = None,
    budget_duration: Period = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make a team and print its id."""
    body = given(
        team_id=team_id,
        team_alias=alias,
        organization_id=organization,
        models=models,
        max_budget=max_budget,
        budget_duration=budget_duration,
    )
    print(ask(url, key, lambda client: client.call("POST", "/team/new", body=body))["team_id"])


def delete(which: Annotated[list[str], typer.Argument(metavar="TEAM…", help="Ids.")], url: Url = None, key: Key = None) -> None:
    """Delete teams, and their keys with them."""
    ask(url, key, lambda client: client.call("POST", "/team/delete", body={"team_ids": which}))
    print(f"deleted {len(which)}")


def block(which: Which, url: Url = None, key: Key = None) -> None:
    """Refuse a team's keys until it is unblocked."""
    ask(url, key, lambda client: client.call("POST", "/team/block", body={"team_id": which}))


def unblock(which: Which, url: Url = None, key: Key = None) -> None:
    """Let a blocked team's keys in again."""
    ask(url, key, lambda client: client.call("POST", "/team/unblock", body={"team_id": which}))


def add_member(
    which: Which,
    user: Person,
    *,
    admin: Annotated[bool, typer.Option("--admin", help="May manage the team.")] = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Let a user use the team's keys."""
    body = {"team_id": which, "member": {"user_id": user, "role": "admin" if admin else "user"}}
    ask(url, key, lambda client: client.call("POST", "/team/member_add", body=body))


def remove_member(which: Which, user: Person, url: Url = None, key: Key = None) -> None:
    """End a membership, and the keys the user has in the team."""
    ask(url, key, lambda client: client.call("POST", "/team/member_delete", body={"team_id": which, "user_id": user}))
