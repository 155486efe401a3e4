"""`tollkeeper users`."""

from typing import Annotated

import typer

from tollkeeper.dev.commands import show
from tollkeeper.dev.commands.options import AsJson, Key, Money, Page, Period, Size, Url, ask, given

COLUMNS = ("user_id", "user_email", "user_role", "spend", "max_budget")
Which = Annotated[str, typer.Argument(metavar="USER", help="A user's id.")]


def add_to(root: typer.Typer) -> None:
    group = typer.Typer(help="Users.", no_args_is_help=True)
    for name, command in (("list", list_users), ("info", info), ("create", create), ("delete", delete)):
        group.command(name)(command)
    root.add_typer(group, name="users")


def list_users(
    *,
    role: Annotated[str | None, typer.Option(help="Only those with this role.")] = None,
    search: Annotated[str | None, typer.Option(help="In id, e-mail or alias.")] = None,
    page: Page = 1,
    size: Size = 100,
    json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List users, the newest first."""
    query = given(role=role, search=search, page=page, page_size=size)
    answer = ask(url, key, lambda client: client.call("GET", "/user/list", **query))
    show.as_json(answer) if json else show.table(answer["users"], COLUMNS)


def info(which: Which, *, json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show one user."""
    answer = ask(url, key, lambda client: client.call("GET", "/v2/user/info", user_id=which))
    show.as_json(answer) if json else show.record(answer)


def create(
    *,
    user_id: Annotated[str | None, typer.Option("--id", help="Default: a new one.")] = None,
    email: Annotated[str | None, typer.Option()] = None,
    role: Annotated[str | None, typer.Option(help="proxy_admin, proxy_admin_viewer, internal_user or internal_user_viewer.")] = None,
    teams: Annotated[list[str] | None, typer.Option("--team", help="A team's id; repeat for several.")] = None,
    max_budget: Money = None,
    budget_duration: Period = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Make a user, without a key, and print the id."""
    fields = given(user_id=user_id, user_email=email, user_role=role, teams=teams, max_budget=max_budget, budget_duration=budget_duration)
    body = {**fields, "auto_create_key": False}
    print(ask(url, key, lambda client: client.call("POST", "/user/new", body=body))["user_id"])


def delete(which: Annotated[list[str], typer.Argument(metavar="USER…", help="Ids.")], url: Url = None, key: Key = None) -> None:
    """Delete users, and their keys with them."""
    ask(url, key, lambda client: client.call("POST", "/user/delete", body={"user_ids": which}))
    print(f"deleted {len(which)}")
