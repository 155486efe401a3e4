"""What finance books: statements, exports that read back equal, FOCUS rows by the specification's rules, invoices, signed receipts."""

import asyncio
import csv
import gzip
import io
import re
from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from pyarrow import parquet
from tests.support.entries import NOVEMBER, entries
from tests.unit.reports.conftest import Books

from tollkeeper.clock import system
from tollkeeper.dev.cli import main
from tollkeeper.errors import BadRequest
from tollkeeper.reports import focus, receipts
from tollkeeper.reports.athena import FORMATS, ddl
from tollkeeper.reports.export_files import ExportUnusable, ledger_entries, read_export
from tollkeeper.reports.export_writer import Place, write_export
from tollkeeper.reports.focus_rules import PRESENT, quarrels, violations
from tollkeeper.reports.invoices import invoice_of, reconcile
from tollkeeper.reports.tabular import COLUMNS, csv_lines, row_of
from tollkeeper.store.attributes import marshal
from tollkeeper.store.sqlite import SqliteStore

FOUND = list(entries(300, seed=21, start=NOVEMBER, days=5))


async def written(folder: Path, found: list[dict[str, Any]]) -> Path:
    async def pages() -> AsyncIterator[list[dict[str, Any]]]:
        yield found[:120]
        yield found[120:]

    async def put(name: str, data: bytes) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    about = {"exportArn": "test", "exportTime": "2026-12-01T00:00:00Z"}
    assert await write_export(pages(), put, Place(), about) == len(found)
    return folder


async def test_an_export_reads_back_equal(tmp_path: Path) -> None:
    assert list(read_export(await written(tmp_path / "export", FOUND))) == FOUND


