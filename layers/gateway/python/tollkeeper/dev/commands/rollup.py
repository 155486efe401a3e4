"""`tollkeeper rollup rebuild | drift`: the sums and the counters, held against the ledger. Works on the store itself, not on a gateway."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from tollkeeper import bootstrap
from tollkeeper.config.snapshot import Snapshot
from tollkeeper.ledger.rebuild import Comparison, Rebuild
from tollkeeper.money import nano_to_usd
from tollkeeper.reports import drift as drifting
from tollkeeper.reports.counters import Look
from tollkeeper.reports.ranges import month_at, month_of
from tollkeeper.reports.reader import Reader
from tollkeeper.settings import Settings

T = TypeVar("T")
State = Annotated[
    str | None,
    typer.Option("--state", help="Folder of the embedded store; else TOLLKEEPER_STORE and its like say where.", show_default=False),
]


def add_to(root: typer.Typer) -> None:
    group = typer.Typer(help="Hold the sums and the counters against the ledger.", no_args_is_help=True)
    group.command("rebuild")(rebuild)
    group.command("drift")(drift)
    root.add_typer(group, name="rollup")


def rebuild(
    month: Annotated[str | None, typer.Option(help="As 2026-11; default: the present one.", show_default=False)] = None,
    write: Annotated[bool, typer.Option("--write", help="Put right what differs.")] = False,
    state: State = None,
) -> None:
    """Add up a month's entries anew and compare every sum. Exit code 1 if one differs (and was not put right)."""

    async def compare(installation: bootstrap.Installation) -> Comparison:
        wanted = month_of(month) if month else month_at(installation.clock.now())
        return await Rebuild(installation.store.ledger, installation.clock).month(wanted.month, write=write)

    found = on_store(state, compare)
    for pk, sk, said, true in found.differences:
        print(f"{pk} {sk}: the sum says {said}, the ledger {true}")
    word = "all equal" if not found.wrong else f"{found.wrong} {'put right' if write else 'DIFFER'}"
    print(f"{found.month}: {found.entries} entries, {nano_to_usd(found.spend):.9f} USD, {found.cells} sums: {word}")
    raise typer.Exit(int(bool(found.wrong) and not write))


def drift(
    write: Annotated[bool, typer.Option("--write", help="Set the counters to what the ledger says.")] = False, state: State = None
) -> None:
    """Compare what counters say is spent, lifetimes and budget windows, with what the ledger's entries add up to.

    Exit code 1 if it differs. Calls that are under way show as differences; the janitor, which looks twice, knows better (/metrics).
    """

    async def compare(installation: bootstrap.Installation) -> list[Look]:
        store = installation.store
        found = await drifting.drifts(Reader(store.ledger), store.ledger, store.counters, installation.clock)
        if write:
            await drifting.mend(store.counters, found)
        return found

    found = on_store(state, compare)
    for each in found:
        print(f"{each.name}: shown {nano_to_usd(each.counter):.9f} USD, booked {nano_to_usd(each.ledger):.9f} USD")
        if each.unbalanced:
            print(f"{each.name}: committed is {nano_to_usd(each.unbalanced):.9f} USD more than what is spent and held")
    print(f"drift {sum(abs(each.amount) for each in found)} nano-USD in {len(found)} counters")
    raise typer.Exit(int(bool(found) and not write))


def on_store(state: str | None, ask: Callable[[bootstrap.Installation], Awaitable[T]]) -> T:
    """What `ask` finds in the store that the settings (or `--state`) name."""
    settings = Settings.from_env(state=state, store="sqlite" if state else None)

    async def answer() -> T:
        installation = bootstrap.Installation(settings, snapshot=Snapshot(version=""))
        try:
            return await ask(installation)
        finally:
            installation.store.close()
            await installation.transport.aclose()

    return asyncio.run(answer())
