"""`tollkeeper config validate gateway.yaml`, `tollkeeper config compile gateway.yaml -o gateway.json`, `tollkeeper providers`, and the
commands of `cli_admin.py`, which talk to a gateway.

Exit codes: 0 good, 1 the configuration has errors or a file cannot be written, 2 wrong arguments.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tollkeeper.catalog.providers import PROVIDERS
from tollkeeper.config.compile import compile_file
from tollkeeper.config.snapshot import Deployment, Secret, Snapshot, dump
from tollkeeper.dev import cli_admin, cli_transform
from tollkeeper.errors import ConfigError
from tollkeeper.settings import secret_env


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints to stdout what was asked for, and to stderr what is wrong. Returns the exit code."""
    parsed = _parser().parse_args(arguments)
    if "run" in parsed:
        return cli_admin.run(parsed)
    if parsed.command == "providers":
        print("\n".join(_provider_lines(parsed.name)))
        return 0
    if parsed.command == "transform":
        return cli_transform.run(parsed)
    try:
        snapshot = compile_file(Path(parsed.config), env=secret_env)
        if parsed.command == "compile":
            _write(snapshot, parsed.output)
        else:
            print("\n".join(_described(snapshot, parsed.config)))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{parsed.output}: cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _write(snapshot: Snapshot, output: str) -> None:
    for line in _notes(snapshot):
        print(line, file=sys.stderr)
    if output == "-":
        sys.stdout.write(dump(snapshot).decode() + "\n")
    else:
        Path(output).write_bytes(dump(snapshot))


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


def _provider_lines(part: str) -> list[str]:
    """A table: the prefix of `model`, the dialect, where it is, the variable of its key, its page."""
    rows = [("PREFIX", "DIALECT", "ADDRESS", "KEY", "PAGE")]
    rows += [
        (f"{row.name}/", row.dialect, row.base_url or "(api_base)", row.key_env[0] if row.key_env else "-", row.link)
        for row in sorted(PROVIDERS.values(), key=lambda row: row.name)
        if part in row.name
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tollkeeper", description="Tollkeeper, a serverless LLM gateway.")
    groups = parser.add_subparsers(required=True, metavar="COMMAND")
    providers = groups.add_parser("providers", help="list the providers that a model may name")
    providers.add_argument("name", nargs="?", default="", help="only those with this in their name")
    providers.set_defaults(command="providers")
    cli_transform.add_parser(groups)
    config = groups.add_parser("config", help="check or compile a gateway.yaml")
    commands = config.add_subparsers(dest="command", required=True)
    validate = commands.add_parser("validate", help="say what is configured, or everything that is wrong")
    compiled = commands.add_parser("compile", help="write what the proxy on Lambda loads")
    for command in (validate, compiled):
        command.add_argument("config", metavar="gateway.yaml")
    compiled.add_argument("-o", "--output", required=True, metavar="gateway.json", help="- for standard output")
    cli_admin.add_commands(groups)
    return parser


if __name__ == "__main__":
    sys.exit(main())
