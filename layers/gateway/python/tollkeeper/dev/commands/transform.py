"""`tollkeeper transform --model X --request r.json [--config gateway.yaml]`: what the provider would be sent, secrets masked."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tollkeeper.config.compile import compile_config, compile_file
from tollkeeper.config.snapshot import Snapshot
from tollkeeper.dev.commands import show
from tollkeeper.errors import BadRequest, ConfigError
from tollkeeper.providers.transform import describe
from tollkeeper.routing.resolve import Groups
from tollkeeper.settings import secret_env


def add_to(root: typer.Typer) -> None:
    root.command("transform")(transform)


def transform(
    model: Annotated[str, typer.Option(help="A model_name of the configuration, or <provider>/<model> with that provider's defaults.")],
    request: Annotated[str, typer.Option(metavar="request.json", help="The body of a chat completion; - for standard input.")],
    config: Annotated[Path | None, typer.Option(metavar="gateway.yaml")] = None,
) -> None:
    """Print the request that a provider would be sent."""
    body = _request(request)
    group = Groups(_snapshot(config, model)).find(model)
    if group is None:
        raise ConfigError(f"{config}: there is no model {model}")
    described = describe(group.deployments[0], body, model)
    if len(group.deployments) > 1:
        print(f"{model} has {len(group.deployments)} deployments; this is the first", file=sys.stderr)
    show.as_json(described)


def _snapshot(config: Path | None, model: str) -> Snapshot:
    if config is not None:
        return compile_file(config, env=secret_env)
    row = {"model_name": model, "litellm_params": {"model": model}}
    return compile_config(json.dumps({"model_list": [row]}), env=secret_env, name="--model")


def _request(name: str) -> dict[str, Any]:
    try:
        body = json.loads(sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadRequest(f"{name}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise BadRequest(f"{name}: is not JSON") from None
    if not isinstance(body, dict):
        raise BadRequest(f"{name}: must be a JSON object, the body of a chat completion")
    return body
