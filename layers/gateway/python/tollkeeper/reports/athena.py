"""What tells Athena how to read an export in S3: DynamoDB's own JSON, our CSV or Parquet, and FOCUS rows.

https://docs.aws.amazon.com/athena/latest/ug/create-table.html
"""

from collections.abc import Iterable

from tollkeeper.errors import BadRequest
from tollkeeper.reports import focus, tabular

FORMATS = ("dynamodb", "dynamodb-incremental", "csv", "parquet", "focus")
_TYPES = {**dict.fromkeys(tabular.NUMBERS, "bigint"), **dict.fromkeys(tabular.FLAGS, "boolean"), "cost_nano_usd": "bigint"}
_LOCATION_ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:")


def ddl(form: str, location: str, table: str = "tollkeeper_ledger") -> str:
    """`location` is `s3://bucket/prefix/` of the data files. Raises BadRequest for what is none, and for a name that needs quoting."""
    if form not in FORMATS:
        raise BadRequest(f"{form!r} is none of {', '.join(FORMATS)}", param="format")
    if not location.startswith("s3://") or not _LOCATION_ALPHABET.issuperset(location):
        raise BadRequest("location is an address such as s3://bucket/prefix/", param="location")
    if not table.isidentifier() or not table.isascii():
        raise BadRequest("table is a name of letters, digits and underscores", param="table")
    head = f"CREATE EXTERNAL TABLE IF NOT EXISTS {table} (\n"
    return (
        head
        + ",\n".join(f"  {column}" for column in _columns(form))
        + f"\n)\n{_SERDE[form]}\nLOCATION '{location}'{_TAIL.get(form, '')};\n"
    )


def _columns(form: str) -> Iterable[str]:
    if form.startswith("dynamodb"):
        texts = (f"{name}:struct<s:string>" for name in ("pk", "sk", *tabular.TEXTS))
        numbers = (f"{name}:struct<n:string>" for name in (*tabular.NUMBERS, "cost"))
        flags = (f"{name}:struct<bool:boolean>" for name in tabular.FLAGS)
        item = f"struct<{','.join((*texts, 'tags:struct<l:array<struct<s:string>>>', *numbers, *flags))}>"
        if form == "dynamodb":
            return [f"item {item}"]
        keys = "struct<pk:struct<s:string>,sk:struct<s:string>>"
        return ["metadata struct<writetimestampmicros:struct<n:string>>", f"keys {keys}", f"newimage {item}", f"oldimage {item}"]
    if form == "focus":
        return [f"`{name.lower()}` string" for name in focus.COLUMNS]
    if form == "csv":
        return [f"{name} string" for name in tabular.COLUMNS]
    return [f"{name} {_TYPES.get(name, 'decimal(29,9)' if name == 'cost_usd' else 'string')}" for name in tabular.COLUMNS]


_OPEN_CSV = "ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde'"
_OPENX = "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'"
_SERDE = {
    "dynamodb": _OPENX,
    "dynamodb-incremental": _OPENX,
    "csv": _OPEN_CSV,
    "focus": _OPEN_CSV,
    "parquet": "STORED AS PARQUET",
}
_TAIL = dict.fromkeys(("csv", "focus"), "\nTBLPROPERTIES ('skip.header.line.count'='1')")
