"""`tollkeeper models`: what callers may ask for, from gateway.yaml and from /model/new."""

import json as jsonlib
from typing import Annotated, Any

import typer

from tollkeeper.dev.commands import show
from tollkeeper.dev.commands.options import AsJson, Key, Url, ask, given
from tollkeeper.errors import BadRequest

COLUMNS = ("model_name", "model", "id", "db_model", "blocked")


def add_to(root: typer.Typer) -> None:
    group = typer.Typer(help="Models and where they lead.", no_args_is_help=True)
    for name, command in (("list", list_models), ("add", add), ("delete", delete)):
        group.command(name)(command)
    root.add_typer(group, name="models")


def list_models(*, json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List every deployment; `db_model` ones were added at run time."""
    answer = ask(url, key, lambda client: client.call("GET", "/model/info"))
    show.as_json(answer) if json else show.table([_row(row) for row in answer["data"]], COLUMNS)


def add(
    name: Annotated[str, typer.Argument(help="What callers ask for.")],
    model: Annotated[str, typer.Argument(help="<provider>/<model>.")],
    *,
    model_id: Annotated[str | None, typer.Option("--id", help="Default: a new one.")] = None,
    api_base: Annotated[str | None, typer.Option()] = None,
    api_key: Annotated[str | None, typer.Option(help="Best a reference: os.environ/NAME or secret:<id>#<field>.")] = None,
    credential: Annotated[str | None, typer.Option(help="A name of /credentials, in place of --api-key.")] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="Another of litellm_params, name=value (JSON or text); repeat for several.")
    ] = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Add a deployment to a running gateway and print its id."""
    params = {**given(model=model, api_base=api_base, api_key=api_key, litellm_credential_name=credential), **_pairs(param or [])}
    body = {"model_name": name, "litellm_params": params, "model_info": given(id=model_id)}
    print(ask(url, key, lambda client: client.call("POST", "/model/new", body=body))["model_id"])


def delete(which: Annotated[str, typer.Argument(metavar="ID")], url: Url = None, key: Key = None) -> None:
    """Take away a deployment that was added at run time."""
    print(ask(url, key, lambda client: client.call("POST", "/model/delete", body={"id": which}))["message"])


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {**row["model_info"], "model_name": row["model_name"], "model": row["litellm_params"].get("model")}


def _pairs(params: list[str]) -> dict[str, Any]:
    found = {}
    for text in params:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadRequest(f"--param {text}: write name=value")
        try:
            found[name] = jsonlib.loads(value)
        except ValueError:
            found[name] = value
    return found