async def test_a_damaged_export_is_refused_and_the_part_is_named(tmp_path: Path) -> None:
    folder = await written(tmp_path / "export", FOUND)
    part = folder / "data/000000.json.gz"
    good = part.read_bytes()
    part.write_bytes(good[: len(good) // 2])
    with pytest.raises(ExportUnusable, match=r"000000.json.gz: damaged"):
        list(read_export(folder))
    part.write_bytes(good)
    files = orjson.loads((folder / "manifest-files.json").read_bytes())
    (folder / "manifest-files.json").write_bytes(orjson.dumps({**files, "itemCount": 299}))
    with pytest.raises(ExportUnusable, match=r"manifest-files.json: damaged"):
        list(read_export(folder))
    (folder / "manifest-files.checksum").unlink()
    for change, words in (
        ({"md5Checksum": None, "itemCount": 299}, "299 items were exported, the file has 300"),
        ({"dataFileS3Key": "data/gone.json.gz"}, "gone.json.gz: missing"),
        ({"dataFileS3Key": "../../../etc/passwd"}, "passwd: missing"),
    ):
        (folder / "manifest-files.json").write_bytes(orjson.dumps({**files, **change}))
        with pytest.raises(ExportUnusable, match=words):
            list(read_export(folder))
    (folder / "manifest-files.json").write_bytes(b"")
    with pytest.raises(ExportUnusable, match="300 items were exported, the parts have 0"):
        list(read_export(folder))
    (folder / "manifest-summary.json").unlink()
    with pytest.raises(ExportUnusable, match="manifest-summary"):
        list(read_export(folder))


def test_a_part_that_is_no_json_is_damaged_even_with_a_good_checksum(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.json.gz").write_bytes(gzip.compress(b'{"Item": {"cost": {"N": "one"}}}\n'))
    (tmp_path / "manifest-files.json").write_bytes(orjson.dumps({"itemCount": 1, "dataFileS3Key": "data/a.json.gz"}))
    (tmp_path / "manifest-summary.json").write_bytes(orjson.dumps({"itemCount": 1}))
    with pytest.raises(ExportUnusable, match=r"a\.json\.gz: damaged"):
        list(read_export(tmp_path))


def test_an_incremental_export_as_dynamodb_writes_it(tmp_path: Path) -> None:
    """Sums and audit entries lie in the same table; a deletion has keys only."""
    other = {"pk": "sum#all", "sk": "month#2026-11", "spend": 1}
    lines = [
        {"Metadata": {}, "Keys": marshal({"pk": item["pk"], "sk": item["sk"]}), "NewImage": marshal(item)} for item in (*FOUND[:3], other)
    ]
    lines.append({"Metadata": {}, "Keys": marshal({"pk": "day#2026-01-01#1", "sk": "x"})})
    (tmp_path / "data").mkdir()
    (tmp_path / "data/b.json.gz").write_bytes(gzip.compress(b"\n".join(map(orjson.dumps, lines))))
    name = "AWSDynamoDB/data/b.json.gz"
    (tmp_path / "manifest-files.json").write_bytes(orjson.dumps({"itemCount": 5, "dataFileS3Key": name}))
    (tmp_path / "manifest-summary.json").write_bytes(orjson.dumps({"itemCount": 5, "exportType": "INCREMENTAL_EXPORT"}))
    assert list(ledger_entries(read_export(tmp_path))) == FOUND[:3]


@pytest.mark.parametrize("alias", ["=1+1", "+cmd|' /C calc'!A0", "-2", "@SUM(A1)", "\t=1", "\r=1", 'a "quoted", name'])
def test_no_cell_of_a_csv_is_a_formula(alias: str) -> None:
    text = "".join(csv_lines(COLUMNS, [row_of({**FOUND[0], "key_alias": alias})]))
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["key_alias"].lstrip("'") == alias
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row.values())


async def test_the_command_line_turns_an_export_into_csv_parquet_and_focus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, total = str(await written(tmp_path / "export", FOUND)), sum(item["cost"] for item in FOUND)
    assert main(["finance", "csv", folder, "-o", str(tmp_path / "a.csv")]) == 0
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["request_id"] for row in rows] == [item["request_id"] for item in FOUND]
    assert sum(Decimal(row["cost_usd"]) for row in rows) * 10**9 == sum(int(row["cost_nano_usd"]) for row in rows) == total
    assert main(["finance", "parquet", folder, "-o", str(tmp_path / "a.parquet")]) == 0
    table = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert sum(row["cost_usd"] for row in table) * 10**9 == sum(row["cost_nano_usd"] for row in table) == total
    assert main(["finance", "focus", folder, "-o", str(tmp_path / "focus.csv")]) == 0
    with (tmp_path / "focus.csv").open(newline="") as file:
        charges = list(csv.DictReader(file))
    assert sum(Decimal(row["BilledCost"]) for row in charges) * 10**9 == total
    assert sum(int(row["x_Requests"]) for row in charges) == len(FOUND)
    (tmp_path / "export/data/000000.json.gz").write_bytes(b"")
    assert main(["finance", "csv", folder, "-o", str(tmp_path / "b.csv")]) == 1
    assert "000000.json.gz: damaged" in capsys.readouterr().err


async def test_the_embedded_store_exports_days_of_its_ledger(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state")
    for item in FOUND:
        await store.ledger.put(item)
    store.close()

    def run(*arguments: str) -> int:
        return main(["finance", "export", *arguments, "--state", str(tmp_path / "state")])

    # The command has an event loop of its own.
    out = str(tmp_path / "export")
    assert await asyncio.to_thread(run, "2026-11-02", "2026-11-03", "--out", out) == 0
    wanted = [item for item in FOUND if item["started_at"][:10] in {"2026-11-02", "2026-11-03"}]
    assert sorted(read_export(Path(out)), key=lambda item: str(item["sk"])) == wanted
    assert await asyncio.to_thread(run, "2026-11-03", "2026-11-02", "--out", out + "2") == 1


def test_focus_rows_keep_to_the_specification() -> None:
    tiered = [{**FOUND[0], "service_tier": "batch", "cost": 90, "cost_parts": {"input": 100, "discount": 10}}]
    rows = focus.focus_rows([*FOUND, *tiered])
    assert [violations(row) for row in rows] == [[]] * len(rows)
    assert quarrels(rows) == []
    assert sum(Decimal(row["EffectiveCost"] or 0) for row in rows) * 10**9 == sum(item["cost"] for item in FOUND) + 90
    assert sum(Decimal(row["ListCost"] or 0) for row in rows) * 10**9 == sum(item["cost"] for item in FOUND) + 100
    assert {row["BillingPeriodEnd"] for row in rows} == {"2026-12-01T00:00:00Z"}
    assert all(list(row) == list(focus.COLUMNS) for row in rows)
    assert [row["SkuPriceDetails"] for row in rows if row["SkuPriceDetails"]] == ['{"x_ServiceTier":"batch"}']


def test_what_a_price_is_called_does_not_change_with_the_price_list() -> None:
    """SkuPriceId-C-009-M: it stays the same over time."""
    names = {version: focus.focus_rows([{**FOUND[0], "price_version": version}])[0]["SkuPriceId"] for version in ("1", "2")}
    assert names["1"] == names["2"]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"BilledCost": None}, "BilledCost-C-001-M"),
        ({"BilledCost": "1,5"}, "BilledCost-C-003-M"),
        ({"BilledCost": "NaN"}, "BilledCost-C-003-M"),
        ({"ListCost": "1E-9"}, "ListCost-C-002-M"),
        ({"PricingQuantity": "+3"}, "PricingQuantity-C-002-M"),
        ({"InvoiceIssuerName": "acme"}, "BilledCost-C-004-C"),
        ({"BillingAccountType": None}, "BillingAccountType-C-005-C"),
        ({"ChargeCategory": "usage"}, "ChargeCategory-C-003-M"),
        ({"ChargeCategory": "Tax"}, "PricingQuantity-C-004-C"),
        ({"ChargeCategory": "Purchase"}, "ChargeFrequency-C-004-C"),
        ({"ChargeClass": "Refund"}, "ChargeClass-C-005-C"),
        ({"ChargeFrequency": "Monthly"}, "ChargeFrequency-C-003-M"),
        ({"PricingCategory": "On Demand"}, "PricingCategory-C-007-M"),
        ({"ChargePeriodStart": "2026-11-01"}, "ChargePeriodStart-C-002-M"),
        ({"ChargePeriodStart": "2026-11-01T00:00:00.000Z"}, "ChargePeriodStart-C-002-M"),
        ({"BillingPeriodStart": "2026-11-01T00:00:00+00:00"}, "BillingPeriodStart-C-002-M"),
        ({"ChargePeriodEnd": "2026-11-01T00:00:00Z", "ChargePeriodStart": "2026-11-02T00:00:00Z"}, "ChargePeriodEnd-C-004-M"),
        ({"BillingCurrency": "usd"}, "BillingCurrency-C-006-M"),
        ({"PricingQuantity": None}, "PricingQuantity-C-005-C"),
        ({"PricingUnit": "tokens"}, "PricingUnit-C-003-O"),
        ({"ConsumedUnit": None}, "ConsumedUnit-C-004-C"),
        ({"SkuPriceId": None}, "SkuPriceId-C-005-C"),
        ({"SkuMeter": None}, "SkuMeter-C-003-C"),
        ({"SkuPriceDetails": '{"x_A": {}}'}, "SkuPriceDetails-C-001-M"),
        ({"SubAccountId": None}, "SubAccountName-C-003-C"),
        ({"ServiceCategory": "AI"}, "ServiceCategory-C-003-M"),
        ({"ServiceSubcategory": "Chat"}, "ServiceSubcategory-C-004-M"),
        ({"Tags": "a=b"}, "Tags-C-001-M"),
        ({"Team": "red"}, "ColumnHandling-A-009-M"),
        ({"x_my team": "red"}, "ColumnHandling-A-009-M"),
    ],
)
def test_a_row_against_the_specification_is_told_by_its_rule(change: dict[str, Any], rule: str) -> None:
    row = {**next(row for row in focus.focus_rows(FOUND) if row["SubAccountId"] and row["BilledCost"] != "0.000000000"), **change}
    assert any(line.startswith(f"{rule}: ") for line in violations(row))


