"""Every engine behind `store.table.Table`, for suites that must hold on all of them, and the fakes of the store's own seams."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
from tests.support.dynamodb_local import dynamodb_local
from tests.support.ministack import ministack

from tollkeeper.clock import Clock, system, time_ordered_id
from tollkeeper.store.aws import Credentials, HttpSend, NotSent, StaticCredentials
from tollkeeper.store.awsjson import AwsJson, AwsRefused, AwsService
from tollkeeper.store.dynamodb import DynamoTable, OnRequest
from tollkeeper.store.sqlite import SqliteStore
from tollkeeper.store.table import AtMost, ConditionFailed, Table
from tollkeeper.store.values import INDEXES

REGION = "eu-central-1"
KEYS = StaticCredentials(Credentials("AKIDEXAMPLE", "secret"))
_INDEXED: dict[str, tuple[str, ...]] = {"directory": INDEXES, "counters": (), "ledger": INDEXES}


@dataclass(frozen=True)
class Tables:
    directory: Table
    counters: Table
    ledger: Table


@dataclass(frozen=True)
class Engine:
    """`open` gives the three tables to one event loop; `endpoint` is empty for the embedded store."""

    name: str
    open: Callable[[], AbstractAsyncContextManager[Tables]]
    endpoint: str = ""


class StillClock:
    """Time that moves only by `sleep` and `advance`."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.time = now
        self.slept: list[float] = []
        self._ids = 0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)

    def new_id(self) -> str:
        self._ids += 1
        return time_ordered_id(self.time, self._ids.to_bytes(10, "big"))


Answer = tuple[int, Any] | BaseException


@dataclass
class ScriptedSend:
    """An HttpSend that gives the next answer of a script, the last one for ever: (status, JSON) or an exception to raise."""

    script: list[Answer]
    requests: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        await asyncio.sleep(0)
        self.requests.append({"method": method, "url": url, "headers": dict(headers), "body": orjson.loads(body) if body else None})
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, BaseException):
            raise answer
        status, payload = answer
        return status, {}, payload if isinstance(payload, bytes) else orjson.dumps(payload)


def refusal(code: str, status: int = 400, **fields: Any) -> Answer:
    """An error as DynamoDB words it."""
    return status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "a message", **fields}


def sender(client: httpx.AsyncClient) -> HttpSend:
    async def send(method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> tuple[int, Mapping[str, str], bytes]:
        try:
            response = await client.request(method, url, headers=dict(headers), content=body, timeout=timeout)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotSent(str(error)) from error
        except httpx.TimeoutException as error:
            raise TimeoutError(str(error)) from error
        except httpx.TransportError as error:
            raise ConnectionError(str(error)) from error
        return response.status_code, response.headers, response.content

    return send


@asynccontextmanager
async def http_send() -> AsyncIterator[HttpSend]:
    async with httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_connections=64)) as client:
        yield sender(client)


async def create_tables(send: HttpSend, endpoint: str) -> None:
    """The three tables as the deployed stack has them: string keys, every index with all attributes."""
    aws = AwsJson(AwsService("dynamodb", "DynamoDB_20120810", "1.0", "DynamoDB"), send, KEYS, REGION, endpoint)
    for table, indexes in _INDEXED.items():
        names = ["pk", "sk", *(index + part for index in indexes for part in ("pk", "sk"))]
        request: dict[str, Any] = {
            "TableName": table,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in names],
            "KeySchema": _schema("pk", "sk"),
        }
        if indexes:
            request["GlobalSecondaryIndexes"] = [
                {"IndexName": index, "KeySchema": _schema(f"{index}pk", f"{index}sk"), "Projection": {"ProjectionType": "ALL"}}
                for index in indexes
            ]
        try:
            await aws.call("CreateTable", request, repeatable=True)
        except AwsRefused as refused:
            # moto keeps one state for all its servers in a process.
            if refused.code != "ResourceInUseException":
                raise


def _schema(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


@asynccontextmanager
async def dynamo_tables(endpoint: str, clock: Clock = system, on_request: OnRequest | None = None) -> AsyncIterator[Tables]:
    async with http_send() as send:
        yield Tables(*(DynamoTable(name, send, KEYS, REGION, endpoint, clock=clock, on_request=on_request) for name in _INDEXED))


@asynccontextmanager
async def sqlite_tables(folder: str | Path) -> AsyncIterator[Tables]:
    store = SqliteStore(folder)
    try:
        yield Tables(store.directory, store.counters, store.ledger)
    finally:
        store.close()


@contextmanager
def _moto(folder: Path) -> Iterator[str]:
    from moto.server import ThreadedMotoServer  # half a second, which the processes of a race need not pay

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


_SERVERS: dict[str, Callable[[Path], AbstractContextManager[str]]] = {
    "moto": _moto,
    "ministack": ministack,
    "dynamodb-local": dynamodb_local,
}
ENGINES = ("memory", "file", *_SERVERS)
ATOMIC_ENGINES = tuple(name for name in ENGINES if name != "moto")
"""For suites that race: moto's server runs requests in threads and reads, checks and writes an item without a lock, so that two conditional
updates at once can both pass. Real DynamoDB, DynamoDB Local and ministack do not.
"""


@contextmanager
def engine(name: str, folder: Path) -> Iterator[Engine]:
    """A running engine with its tables made. `memory` starts empty at every `open`; the others keep what they were given."""
    if name not in _SERVERS:
        where = ":memory:" if name == "memory" else folder / "state"
        yield Engine(name, lambda: sqlite_tables(where))
        return
    with _SERVERS[name](folder) as endpoint:
        asyncio.run(_prepare(endpoint))
        yield Engine(name, lambda: dynamo_tables(endpoint), endpoint)


async def _prepare(endpoint: str) -> None:
    async with http_send() as send:
        await create_tables(send, endpoint)


async def spend(table: Table, pk: str, *, amount: int, cap: int, tries: int) -> int:
    """Conditional ADDs one after another; how many were granted."""
    granted = 0
    for _ in range(tries):
        try:
            await table.apply(pk, "window", add={"committed": amount}, when=[AtMost("committed", cap - amount)])
        except ConditionFailed:
            continue
        granted += 1
    return granted


def spend_in_process(folder: str, pk: str, amount: int, cap: int, tries: int) -> int:
    """`spend` on a store file opened by this process: for multiprocessing, which needs an importable function."""

    async def run() -> int:
        async with sqlite_tables(folder) as tables:
            return await spend(tables.counters, pk, amount=amount, cap=cap, tries=tries)

    return asyncio.run(run())
