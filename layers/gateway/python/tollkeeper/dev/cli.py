"""`tollkeeper`: what a gateway is configured with, and what one holds.

One file of `commands/` for each group. A new group is a module with `add_to(root)`, named in GROUPS; commands that talk to a gateway take
`commands/options.py`'s options and print through `commands/show.py`.

Exit codes: 0 done, 1 refused, wrong or broken (said in one line on stderr), 2 wrong arguments.
"""

import sys
from collections.abc import Sequence

import typer

from tollkeeper.dev.commands import (
    apply,
    audit,
    budgets,
    config,
    finance,
    keys,
    models,
    prices,
    providers,
    rollup,
    routing,
    spend,
    teams,
    transform,
    users,
)
from tollkeeper.errors import ConfigError, TollkeeperError

GROUPS = (config, prices, providers, transform, routing, keys, teams, users, models, budgets, spend, rollup, finance, apply, audit)
"""In the order of `tollkeeper --help`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line. What was asked for goes to stdout, what is wrong to stderr."""
    try:
        root()(args=None if arguments is None else list(arguments), prog_name="tollkeeper")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1 if ended.code else 0
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
    except TollkeeperError as error:
        sys.stderr.write(f"tollkeeper: {error.message}\n")
    except OSError as error:
        sys.stderr.write(f"tollkeeper: {error}\n")
    return 1


def root() -> typer.Typer:
    app = typer.Typer(
        help="Tollkeeper, a serverless LLM gateway.", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
    )
    for group in GROUPS:
        group.add_to(app)
    return app


if __name__ == "__main__":
    sys.exit(main())
