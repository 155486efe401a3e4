"""`tollkeeper finance …`: exports of the ledger, what they are turned into, and provider invoices held against it. Works on files and on
the store itself, not on a gateway. `tollkeeper receipt verify` checks a signed receipt.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import httpx
import orjson
import typer

from tollkeeper import bootstrap
from tollkeeper.clock import iso
from tollkeeper.dev.commands.rollup import State, on_store
from tollkeeper.errors import BadRequest
from tollkeeper.ledger.rebuild import entries_of
from tollkeeper.reports import athena, focus, focus_rules, invoices, receipts, tabular
from tollkeeper.reports.export_files import SUMMARY, ledger_entries, manifest_of
from tollkeeper.reports.export_merge import chain_of, merged
from tollkeeper.reports.export_writer import Place, Put, write_export
from tollkeeper.reports.ranges import days_of
from tollkeeper.store.table import Item

Exports = Annotated[
    list[Path],
    typer.Argument(
        help="Folders of exports, with manifest-summary.json: a full one and the incremental ones that follow it count as one.",
        exists=True,
        file_okay=False,
    ),
]
_PAGE = 1000
Out = Annotated[Path, typer.Option("--out", "-o", help="The file to write.")]


def add_to(root: typer.Typer) -> None:
    group = typer.Typer(help="Exports of the ledger, FOCUS, invoices.", no_args_is_help=True)
    for command in (export, merge, to_csv, to_parquet, to_focus, ddl, reconcile):
        group.command(command.__name__.removeprefix("to_"))(command)
    root.add_typer(group, name="finance")
    signed = typer.Typer(help="Signed cost receipts.", no_args_is_help=True)
    signed.command("verify")(verify)
    signed.callback()(lambda: None)
    root.add_typer(signed, name="receipt")


def export(start_date: str, end_date: str, out: Out, state: State = None) -> None:
    """Write the ledger's entries of these days as DynamoDB exports them (from a table on AWS, export by PITR instead)."""

    async def run(installation: bootstrap.Installation) -> int:
        days = days_of(start_date, end_date, installation.clock.now())

        async def pages() -> AsyncIterator[list[Item]]:
            for day in days:
                async for page in entries_of(installation.store.ledger, day):
                    yield page

        about = {"exportArn": f"embedded:{days.first}/{days.last}", "exportTime": iso(installation.clock.now()), "slice": True}
        return await write_export(pages(), _into(out), Place(), about)

    print(f"{on_store(state, run)} entries in {out}")


def merge(exports: Exports, out: Out) -> None:
    """Make one full export of a full one and the incremental ones that follow it; `--out` is its folder."""
    last = chain_of([manifest_of(folder) for folder in exports])[-1]
    items = merged(exports)

    async def pages() -> AsyncIterator[list[Item]]:
        while page := list(islice(items, _PAGE)):
            yield page

    about = {"exportArn": f"merged:{last.name}", **({"exportTime": iso(last.end)} if last.end is not None else {})}
    print(f"{asyncio.run(write_export(pages(), _into(out), Place(), about))} items in {out}")


def to_csv(exports: Exports, out: Out) -> None:
    """One line a call; no cell is a formula."""
    with _whole(out) as half, half.open("w", newline="", encoding="utf-8") as file:
        file.writelines(tabular.csv_lines(tabular.COLUMNS, map(tabular.row_of, _entries(exports))))
    print(out)


def to_parquet(exports: Exports, out: Out) -> None:
    """One row a call, money exact. Needs pyarrow."""
    with _whole(out) as half:
        rows = tabular.write_parquet(map(tabular.row_of, _entries(exports)), half)
    print(f"{rows} rows in {out}")


def to_focus(exports: Exports, out: Out, account: Annotated[str, typer.Option(help="BillingAccountId.")] = "tollkeeper") -> None:
    """FOCUS 1.2 rows as CSV, each held against the specification's column rules first."""
    rows = focus.focus_rows(_entries(exports), account=account)
    for number, row in enumerate(rows):
        if broken := focus_rules.violations(row):
            raise BadRequest(f"row {number}: {'; '.join(broken)}")
    if broken := focus_rules.quarrels(rows):
        raise BadRequest("; ".join(broken[:10]))
    with _whole(out) as half, half.open("w", newline="", encoding="utf-8") as file:
        file.writelines(tabular.csv_lines(focus.COLUMNS, rows))
    print(f"{len(rows)} rows in {out}")


def ddl(form: str, location: str, table: str = "tollkeeper_ledger") -> None:
    """The CREATE TABLE for Athena: dynamodb, dynamodb-incremental, csv, parquet or focus, and where in S3 the files are."""
    print(athena.ddl(form, location, table), end="")


def reconcile(
    provider: Annotated[str, typer.Argument(help=f"{', '.join(invoices.LAYOUTS)}.")],
    invoice: Annotated[Path, typer.Argument(help="The provider's CSV.", exists=True, dir_okay=False)],
    exports: Exports,
    tolerance: Annotated[str, typer.Option(help="Dollars a day and model may differ by.")] = "0.01",
) -> None:
    """Compare by day and model. Exit code 1 if something differs by more than the tolerance."""
    allowed = invoices.nano_of(tolerance, "tolerance")
    lines = invoices.reconcile(invoices.invoice_of(invoice, provider), _entries(exports), provider)
    wrong = [line for line in lines if abs(line.difference) > allowed]
    for line in lines:
        mark = "DIFFERS" if line in wrong else "ok"
        name = line.model or "(all models)"
        print(f"{line.day}  {name:40}  invoiced {tabular.usd(line.invoiced)}  booked {tabular.usd(line.booked)}  {mark}")
    print(f"{len(lines)} lines, {len(wrong)} differ, in all {tabular.usd(sum(line.difference for line in lines))} USD")
    raise typer.Exit(int(bool(wrong)))


def verify(
    receipt: Annotated[str, typer.Argument(help="The receipt, or a file that holds it.")],
    keys: Annotated[str, typer.Option("--keys", help="The JWK set: a file, or the gateway's address (needs a key).")],
    key: Annotated[str | None, typer.Option("--key", help="Any good key of the gateway.")] = None,
) -> None:
    """Print what a signed receipt says. Exit code 1 if nobody we trust has signed it."""
    text = Path(receipt).read_text() if len(receipt) < 200 and Path(receipt).is_file() else receipt
    print(orjson.dumps(receipts.verify(text, _known(keys, key)), option=orjson.OPT_INDENT_2).decode())


def _known(keys: str, key: str | None) -> dict[str, Any]:
    """A JWK set. Raises BadRequest."""
    try:
        if keys.startswith(("http://", "https://")):
            answer = httpx.get(f"{keys.rstrip('/')}/reports/receipts/keys", headers={"authorization": f"Bearer {key or ''}"})
            found = answer.raise_for_status().json()
        else:
            found = orjson.loads(Path(keys).read_bytes())
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise BadRequest(f"{keys}: no keys to be had: {str(error).splitlines()[0]}", param="keys") from None
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
        raise BadRequest(f"{keys} is no JWK set", param="keys")
    return found


def _entries(exports: list[Path]) -> Iterator[Item]:
    return ledger_entries(merged(exports))


def _into(folder: Path) -> Put:
    """Raises BadRequest for a folder that has an export already."""
    if (folder / SUMMARY).exists():
        raise BadRequest(f"{folder} has an export already", param="out")

    async def put(name: str, data: bytes) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return put


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """Where to write: what is not finished never stands under its name, and what stood there stays."""
    half = out.with_name(f"{out.name}.half")
    try:
        yield half
        half.replace(out)
    finally:
        half.unlink(missing_ok=True)
