"""The functions as rows: what starts them, what they run on, and what each may do. A new function is a row here and a folder there.

A row whose folder has no handler yet is left out of the stacks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from infra.bundling import ROOT
from infra.settings import LONGEST_STREAM_SECONDS, Environment, FunctionSize

READ = ("dynamodb:GetItem", "dynamodb:Query")
WRITE = ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem")
SECRET = ("secretsmanager:GetSecretValue",)
KEEP = ("secretsmanager:CreateSecret", "secretsmanager:PutSecretValue", "secretsmanager:DeleteSecret", "secretsmanager:RestoreSecret")
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport_Requesting.html
EXPORT = ("dynamodb:ExportTableToPointInTime", "dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTable")
EXPORTED = ("s3:PutObject", "s3:AbortMultipartUpload")
OBJECTS = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
# Without it a missing object answers 403, as if it were not ours to see.
LIST = ("s3:ListBucket",)


@dataclass(frozen=True)
class Grant:
    """`resource` is a table, `<table>/indexes` or `ledger/exports`; `secret:<name>`, `secrets:kept` or `secrets:kept/<kind>`;
    `bucket:<name>` or `objects:<bucket>`; `topic:alerts`.
    """

    resource: str
    actions: tuple[str, ...]


@dataclass(frozen=True)
class Function:
    """`lock` names the dependencies layer; `streams` the exec wrapper's runtime; `paths` the routes of the front door it answers.

    Every path also has everything below it, except where a longer one belongs to another function.
    """

    name: str
    description: str
    grants: tuple[Grant, ...]
    lock: str = "admin"
    streams: bool = False
    calls_models: bool = False
    """Has the providers' secrets, and may call what gateway.yaml has on AWS (infra/models.py) and the on-prem pools."""
    tells_sinks: bool = False
    """Has the providers' secrets, and may write to what gateway.yaml's callbacks name on AWS (infra/sinks.py)."""
    runs_batches: bool = False
    """May start what gateway.yaml's deployments on AWS run as batches (infra/batches.py)."""
    signs_receipts: bool = False
    """May use the KMS key that gateway.yaml names for it (infra/receipts.py)."""
    paths: tuple[str, ...] = ()
    every: str = ""
    """The field of Environment that says how many minutes; "": no schedule."""
    reads_ledger_stream: bool = False
    size: FunctionSize = field(default_factory=FunctionSize)

    @property
    def has_provider_secrets(self) -> bool:
        return self.calls_models or self.tells_sinks

    @property
    def exists(self) -> bool:
        return (ROOT / "functions" / self.name / "handler.py").exists()


