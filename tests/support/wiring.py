"""A gateway in this process: real wiring, store in memory, a clock that stands still, and a provider that is a function."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import yaml
from tests.support.gateway import MASTER_KEY, config_of
from tests.support.stores import StillClock

from tollkeeper.bootstrap import Installation, Running, Store, local_app
from tollkeeper.clock import iso
from tollkeeper.config.compile import compile_config
from tollkeeper.providers.transport import OutboundRequest, Response
from tollkeeper.settings import Settings
from tollkeeper.store.items import LEDGER_SHARDS, scope_pk
from tollkeeper.store.sqlite import SqliteStore
from tollkeeper.store.table import Table


@dataclass
class Said:
    """One provider answer: `pieces` are sent one by one; an exception among them is raised there."""

    status: int = 200
    body: Any = None
    pieces: list[Any] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    closed: bool = False

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self.pieces or [self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)]:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    async def aclose(self) -> None:
        self.closed = True


Answerer = Callable[[OutboundRequest], Said]


class ScriptedTransport:
    """`answer` decides; an exception it raises is a connection that failed."""

    def __init__(self, answer: Answerer) -> None:
        self.answer = answer
        self.sent: list[OutboundRequest] = []

    async def send(self, request: OutboundRequest) -> Response:
        self.sent.append(request)
        return self.answer(request)

    async def aclose(self) -> None:
        pass


class Watched(Table):
    """A table that tells of every write and read: (verb, pk, sk)."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.seen: list[tuple[str, str, str]] = []

    def __getattribute__(self, name: str) -> Any:
        if name not in {"get", "query", "put_new", "put", "delete", "apply"}:
            return super().__getattribute__(name)
        verb = getattr(self._table, name)

        async def told(*args: Any, **kwargs: Any) -> Any:
            pk, sk = (args[0]["pk"], args[0]["sk"]) if isinstance(args[0], dict) else (args[0], args[1] if len(args) > 1 else "")
            self.seen.append((name, pk, sk))
            return await verb(*args, **kwargs)

        return told


@dataclass
class Wired:
    running: Running
    transport: ScriptedTransport
    clock: StillClock
    client: httpx.AsyncClient
    counters: Watched

    async def chat(self, key: str = MASTER_KEY, **body: Any) -> httpx.Response:
        asked = {"model": "fast", "messages": [{"role": "user", "content": "Say hello"}], **body}
        return await self.client.post("/v1/chat/completions", json=asked, headers={"authorization": f"Bearer {key}"})

    async def admin(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return await self.client.request(method, path, json=body, headers={"authorization": f"Bearer {MASTER_KEY}"})

    async def new_key(self, **fields: Any) -> str:
        answer = await self.admin("POST", "/key/generate", fields)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["key"])

    async def counter(self, kind: str, name: str, window: str = "total") -> dict[str, Any]:
        return await self.counters.get(scope_pk(kind, name), window) or {}

    async def ledger(self) -> list[dict[str, Any]]:
        await self.running.gateway.drain()
        day = iso(self.clock.now())[:10]
        table = self.running.installation.store.ledger
        pages = [await table.query(f"day#{day}#{shard}", limit=1000) for shard in range(LEDGER_SHARDS)]
        return sorted((item for page in pages for item in page.items), key=lambda item: str(item["sk"]))


async def wire(
    answer: Answerer, *models: dict[str, Any], clock: StillClock | None = None, env: Mapping[str, str] | None = None, **sections: Any
) -> Wired:
    text = yaml.safe_dump(config_of(*models, **sections))
    known = env if env is not None else {}
    moment = clock or StillClock()
    transport = ScriptedTransport(answer)
    snapshot = compile_config(text, env=known.get)
    embedded = SqliteStore(":memory:", clock=moment)
    counters = Watched(embedded.counters)
    store = Store(embedded.directory, counters, embedded.ledger, embedded.close, embedded.stream)
    installation = Installation(
        Settings(state=":memory:"), snapshot=snapshot, transport=transport, store=store, clock=moment, env=known.get
    )
    running = await installation.start()
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app=local_app(running)), base_url="http://gateway")
    return Wired(running, transport, moment, client, counters)
