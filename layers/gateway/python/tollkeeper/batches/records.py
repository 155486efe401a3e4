"""One batch, as the store keeps it and as its caller sees it. https://platform.openai.com/docs/api-reference/batch/object

validating ─▶ in_progress ─▶ finalizing ─▶ completed
    │  └─▶ failed   │  └─(24 hours)─▶ finalizing ─▶ expired
    └───────────────┴─▶ cancelling ─▶ cancelled
"""

from dataclasses import dataclass, field
from typing import Any

from tollkeeper.batches.owner import Owner
from tollkeeper.store import items
from tollkeeper.store.table import Item

VALIDATING, IN_PROGRESS, FINALIZING, CANCELLING = "validating", "in_progress", "finalizing", "cancelling"
COMPLETED, FAILED, EXPIRED, CANCELLED = "completed", "failed", "expired", "cancelled"
ENDED = frozenset({COMPLETED, FAILED, EXPIRED, CANCELLED})
WINDOW, WINDOW_SECONDS = "24h", 86_400
ENDPOINTS = ("/v1/chat/completions", "/v1/embeddings", "/v1/completions", "/v1/responses")
KEPT_SECONDS = 30 * 86_400
_TIMES = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")


@dataclass(frozen=True, slots=True)
class Batch:
    """`line` and `offset` are the checkpoint: the last line that is done with, and where the next begins. `out` and `err` are the segments
    written so far, (object key, bytes). `counts` are the checkpoint's, (completed, failed); `seen` those shown, which run ahead of it.
    """

    id: str
    endpoint: str
    input_file_id: str
    created_at: int
    expires_at: int
    owner: Owner
    status: str = VALIDATING
    metadata: dict[str, str] | None = None
    times: dict[str, int] = field(default_factory=dict)
    faults: tuple[dict[str, Any], ...] = ()
    total: int = 0
    counts: tuple[int, int] = (0, 0)
    seen: tuple[int, int] = (0, 0)
    line: int = 0
    offset: int = 0
    out: tuple[tuple[str, int], ...] = ()
    err: tuple[tuple[str, int], ...] = ()
    ending: str = COMPLETED
    """What a batch that is finalizing will be."""
    output_file_id: str | None = None
    error_file_id: str | None = None
    native: dict[str, Any] | None = None
    """Where a provider runs it (native/); None: the gateway does."""

    @property
    def ttl(self) -> int:
        return self.expires_at + KEPT_SECONDS

    def shown(self) -> dict[str, Any]:
        """The API's `batch` object."""
        completed, failed = max(self.counts, self.seen, key=sum)
        ended = self.status in ENDED
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "errors": {"object": "list", "data": list(self.faults)} if self.faults else None,
            "input_file_id": self.input_file_id,
            "completion_window": WINDOW,
            "status": self.status,
            "output_file_id": self.output_file_id if ended else None,
            "error_file_id": self.error_file_id if ended else None,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            **{f"{name}_at": self.times.get(name) for name in _TIMES},
            "request_counts": {"total": self.total, "completed": completed, "failed": failed},
            "metadata": self.metadata,
        }

    def item(self) -> Item:
        """As it is made; later changes touch single attributes (register.py)."""
        return {
            "pk": items.batch_pk(self.id),
            "sk": items.BATCH_SK,
            "ttl": self.ttl,
            "id": self.id,
            "endpoint": self.endpoint,
            "input_file_id": self.input_file_id,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "status": self.status,
            "metadata": self.metadata,
            **self.owner.fields(),
        }


def batch_of(item: Item) -> Batch:
    return Batch(
        id=item["id"],
        endpoint=item["endpoint"],
        input_file_id=item["input_file_id"],
        created_at=int(item["created_at"]),
        expires_at=int(item["expires_at"]),
        owner=Owner.of(item),
        status=item["status"],
        metadata=item.get("metadata"),
        times={name: int(item[f"{name}_at"]) for name in _TIMES if f"{name}_at" in item},
        faults=tuple(item.get("faults") or ()),
        total=int(item.get("total", 0)),
        counts=_pair(item, "completed", "failed"),
        seen=_pair(item, "seen_completed", "seen_failed"),
        line=int(item.get("line", 0)),
        offset=int(item.get("offset", 0)),
        out=_parts(item, "out"),
        err=_parts(item, "err"),
        ending=item.get("ending", COMPLETED),
        output_file_id=item.get("output_file_id"),
        error_file_id=item.get("error_file_id"),
        native=item.get("native"),
    )


def _pair(item: Item, first: str, second: str) -> tuple[int, int]:
    return int(item.get(first, 0)), int(item.get(second, 0))


def _parts(item: Item, name: str) -> tuple[tuple[str, int], ...]:
    return tuple((key, int(size)) for key, size in item.get(name) or ())
