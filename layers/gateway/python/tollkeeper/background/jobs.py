"""A response in the background, as the store keeps it: claimed by one worker, which has it as long as it keeps its lease.

queued ─▶ in_progress ─▶ completed | incomplete | failed
   └───────────┴─▶ cancelled

What is asked and what is answered is in the archive, beside this. A job that was begun is not begun again, as its provider may have been
paid: one whose worker is gone ends as failed.
"""

from dataclasses import dataclass
from typing import Any

from tollkeeper.clock import Clock
from tollkeeper.store import items
from tollkeeper.store.table import AtMost, Condition, ConditionFailed, Equals, Item, Table

QUEUED, IN_PROGRESS, CANCELLED, FAILED = "queued", "in_progress", "cancelled", "failed"
UNFINISHED = frozenset({QUEUED, IN_PROGRESS})
LEASE_SECONDS = 10
"""How long a job stays in progress whose worker was killed, besides the time until somebody looks."""


class LeaseLost(Exception):
    """The job is cancelled, or deleted, or another's."""


@dataclass(frozen=True, slots=True)
class Job:
    """`id` is the response's, `call_id` the ledger's. `streamed`: its events are kept, too. `began_at`: epoch seconds, 0 before."""

    id: str
    call_id: str
    owner: str
    key_hash: str
    created_at: int
    ttl: int
    admin: bool = False
    user_id: str | None = None
    team_id: str | None = None
    streamed: bool = False
    status: str = QUEUED
    began_at: int = 0
    lease_until: int = 0

    def item(self) -> Item:
        names = ("id", "call_id", "owner", "key_hash", "created_at", "ttl", "admin", "user_id", "team_id", "streamed", "status")
        return {"pk": items.background_pk(self.id), "sk": items.BACKGROUND_SK, **{name: getattr(self, name) for name in names}}


class Jobs:
    """One per process. Everything raises StoreUnavailable."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def add(self, job: Job) -> None:
        await self._table.put(job.item())
        # Last: from here on a worker may find it.
        await self._table.put({"pk": items.OPEN_BACKGROUND_PK, "sk": job.id, "ttl": job.ttl})

    async def get(self, job_id: str) -> Job | None:
        item = await self._table.get(items.background_pk(job_id), items.BACKGROUND_SK, consistent=True)
        return _job(item) if item is not None else None

    async def open_ids(self) -> list[str]:
        """Jobs that have not ended, oldest first; at most a page of them."""
        return [item["sk"] for item in (await self._table.query(items.OPEN_BACKGROUND_PK, limit=100)).items]

    async def claim(self, job_id: str, worker: str) -> Job | None:
        """None: it is not to be begun, or no longer."""
        fields = {**self._lease(worker), "status": IN_PROGRESS, "began_at": int(self._clock.now())}
        return await self._apply(job_id, fields, [Equals("status", QUEUED)])

    async def take_over(self, job_id: str, worker: str) -> Job | None:
        """One that was begun and whose worker is gone. None: there is none, or it has a worker."""
        when: list[Condition] = [Equals("status", IN_PROGRESS), AtMost("lease_until", int(self._clock.now()))]
        return await self._apply(job_id, self._lease(worker), when)

    async def renew(self, job_id: str, worker: str) -> None:
        """Raises LeaseLost."""
        if await self._apply(job_id, self._lease(worker), [Equals("status", IN_PROGRESS), Equals("lease", worker)]) is None:
            raise LeaseLost

    async def end(self, job_id: str, worker: str, status: str) -> None:
        """Raises LeaseLost."""
        if await self._apply(job_id, {"status": status}, [Equals("status", IN_PROGRESS), Equals("lease", worker)]) is None:
            raise LeaseLost
        await self.strike(job_id)

    async def cancel(self, job_id: str) -> bool:
        """Whether this ended it; whatever is under way hears of it when it renews its lease."""
        for status in (QUEUED, IN_PROGRESS):
            if await self._apply(job_id, {"status": CANCELLED}, [Equals("status", status)]) is not None:
                await self.strike(job_id)
                return True
        return False

    async def strike(self, job_id: str) -> None:
        """There is nothing left to do."""
        await self._table.delete(items.OPEN_BACKGROUND_PK, job_id)

    def _lease(self, worker: str) -> dict[str, Any]:
        return {"lease": worker, "lease_until": int(self._clock.now()) + LEASE_SECONDS}

    async def _apply(self, job_id: str, fields: dict[str, Any], when: list[Condition]) -> Job | None:
        try:
            return _job(await self._table.apply(items.background_pk(job_id), items.BACKGROUND_SK, set=fields, when=when))
        except ConditionFailed:
            return None


def _job(item: Item) -> Job:
    return Job(
        id=item["id"],
        call_id=item["call_id"],
        owner=item["owner"],
        key_hash=item["key_hash"],
        created_at=int(item["created_at"]),
        ttl=int(item["ttl"]),
        admin=bool(item.get("admin")),
        user_id=item.get("user_id"),
        team_id=item.get("team_id"),
        streamed=bool(item.get("streamed")),
        status=item["status"],
        began_at=int(item.get("began_at", 0)),
        lease_until=int(item.get("lease_until", 0)),
    )
