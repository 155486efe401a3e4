"""The results of health probes, in the counters table: the newest of each deployment, and a week of them all.

    pk health#latest   sk <deployment>            pk health#log   sk <time-ordered id>   ttl a week
    model_name model_id status(healthy|unhealthy) error_type error_message response_time_ms checked_by checked_at(ISO 8601)

Field names are LiteLLM's (https://docs.litellm.ai/docs/proxy/health).
"""

from dataclasses import asdict, dataclass
from typing import Any

from tollkeeper.clock import Clock, iso
from tollkeeper.store.items import HEALTH_LATEST_PK, HEALTH_LOG_PK, health_sk
from tollkeeper.store.table import Item, Table

KEPT_SECONDS = 7 * 86_400
_MOST_READ = 5_000


@dataclass(frozen=True, slots=True)
class Check:
    """`error_message` is the provider's own, without the request."""

    model_name: str
    model_id: str
    healthy: bool
    response_time_ms: int
    error_type: str | None = None
    error_message: str | None = None
    checked_by: str = "janitor"


class HealthLog:
    """Its methods raise StoreUnavailable."""

    def __init__(self, counters: Table, clock: Clock) -> None:
        self._table, self._clock = counters, clock

    async def note(self, check: Check) -> None:
        now = self._clock.now()
        fields = {name: value for name, value in asdict(check).items() if name != "healthy" and value is not None}
        item = {**fields, "status": "healthy" if check.healthy else "unhealthy", "checked_at": iso(now), "ttl": int(now) + KEPT_SECONDS}
        check_id = self._clock.new_id()
        await self._table.put({"pk": HEALTH_LATEST_PK, "sk": health_sk(check.model_id), "check_id": check_id, **item})
        await self._table.put({"pk": HEALTH_LOG_PK, "sk": check_id, "check_id": check_id, **item})

    async def latest(self) -> dict[str, dict[str, Any]]:
        """By deployment id."""
        page = await self._table.query(HEALTH_LATEST_PK, limit=1000)
        return {str(item["model_id"]): shown(item) for item in page.items}

    async def history(self, *, model: str | None, status: str | None, limit: int, offset: int) -> tuple[list[dict[str, Any]], int]:
        """(a page, newest first; how many there are). `model` is a model name or a deployment's id. Looks at the newest 5,000."""
        found: list[dict[str, Any]] = []
        after = None
        seen = 0
        while seen < _MOST_READ:
            page = await self._table.query(HEALTH_LOG_PK, after=after, limit=500, descending=True)
            seen += len(page.items)
            found += [
                shown(item)
                for item in page.items
                if model in {None, item.get("model_name"), item.get("model_id")} and status in {None, item.get("status")}
            ]
            if (after := page.next) is None:
                break
        return found[offset : offset + limit], len(found)


def shown(item: Item) -> dict[str, Any]:
    healthy = item.get("status") == "healthy"
    return {
        "health_check_id": item.get("check_id"),
        "model_name": item.get("model_name"),
        "model_id": item.get("model_id"),
        "status": item.get("status"),
        "healthy_count": int(healthy),
        "unhealthy_count": int(not healthy),
        "error_message": item.get("error_message"),
        "error_type": item.get("error_type"),
        "response_time_ms": item.get("response_time_ms"),
        "checked_by": item.get("checked_by"),
        "checked_at": item.get("checked_at"),
        "created_at": item.get("checked_at"),
    }
