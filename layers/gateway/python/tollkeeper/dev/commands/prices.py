"""`tollkeeper prices show` and `tollkeeper prices update gateway.yaml`: what calls cost, and what a newer price list would change."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from tollkeeper import clock as clocks
from tollkeeper.catalog import prices as price_data
from tollkeeper.config.compile import compile_file
from tollkeeper.config.pinned import PriceFile, read, written
from tollkeeper.config.snapshot import Deployment, Prices, Snapshot
from tollkeeper.dev.commands import show
from tollkeeper.errors import BadRequest
from tollkeeper.money import FEMTO_PER_USD
from tollkeeper.settings import secret_env

PRICES_FILE = "prices.json"
COLUMNS = ("MODEL", "PRICE", "NOW", "NEW")
MILLION = 10**6

File = Annotated[Path, typer.Argument(metavar="gateway.yaml")]


def add_to(root: typer.Typer) -> None:
    group = typer.Typer(help="What calls cost, and where prices come from.", no_args_is_help=True)
    group.command("show")(show_prices)
    group.command("update")(update)
    root.add_typer(group, name="prices")


def show_prices(config: File) -> None:
    """List the price of every configured model, in dollars: per million tokens, per call and per use of a tool."""
    snapshot = compile_file(config, env=secret_env)
    rows = [
        {"MODEL": f"{row.group} -> {row.provider}/{row.model}", "PRICE": name, "NOW": value, "FROM": row.prices.version}
        for row in snapshot.deployments
        if row.prices is not None
        for name, value in _shown(row.prices).items()
    ]
    show.table(rows, ("MODEL", "PRICE", "NOW", "FROM"))


def update(
    config: File,
    *,
    fetch: Annotated[bool, typer.Option("--fetch", help="Read the newest price list from its publisher first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Write the price file.")] = False,
) -> None:
    """Show what the price list of today would change, and pin it with --yes."""
    if fetch:
        _fetch()
    snapshot = compile_file(config, env=secret_env)
    file = config.parent / (str(snapshot.settings.get("tollkeeper", {}).get("prices") or "") or PRICES_FILE)
    today = datetime.fromtimestamp(clocks.system.now(), UTC).date()
    old = read(file) if file.exists() else PriceFile()
    new = PriceFile(price_data.version(), today.isoformat(), dict(_listed(snapshot, today)))
    changes = list(_changes(old.models, new.models))
    show.table(changes, COLUMNS)
    print(f"{len(changes)} price{'' if len(changes) == 1 else 's'} of {len(new.models)} models would change.")
    if not yes:
        print("Nothing was written; add --yes to pin these prices.")
        return
    file.write_bytes(written(new))
    print(f"{file.name} is written ({new.version}).")
    if not snapshot.settings.get("tollkeeper", {}).get("prices"):
        print(f"Add `prices: {file.name}` below `tollkeeper:` in {config.name}, so that it is used.", file=sys.stderr)


def _fetch() -> None:
    from genai_prices import UpdatePrices
    from genai_prices.data_snapshot import set_custom_snapshot

    try:
        newest = UpdatePrices().fetch()
    except Exception as error:  # noqa: BLE001 - any failure of a foreign client means the same here
        raise BadRequest(f"The newest price list could not be read ({type(error).__name__}); nothing was changed.") from None
    set_custom_snapshot(newest)


def _listed(snapshot: Snapshot, day: date) -> Iterator[tuple[str, Prices]]:
    """The list prices of the configured models, by the name they are billed under."""
    for row in snapshot.deployments:
        provider, model = price_data.named(row.provider, row.model, _base_model(row))
        if (prices := price_data.facts_of(provider, model, day).prices) is not None:
            yield f"{provider}/{model}", prices


def _base_model(row: Deployment) -> str | None:
    named = row.info.get("base_model")
    return named if isinstance(named, str) else None


def _changes(old: Mapping[str, Prices], new: Mapping[str, Prices]) -> Iterator[dict[str, str]]:
    for model in sorted(old.keys() | new.keys()):
        before, after = (_shown(row[model]) if model in row else {} for row in (old, new))
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                yield dict(zip(COLUMNS, (model, name, before.get(name, "-"), after.get(name, "-")), strict=True))


def _shown(prices: Prices) -> dict[str, str]:
    """What one model charges, by name, in dollars as exact decimals."""
    shown = {name: _dollars(rate.price, name) for name, rate in prices.rates.items()}
    shown |= {f"{name} above {start:,}": _dollars(price, name) for name, rate in prices.rates.items() for start, price in rate.tiers}
    shown |= {f"{tool}, a use": _dollars(fee, "request") for tool, fee in prices.fees.items()}
    shown |= {f"{tier}, times": f"{Decimal(factor) / MILLION:f}" for tier, factor in prices.tiers.items()}
    for change in prices.later:
        day = datetime.fromtimestamp(change.starts, UTC).date()
        shown |= {f"{name} from {day}": value for name, value in _shown(replace(change.prices, later=(), tiers={}, fees={})).items()}
    return shown


def _dollars(femto: int, name: str) -> str:
    if name.startswith("request"):
        return f"${Decimal(femto) / FEMTO_PER_USD:f} a call"
    return f"${(Decimal(femto) * MILLION / FEMTO_PER_USD).normalize():f} a million"
