"""`tollkeeper transform --model X --request r.json [--config gateway.yaml]`: what the provider would be sent, secrets masked.

Without a configuration, X is a provider and its model (`anthropic/claude-sonnet-4-5`) with that provider's defaults.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tollkeeper.config.compile import compile_config, compile_file
from tollkeeper.config.snapshot import Snapshot
from tollkeeper.errors import BadRequest, ConfigError, TollkeeperError
from tollkeeper.providers.transform import describe
from tollkeeper.routing.resolve import Groups
from tollkeeper.settings import secret_env


def add_parser(groups: Any) -> None:
    parser: argparse.ArgumentParser = groups.add_parser("transform", help="print the request that a provider would be sent")
    parser.add_argument("--model", required=True, help="a model_name of the configuration, or <provider>/<model>")
    parser.add_argument("--request", required=True, metavar="request.json", help="the body of a chat completion; - for standard input")
    parser.add_argument("--config", metavar="gateway.yaml")
    parser.set_defaults(command="transform")


def run(parsed: argparse.Namespace) -> int:
    """Prints JSON to stdout, or to stderr why it cannot. Returns the exit code."""
    try:
        request = _request(parsed.request)
        group = Groups(_snapshot(parsed.config, parsed.model)).find(parsed.model)
        if group is None:
            raise ConfigError(f"{parsed.config}: there is no model {parsed.model}")
        described = describe(group.deployments[0], request, parsed.model)
    except TollkeeperError as error:
        print(error if isinstance(error, ConfigError) else error.message, file=sys.stderr)
        return 1
    if len(group.deployments) > 1:
        print(f"{parsed.model} has {len(group.deployments)} deployments; this is the first", file=sys.stderr)
    print(json.dumps(described, indent=2, ensure_ascii=False))
    return 0


def _snapshot(config: str | None, model: str) -> Snapshot:
    if config is not None:
        return compile_file(Path(config), env=secret_env)
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
