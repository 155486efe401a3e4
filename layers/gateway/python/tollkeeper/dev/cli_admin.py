"""The commands that talk to a gateway: apply, export, audit verify, and keys, teams, users, spend at a glance.

`--url` and `--key`, or TOLLKEEPER_URL and TOLLKEEPER_MASTER_KEY, say which gateway and as whom. Exit codes: 0 done, 1 refused or (audit
verify) the chain is broken, 2 wrong arguments.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from tollkeeper.dev.cli_directory import Progress, apply, check, export, plan
from tollkeeper.dev.cli_gateway import GatewayClient, connect
from tollkeeper.errors import BadRequest, TollkeeperError
from tollkeeper.settings import secret_env

Command = Callable[[argparse.Namespace, GatewayClient], Awaitable[int]]
_GLANCES = {
    "keys": ("/key/list", {"return_full_object": True, "size": 100}, "keys",
             ("key_alias", "key_name", "team_id", "user_id", "spend", "max_budget")),
    "teams": ("/v2/team/list", {"page_size": 100}, "teams", ("team_id", "team_alias", "spend", "max_budget", "blocked")),
    "users": ("/user/list", {"page_size": 100}, "users", ("user_id", "user_email", "user_role", "spend", "max_budget")),
    "budgets": ("/budget/list", {}, "", ("budget_id", "max_budget", "budget_duration", "rpm_limit", "tpm_limit")),
}  # fmt: skip
"""Command → route, query, field of the answer that has the rows, columns."""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """To be added to `tollkeeper`; each sets `run`."""
    _applying(commands)
    exporting = _command(commands, "export", _export, "write the whole directory as YAML")
    exporting.add_argument("-o", "--output", default="-", help="file; default: standard output")
    audit = commands.add_parser("audit", help="the log of management writes").add_subparsers(required=True, dest="audit_command")
    verifying = _command(audit, "verify", _verify, "check that no entry was altered, removed or slipped in")
    verifying.add_argument("--after", type=int, default=0, help="begin behind this number, which was verified earlier")
    for name, (_, _, _, columns) in _GLANCES.items():
        _command(commands, name, _glance, f"list the newest {name}: {', '.join(columns)}").set_defaults(glance=name)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command that was parsed. Errors go to stderr in one line."""
    url = arguments.url or secret_env("TOLLKEEPER_URL") or "http://127.0.0.1:4000"
    key = arguments.key or secret_env("TOLLKEEPER_MASTER_KEY")
    if not key:
        sys.stderr.write("tollkeeper: no key; give --key or set TOLLKEEPER_MASTER_KEY\n")
        return 2
    try:
        return asyncio.run(_with_gateway(arguments, url, key))
    except TollkeeperError as error:
        sys.stderr.write(f"tollkeeper: {error.message}\n")
    except (OSError, yaml.YAMLError) as error:
        sys.stderr.write(f"tollkeeper: {error}\n")
    return 1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tollkeeper", description=__doc__.splitlines()[0])
    add_commands(parser.add_subparsers(required=True, dest="command"))
    return run(parser.parse_args(arguments))


async def _with_gateway(arguments: argparse.Namespace, url: str, key: str) -> int:
    command: Command = arguments.run
    async with connect(url, key) as http:
        return await command(arguments, GatewayClient(http))


def _applying(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    applying = _command(commands, "apply", apply_file, "make the directory as a file says; nothing is deleted")
    applying.add_argument("-f", "--file", required=True, help="directory.yaml")
    applying.add_argument("--dry-run", action="store_true", help="only say what would be done")
    applying.add_argument("--keys-out", default=None, help="file for the texts of new keys, which are shown once; default: standard output")


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, command: Command, help_text: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help_text, description=help_text)
    parser.add_argument("--url", default=None, help="the gateway; default: TOLLKEEPER_URL, else http://127.0.0.1:4000")
    parser.add_argument("--key", default=None, help="a key that may; default: TOLLKEEPER_MASTER_KEY")
    parser.set_defaults(run=command)
    return parser


async def apply_file(arguments: argparse.Namespace, client: GatewayClient) -> int:
    document = check(_read(arguments.file))
    steps = await plan(client, document, _progress("read"))
    for step in steps:
        print("\n".join(step.lines()))
    if not steps:
        print("nothing to do")
    if arguments.dry_run or not steps:
        return 0
    out = None if arguments.keys_out is None else _private(Path(arguments.keys_out))
    texts = await apply(client, steps, _progress("applied"))
    lines = "".join(f"{alias}: {text}\n" for alias, text in texts.items())
    _write(lines, out)
    return 0


async def _export(arguments: argparse.Namespace, client: GatewayClient) -> int:
    text = yaml.safe_dump(await export(client), sort_keys=False, allow_unicode=True)
    _write(text, None if arguments.output == "-" else Path(arguments.output))
    return 0


async def _verify(arguments: argparse.Namespace, client: GatewayClient) -> int:
    """Prints the last number and seal: kept elsewhere, they prove later that the log was not cut there."""
    after, checked, broken = arguments.after, 0, False
    while True:
        verdict = await client.call("GET", "/audit/verify", after=after, limit=2000)
        checked += verdict["checked"]
        for problem in verdict["problems"]:
            broken = True
            print(f"entry {problem['number']}: {problem['problem']}")
        if verdict["next"] is None:
            break
        after = verdict["next"]
    print(f"{checked} entries checked, last {verdict['last']}, seal {verdict['seal']}: {'BROKEN' if broken else 'unbroken'}")
    return int(broken)


async def _glance(arguments: argparse.Namespace, client: GatewayClient) -> int:
    path, query, field, columns = _GLANCES[arguments.glance]
    answer = await client.call("GET", path, **query)
    rows = [[_shown(row.get(column)) for column in columns] for row in (answer[field] if field else answer)]
    widths = [max(len(row[place]) for row in [list(columns), *rows]) for place in range(len(columns))]
    for row in [list(columns), *rows]:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)


def _read(file: str) -> Any:
    return yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}


def _write(text: str, file: Path | None) -> None:
    if file is None:
        sys.stdout.write(text)
    else:
        file.write_text(text, encoding="utf-8")


def _private(path: Path) -> Path:
    """A file of its owner's only, made before any key is, so that none is made which cannot be kept."""
    if path.exists():
        raise BadRequest(f"{path} is there already; new keys are not written over old ones.")
    path.touch(mode=0o600)
    return path


def _progress(word: str) -> Progress:
    """One line that counts, where somebody is looking."""
    quiet = not sys.stderr.isatty()

    def show(done: int, total: int) -> None:
        if not quiet:
            sys.stderr.write(f"\r{word} {done}/{total}" + ("\n" if done == total else ""))

    return show