# An expired item that a write meets is removed first (store/dynamodb.py): whoever updates may delete.
PROXY = Function(
    "proxy",
    "Every LLM route, streamed",
    (
        # Query: models and access groups that were added at runtime (routing/live.py).
        Grant("directory", READ),
        Grant("directory/indexes", ("dynamodb:Query",)),
        Grant("counters", (*READ, *WRITE)),
        # Query: what a call whose hold is overdue was booked at (ledger/book.py).
        Grant("ledger", ("dynamodb:PutItem", "dynamodb:Query")),
        Grant("objects:files", OBJECTS),
        Grant("bucket:files", LIST),
        Grant("secret:providers", SECRET),
        Grant("secret:master-key", SECRET),
        Grant("secret:pepper", SECRET),
        # Credentials that were given at run time (admin/credentials.py).
        Grant("secrets:kept", SECRET),
    ),
    lock="proxy",
    streams=True,
    calls_models=True,
    signs_receipts=True,
    # /v1 by itself: another function has a path below it.
    paths=("/", "/v1", "/v2/guardrails", "/v2/rerank"),
    size=FunctionSize(memory=512, timeout=LONGEST_STREAM_SECONDS),
)
KEYS = Function(
    "keys",
    "Management API and console",
    (
        Grant("directory", (*READ, *WRITE)),
        Grant("directory/indexes", ("dynamodb:Query",)),
        Grant("counters", (*READ, "dynamodb:UpdateItem", "dynamodb:DeleteItem")),
        Grant("ledger", (*READ, "dynamodb:PutItem")),
        Grant("ledger/indexes", ("dynamodb:Query",)),
        Grant("secret:master-key", SECRET),
        Grant("secret:pepper", SECRET),
        Grant("secrets:kept", KEEP),
    ),
    paths=(
        "/access_group", "/audit", "/budget", "/config", "/credentials", "/customer", "/end_user", "/fallback", "/global/spend/reset",
        "/key", "/model", "/model_group", "/organization", "/project", "/tag", "/team", "/user", "/v1/model", "/v2",
        "/ui", "/docs", "/openapi.json",
    ),
)  # fmt: skip
# /team/daily/activity, /team/spend/report: reports under the names of those they are about.
_BY_OWNER = tuple(
    f"/{owner}/{kind}" for owner in ("key", "team", "user", "organization", "customer", "end_user", "tag") for kind in ("daily", "spend")
)
REPORTS = Function(
    "reports",
    "Spend, exports, statements, metrics",
    (
        Grant("directory", READ),
        Grant("directory/indexes", ("dynamodb:Query",)),
        # It writes down the exports that are asked for (reports/exports.py).
        Grant("counters", (*READ, *WRITE)),
        Grant("ledger", (*READ, *EXPORT)),
        Grant("ledger/indexes", ("dynamodb:Query",)),
        Grant("ledger/exports", ("dynamodb:DescribeExport",)),
        # DynamoDB writes an export in the name of whoever asked for it.
        Grant("objects:exports", EXPORTED),
        # Kept content of calls, where a key asked for it (ledger/content.py).
        Grant("objects:files", ("s3:GetObject",)),
        Grant("bucket:files", LIST),
        Grant("secret:master-key", SECRET),
        Grant("secret:pepper", SECRET),
    ),
    signs_receipts=True,
    paths=("/spend", "/global", "/provider", "/metrics", "/reports", *_BY_OWNER),
    size=FunctionSize(memory=1024, timeout=29),
)
ROLLUP = Function(
    "rollup",
    "Ledger stream to spend rollups and alerts",
    (
        Grant("ledger", (*READ, *WRITE)),
        # What a sink did not take is noted there (sinks/outbox.py); sinks' addresses and headers may be in the providers' secrets.
        Grant("counters", (*READ, *WRITE)),
        Grant("secret:providers", SECRET),
    ),
    lock="proxy",
    tells_sinks=True,
    reads_ledger_stream=True,
    size=FunctionSize(memory=512, timeout=120),
)
JANITOR = Function(
    "janitor",
    "Expires the holds of requests that died, renews keys, probes deployments, exports the ledger, tells sinks what they missed",
    (
        # It writes the directory for keys that rotate by themselves (bootstrap/rotation.py).
        Grant("directory", (*READ, *WRITE)),
        Grant("directory/indexes", ("dynamodb:Query",)),
        Grant("counters", (*READ, *WRITE)),
        # It delivers alerts, which are items of the ledger, takes kept content away when its time is over, and starts the daily exports.
        Grant("ledger", (*READ, *WRITE, *EXPORT)),
        Grant("ledger/indexes", ("dynamodb:Query",)),
        Grant("ledger/exports", ("dynamodb:DescribeExport",)),
        Grant("objects:exports", EXPORTED),
        Grant("objects:files", OBJECTS),
        Grant("bucket:files", LIST),
        Grant("secret:providers", SECRET),
        Grant("secret:pepper", SECRET),
        Grant("secrets:kept", SECRET),
        Grant("secrets:kept/keys", KEEP),
    ),
    lock="proxy",
    calls_models=True,
    tells_sinks=True,
    every="janitor_minutes",
    size=FunctionSize(memory=512, timeout=300),
)
BATCHES = Function(
    "batches",
    "Works through uploaded batches, and responses that are made in the background",
    PROXY.grants,
    lock="proxy",
    calls_models=True,
    runs_batches=True,
    every="batch_minutes",
    size=FunctionSize(memory=512, timeout=900),
)
ALL: Mapping[str, Function] = MappingProxyType({row.name: row for row in (PROXY, KEYS, REPORTS, ROLLUP, JANITOR, BATCHES)})


def deployed() -> list[Function]:
    return [row for row in ALL.values() if row.exists]


def size_of(function: Function, env: Environment) -> FunctionSize:
    return env.functions.get(function.name, function.size)


def grants_table() -> str:
    """Markdown for infra/README.md: function, action, resource."""
    rows = [
        f"| {function.name} | {', '.join(f'`{action}`' for action in grant.actions)} | {grant.resource} |"
        for function in ALL.values()
        for grant in function.grants
    ]
    return "\n".join(("| Function | Actions | Resource |", "|---|---|---|", *rows))


if __name__ == "__main__":
    print(grants_table())  # noqa: T201 - this is what it is run for
