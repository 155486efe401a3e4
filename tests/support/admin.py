"""The management API in process: the real app, authenticator and embedded store, on a clock that a test moves by hand."""

import re
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI
from jsonschema import Draft202012Validator

from tollkeeper.admin.app import create_app
from tollkeeper.admin.parts import AdminServices, SpendReader
from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.clock import time_ordered_id
from tollkeeper.edge.problems import openai_error
from tollkeeper.store.sqlite import SqliteStore
from tollkeeper.store.table import Table

MASTER = "sk-master-0123456789abcdef"
PEPPER = b"a pepper for tests"
START = 1_800_000_000.0
"""2027-01-15T08:00:00Z"""


class HandClock:
    """Stands still until `advance`; ids count up."""

    def __init__(self, start: float = START) -> None:
        self._now = start
        self._ids = 0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self._now += seconds

    def new_id(self) -> str:
        self._ids += 1
        return time_ordered_id(self._now, self._ids.to_bytes(10, "big"))


class Vault:
    """A secret manager that shows what it holds."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def keep(self, name: str, text: str) -> str:
        self.kept[f"kept/{name}"] = text
        return f"kept/{name}"

    async def drop(self, secret_id: str) -> None:
        del self.kept[secret_id]


class Contract:
    """Holds every answer against the OpenAPI document that the API serves of itself."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._paths = [(re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), path.count("{"), item) for path, item in document["paths"].items()]
        self._components = document["components"]

    def check(self, method: str, path: str, answer: httpx.Response) -> None:
        found = [(holes, item) for pattern, holes, item in self._paths if pattern.fullmatch(path) and method.lower() in item]
        if not found or not answer.headers.get("content-type", "").startswith("application/json"):
            return
        operation = min(found, key=lambda row: row[0])[1][method.lower()]
        status = str(answer.status_code)
        response = operation["responses"].get(status) or operation["responses"][f"{status[0]}XX"]
        kind = answer.headers["content-type"].partition(";")[0]
        content = response["content"][kind]
        if kind != "application/json":
            return
        schema = content["schema"]
        Draft202012Validator({**schema, "components": self._components}).validate(answer.json())


@dataclass
class Admin:
    """`call` is one request with `caller` as the bearer of the key."""

    store: SqliteStore
    clock: HandClock
    authenticator: Authenticator
    client: httpx.AsyncClient
    contract: Contract
    services: AdminServices
    app: FastAPI

    async def call(self, method: str, path: str, *, caller: str | None = MASTER, **request: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {caller}"} if caller else {}
        answer = await self.client.request(method, path, headers={**headers, **request.pop("headers", {})}, **request)
        self.contract.check(method, path.partition("?")[0], answer)
        return answer

    async def post(self, path: str, body: Any, *, caller: str | None = MASTER) -> httpx.Response:
        return await self.call("POST", path, caller=caller, json=body)

    async def get(self, path: str, *, caller: str | None = MASTER, **query: Any) -> httpx.Response:
        return await self.call("GET", path, caller=caller, params=query)

    async def generate(self, **fields: Any) -> dict[str, Any]:
        answer = await self.post("/key/generate", fields)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def info(self, key: str) -> dict[str, Any]:
        answer = await self.get("/key/info", key=key)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["info"])

    async def close(self) -> None:
        await self.client.aclose()
        self.store.close()


_contracts: list[Contract] = []


def _contract(app: FastAPI) -> Contract:
    """One for all: the document is the same and takes a second."""
    if not _contracts:
        _contracts.append(Contract(app.openapi()))
    return _contracts[0]


def make_admin(directory: Table | None = None, spend: SpendReader | None = None, *, cache_seconds: float = 5.0, **services: Any) -> Admin:
    """`directory` stands in for the store's own, to make it slow, broken or busy; `services` are further fields of AdminServices."""
    clock = HandClock()
    store = SqliteStore(":memory:", clock=clock)
    table = directory or store.directory
    authenticator = Authenticator(table, PEPPER, master_key=MASTER, clock=clock, cache_seconds=cache_seconds)
    made = AdminServices(table, authenticator, PEPPER, clock, spend, **{"ledger": store.ledger, **services})
    app = create_app(made, openai_error)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://gateway")
    return Admin(store, clock, authenticator, client, _contract(app), made, app)
