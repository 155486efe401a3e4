"""`tollkeeper config validate gateway.yaml` and `tollkeeper config compile gateway.yaml -o gateway.json`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tollkeeper.config.compile import compile_file
from tollkeeper.config.snapshot import Deployment, Secret, Snapshot, dump
from tollkeeper.errors import BadRequest
from tollkeeper.settings import secret_env

File = Annotated[Path, typer.Argument(metavar="gateway.yaml")]


def add_to(root: typer.Typer) -> None:
    group = typer.Typer(help="Check or compile a gateway.yaml.", no_args_is_help=True)
    group.command("validate")(validate)
    group.command("compile")(compile_config)
    root.add_typer(group, name="config")


def validate(config: File) -> None:
    """Say what is configured, or everything that is wrong."""
    print("\n".join(_described(compile_file(config, env=secret_env), str(config))))


def compile_config(config: File, output: Annotated[Path, typer.Option("--output", "-o", help="- for standard output.")]) -> None:
    """Write what the proxy on Lambda loads."""
    snapshot = compile_file(config, env=secret_env)
    for line in _notes(snapshot):
        print(line, file=sys.stderr)
    if str(output) == "-":
        sys.stdout.write(dump(snapshot).decode() + "\n")
        return
    try:
        output.write_bytes(dump(snapshot))
    except OSError as error:
        raise BadRequest(f"{output}: cannot be written: {error.strerror}") from None


def _described(snapshot: Snapshot, name: str) -> list[str]:
    count = len(snapshot.deployments)
    lines = [f"{name} is good: {count} deployment{'' if count == 1 else 's'}, version {snapshot.version}"]
    lines += [_deployment_line(row) for row in snapshot.deployments]
    lines += [f"  {alias} -> {target} (alias)" for alias, target in snapshot.aliases.items()]
    return lines + _notes(snapshot)


def _deployment_line(row: Deployment) -> str:
    return f"  {row.group} -> {row.provider}/{row.model} ({', '.join((_priced(row), _keyed(row)))})"


def _priced(row: Deployment) -> str:
    if row.prices is not None:
        return f"prices: {row.prices.version}"
    return "prices: by model" if row.wildcard_prices.patterns else "no known price"


def _keyed(row: Deployment) -> str:
    if row.mock_response is not None:
        return "scripted"
    if row.api_key is None or (row.auth.scheme == "sigv4" and not _is_set(row.api_key)):
        return next(
            (f"key: {words}" for scheme, param, words in _OTHER_KEYS if row.auth.scheme == scheme and param in row.auth.params), "no key"
        )
    if row.api_key.source == "env":
        return f"key: {row.api_key.value}" + ("" if _is_set(row.api_key) else ", not set here")
    return "key: Secrets Manager" if row.api_key.source == "aws" else "key: in the file"


_OTHER_KEYS = (
    ("sigv4", "role", "an AWS role"),
    ("sigv4", "access_key", "AWS access key"),
    ("sigv4", "region", "this machine's AWS credentials"),
    ("google", "credentials", "Google credentials"),
    ("entra", "secret", "Microsoft Entra"),
    ("databricks", "secret", "OAuth"),
)
"""Scheme, a parameter it then has, and what to call it; the first that fits."""


def _is_set(secret: Secret) -> bool:
    return secret.source != "env" or secret_env(secret.value) is not None


def _notes(snapshot: Snapshot) -> list[str]:
    return [*(f"warning: {line}" for line in snapshot.warnings), *(f"not supported yet, ignored: {path}" for path in snapshot.unsupported)]