@pytest.mark.parametrize("column", PRESENT)
def test_a_column_that_the_specification_wants_is_there(column: str) -> None:
    row = dict(focus.focus_rows(FOUND)[0])
    del row[column]
    assert f"CostAndUsage-{PRESENT[column]}: {column} is missing" in violations(row)


def test_what_a_thing_belongs_to_is_one_and_the_same_in_all_rows() -> None:
    row = focus.focus_rows(FOUND)[0]
    assert quarrels([row, {**row, "SkuId": "other"}])[0].startswith("SkuPriceId-C-008-M: ")
    assert quarrels([row, {**row, "ServiceCategory": "Web"}])[0].startswith("ServiceName-C-005-C: ")


@pytest.mark.parametrize("form", FORMATS)
def test_athena_is_told_every_column(form: str) -> None:
    text = ddl(form, "s3://bucket/prefix/", "books")
    assert text.startswith("CREATE EXTERNAL TABLE IF NOT EXISTS books (\n")
    assert "LOCATION 's3://bucket/prefix/'" in text
    assert ("billedcost" if form == "focus" else "request_id") in text
    for location in ("bucket", "s3://b/'; DROP TABLE x; --"):
        with pytest.raises(BadRequest, match="location"):
            ddl(form, location)
    with pytest.raises(BadRequest, match="table"):
        ddl(form, "s3://b/", "a; b")


OPENAI_HEAD = """\
start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,quantity_unit,line_item,project_id
1790467200,1790553600,2026-09-27T00:00:00+00:00,2026-09-28T00:00:00+00:00,,,,,,
"""
OPENAI_LINES = """\
{epoch},,{day}T00:00:00+00:00,,{most},usd,,,"gpt-4o-mini-2024-07-18, input",p
{epoch},,{day}T00:00:00+00:00,,{rest},usd,,,"gpt-4o-mini-2024-07-18, cached input",p
"""
ANTHROPIC_HEAD = """\
usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,inference_geo,speed
"""
ANTHROPIC_LINES = """\
{day},Claude Sonnet 4.5,Default,k,message,≤ 200k,input_no_cache,{most},{most},token,us,
{day},Claude Sonnet 4.5,Default,k,message,≤ 200k,output,{rest},{rest},token,us,
"""
INVOICES = {
    "openai": (OPENAI_HEAD, OPENAI_LINES, "openai", "gpt-4o-mini-2024-07-18"),
    "anthropic": (ANTHROPIC_HEAD, ANTHROPIC_LINES, "anthropic", "Claude Sonnet 4.5"),
}


def invoice_lines(line: str, day: str, cost: int) -> str:
    epoch = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp())
    most, rest = (f"{Decimal(part).scaleb(-9):f}" for part in (cost * 2 // 3, cost - cost * 2 // 3))
    return line.format(day=day, epoch=epoch, most=most, rest=rest)


@pytest.mark.parametrize("provider", INVOICES)
@pytest.mark.parametrize("packed", [False, True])
def test_an_invoice_is_held_against_the_ledger_by_day_and_model(tmp_path: Path, provider: str, packed: bool) -> None:
    head, line, ours, name = INVOICES[provider]
    booked: dict[str, int] = {}
    for item in FOUND:
        if item["provider"] == ours:
            booked[item["started_at"][:10]] = booked.get(item["started_at"][:10], 0) + item["cost"]
    invoice = tmp_path / "invoice.csv"

    def write(text: str) -> None:
        data = ("\ufeff" + text).encode()
        invoice.write_bytes(gzip.compress(data) if packed else data)

    write(head + "".join(invoice_lines(line, day, cost) for day, cost in booked.items()))
    dated = [{**item, "upstream_model": f"{item['upstream_model']}-20250929"} for item in FOUND]
    lines = reconcile(invoice_of(invoice, provider), dated, provider)
    assert {(each.day, each.model): each.booked for each in lines} == {(day, name): cost for day, cost in booked.items()}
    assert not any(each.difference for each in lines)
    first = min(booked)
    write(head + invoice_lines(line, first, 1_500_000_000))
    (wrong,) = reconcile(invoice_of(invoice, provider), FOUND, provider)
    assert wrong.difference == 1_500_000_000 - booked[first]


def test_what_has_no_counterpart_is_a_line_of_its_own() -> None:
    """gpt-4o on an invoice is not the gpt-4o-mini of the ledger, however alike they look."""
    lines = reconcile({("2026-11-01", "gpt-4o-2024-08-06"): 5}, FOUND, "openai")
    booked = sum(item["cost"] for item in FOUND if item["provider"] == "openai" and item["started_at"].startswith("2026-11-01"))
    assert [(each.model, each.invoiced, each.booked) for each in lines] == [("gpt-4o-2024-08-06", 5, 0), ("gpt-4o-mini", 0, booked)]


def test_an_invoice_without_models_is_compared_by_day(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("start_time_iso,amount_value,amount_currency,line_item\n2026-11-01T00:00:00,0.5,usd,\n")
    (line,) = reconcile(invoice_of(tmp_path / "a.csv", "openai"), FOUND, "openai")
    booked = sum(item["cost"] for item in FOUND if item["provider"] == "openai" and item["started_at"].startswith("2026-11-01"))
    assert (line.day, line.model, line.invoiced, line.booked) == ("2026-11-01", "", 500_000_000, booked)


LEGACY = (
    "lineItem/UsageStartDate,lineItem/LineItemType,lineItem/ProductCode,product/ProductName,lineItem/UsageType,lineItem/UnblendedCost\n"
)
CUR2 = "line_item_usage_start_date,line_item_line_item_type,line_item_product_code,product,line_item_usage_type,line_item_unblended_cost\n"


@pytest.mark.parametrize("header", [LEGACY, CUR2])
def test_a_cost_and_usage_report_counts_what_bedrock_used(tmp_path: Path, header: str) -> None:
    """Models of third parties are products of the AWS Marketplace, whose codes say nothing."""

    def product(name: str) -> str:
        return name if header == LEGACY else '"' + orjson.dumps({"product_name": name}).decode().replace('"', '""') + '"'

    rows = (
        ("Usage", "AmazonBedrock", "Amazon Bedrock", "EUC1-NovaPro-input-tokens", "0.25"),
        ("Usage", "AmazonBedrock", "Amazon Bedrock", "EUC1-NovaPro-cache-read-input-token-count", "0.05"),
        ("Usage", "5onsykndbwcyfmkhp", "Claude Sonnet 4.5 (Amazon Bedrock Edition)", "EUC1-MP:EUC1_OutputTokenCount-Units", "0.5"),
        ("Tax", "5onsykndbwcyfmkhp", "Claude Sonnet 4.5 (Amazon Bedrock Edition)", "", "0.1"),
        ("Usage", "AmazonEC2", "Amazon Elastic Compute Cloud", "BoxUsage", "9"),
    )
    text = "".join(f"2026-11-01T05:00:00Z,{kind},{code},{product(name)},{used},{cost}\n" for kind, code, name, used, cost in rows)
    (tmp_path / "cur.csv").write_text(header + text)
    ours = {
        "eu.amazon.nova-pro-v1:0": 300_000_000,
        "anthropic.claude-sonnet-4-5-20250929-v1:0": 200_000_000,
        "arn:aws:bedrock:eu-central-1:1:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0": 300_000_000,
    }
    entries = [{**FOUND[0], "provider": "bedrock", "upstream_model": model, "cost": cost} for model, cost in ours.items()]
    lines = reconcile(invoice_of(tmp_path / "cur.csv", "aws"), entries, "aws")
    assert [(each.invoiced, each.booked) for each in lines] == [(500_000_000, 500_000_000), (300_000_000, 300_000_000)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("day,cost\n2026-11-01,1\n", "no column for the model"),
        ("date,model,cost\nyesterday,a,1\n", "line 2: 'yesterday' is no date"),
        ("date,model,cost\n2026-11-01,a,1\n2026-11-01,a,=1+1\n", "line 3: '=1\\+1' is no amount"),
        ("date,model,cost\n2026-11-01,a,NaN\n", "line 2: 'NaN' is no amount"),
        ('date,model,cost\n2026-11-01,a,"1,5"\n', "line 2: '1,5' is no amount"),
        ("date,model,cost,currency\n2026-11-01,a,1,eur\n", "line 2: the amount is in 'eur'"),
        ("date,model,usage_input_tokens_no_cache\n2026-11-01,a,1\n", "this is the usage export"),
        ("", "no column for the day"),
        ("PAR1....", "is Parquet"),
        ("\udcff\udcfe", "is no CSV"),
    ],
)
def test_an_invoice_that_cannot_be_read_says_where(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "invoice.csv").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BadRequest, match=words):
        invoice_of(tmp_path / "invoice.csv", "openai")
    with pytest.raises(BadRequest, match="none of openai"):
        invoice_of(tmp_path / "invoice.csv", "acme")


async def test_a_receipt_is_signed_and_anybody_can_check_it(books: Books, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    item = books.entries[5]
    text = (await books.get(f"/reports/receipts/{item['sk']}"))["receipt"]
    keys = await books.get("/reports/receipts/keys")
    claims = receipts.verify(text, keys)
    assert (claims["request_id"], claims["cost_nano_usd"], claims["model"]) == (item["sk"], item["cost"], item["model"])
    (tmp_path / "keys.json").write_bytes(orjson.dumps(keys))
    assert main(["receipt", "verify", text, "--keys", str(tmp_path / "keys.json")]) == 0
    assert f'"cost_nano_usd": {item["cost"]}' in capsys.readouterr().out
    head, body, tail = text.split(".")
    other = await receipts.Receipts(receipts.PepperSigner(b"another pepper")).sign(item, int(system.now()))
    for forged in (f"{head}.{body[:-4]}AAAA.{tail}", f"{head}.{body}.", other, "nonsense", ""):
        with pytest.raises(BadRequest, match="no receipt"):
            receipts.verify(forged, keys)
    assert main(["receipt", "verify", other, "--keys", str(tmp_path / "keys.json")]) == 1
    (tmp_path / "wrong.json").write_text("{")
    for nowhere in (tmp_path / "none.json", tmp_path / "wrong.json", "http://127.0.0.1:9"):
        assert main(["receipt", "verify", text, "--keys", str(nowhere)]) == 1
        assert "no keys to be had" in capsys.readouterr().err


async def test_a_statement_as_json_csv_and_page(books: Books) -> None:
    made = await books.get("/reports/statement", team_id="team-1", month="2026-12")
    spent = books.of("team", "2026-12-01", "2026-12-31")["team-1"]
    assert Decimal(made["total"]["spend_usd"]) * 10**9 == spent
    for section in ("models", "keys", "days"):
        assert sum(Decimal(row["spend_usd"]) for row in made[section]) * 10**9 == spent
    table = await books.admin.get("/reports/statement", team_id="team-1", month="2026-12", format="csv")
    assert table.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.text, newline="")))
    assert Decimal(rows[-1]["spend_usd"]) * 10**9 == spent
    page = await books.admin.get("/reports/statement", team_id="team-1", month="2026-12", format="html")
    assert made["total"]["spend_usd"] in page.text
    assert not re.search(r"<script|src=|http", page.text)
    unknown = await books.admin.get("/reports/statement", team_id="nobody", month="2026-12")
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (404, "team_id")
    for month in ("2026-13", "December", "0001-01"):
        answer = await books.admin.get("/reports/statement", team_id="team-1", month=month)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "month")
