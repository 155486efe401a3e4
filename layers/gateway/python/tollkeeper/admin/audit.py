"""Who changed what: an append-only chain of entries in the ledger table.

Each entry has a number, counted without a gap, and the seal of the one before it; its own seal is an HMAC over all it holds. So an entry
that is altered, removed or slipped in breaks the chain there, and nobody without the installation's pepper can mend it. A mark in the
directory table names the newest entry, so that a cut-off tail shows as well. Two processes that append at once want the same number:
the store gives it to one, and shows its entry to the other, which goes on from there.

An entry that cannot be written after a change was made is logged whole (`audit_entry_unwritten`): the change stands, and is not lost.
"""

import asyncio
import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from tollkeeper.clock import Clock, iso
from tollkeeper.errors import StoreUnavailable
from tollkeeper.store import items, paging
from tollkeeper.store.table import AtMost, ConditionFailed, Item, Table
from tollkeeper.store.values import canonical

RETRY_DELAYS = (0.05, 0.2, 1.0)
GENESIS = "0" * 64
_MOST_CONTENDERS = 10_000
_LARGEST_VALUE, _LARGEST_CHANGE = 20_000, 100_000
_DIGIT = "0"
"""Where every number in 12 digits begins."""
_PLACES = frozenset({"pk", "sk", "gsi1pk", "gsi1sk", "gsi2pk", "gsi2sk", "gsi3pk", "gsi3sk"})
_log = logging.getLogger("tollkeeper.audit")


@dataclass(frozen=True, slots=True)
class Change:
    """`before` and `after` hold the fields that differ (both None for what is not a record). `by` is a user id or key hash, `by_key` the
    key's hash, `changed_by` what the caller's own tool said of itself.
    """

    action: str
    kind: str
    object_id: str
    by: str
    by_key: str
    changed_by: str | None
    request_id: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Verdict:
    """`problems` are (number, what is wrong); `last` the number and `seal` of the last entry read; `complete`: no entry is left."""

    checked: int = 0
    last: int = 0
    seal: str = GENESIS
    complete: bool = True
    problems: list[tuple[int, str]] = field(default_factory=list)


class AuditLog:
    def __init__(self, table: Table, marks: Table, clock: Clock, pepper: bytes) -> None:
        self.table, self._marks, self._clock = table, marks, clock
        self._secret = hmac.digest(pepper, b"tollkeeper audit chain", "sha256")
        self._head: tuple[int, str] | None = None
        self._lock = asyncio.Lock()

    async def append(self, change: Change) -> None:
        """Never raises for a store that is away: see above."""
        entry = {**_plain(change), "at": iso(self._clock.now())}
        async with self._lock:
            for delay in (*RETRY_DELAYS, None):
                try:
                    await self._append(entry)
                    return
                except StoreUnavailable as error:
                    self._head = None
                    if delay is None:
                        _log.error("audit_entry_unwritten %s %s", error.message, orjson.dumps(entry).decode())
                        return
                    await self._clock.sleep(delay)

    async def newest(self) -> int:
        """The number of the newest entry, 0 if there is none."""
        number, _ = await self._last()
        return number

    async def entry(self, number: int) -> Item | None:
        return await self.table.get(items.AUDIT_PK, items.audit_sk(number), consistent=True)

    async def verify(self, after: int = 0, limit: int = 10_000) -> Verdict:
        """Checks up to `limit` entries behind number `after`, and at the end of the chain that it reaches the mark."""
        verdict = Verdict(last=after)
        if after and (before := await self.entry(after)):
            verdict.seal = str(before.get("seal"))
        while verdict.checked < limit:
            batch = await self._batch(verdict.last, min(500, limit - verdict.checked))
            if not batch:
                await self._check_mark(verdict)
                return verdict
            for entry in batch:
                self._check(entry, verdict)
        verdict.complete = False
        return verdict

    async def _batch(self, after: int, size: int) -> list[Item]:
        token = paging.encode({"pk": items.AUDIT_PK, "sk": items.audit_sk(after)})
        page = await self.table.query(items.AUDIT_PK, after=token, limit=size, prefix=_DIGIT)
        if page.items:
            return page.items
        # A query may be a moment behind; a consistent read is not.
        newest = await self.entry(after + 1)
        return [newest] if newest else []

    def _check(self, entry: Item, verdict: Verdict) -> None:
        number = int(entry["sk"])
        for missing in range(verdict.last + 1, min(number, verdict.last + 100)):
            verdict.problems.append((missing, "missing"))
        if number == verdict.last + 1 and entry.get("previous") != verdict.seal:
            verdict.problems.append((number, "does not follow the entry before it"))
        content = {name: value for name, value in entry.items() if name not in _PLACES and name != "seal"}
        if entry.get("number") != number or not hmac.compare_digest(str(entry.get("seal")), self._seal(content)):
            verdict.problems.append((number, "altered"))
        verdict.checked, verdict.last, verdict.seal = verdict.checked + 1, number, str(entry.get("seal"))

    async def _check_mark(self, verdict: Verdict) -> None:
        mark = await self._marks.get(items.AUDIT_PK, items.AUDIT_MARK_SK, consistent=True) or {}
        if int(mark.get("number", 0)) > verdict.last:
            verdict.problems.append((int(mark["number"]), "missing: the chain ends before it"))

    async def _append(self, entry: Mapping[str, Any]) -> None:
        number, seal = self._head or await self._last()
        for _ in range(_MOST_CONTENDERS):
            sealed = self._sealed(entry, number + 1, seal)
            try:
                await self.table.put_new(sealed)
            except ConditionFailed as taken:
                number, seal = number + 1, str((taken.old or {}).get("seal", ""))
                continue
            self._head = (number + 1, sealed["seal"])
            await self._mark(*self._head)
            return
        raise StoreUnavailable("Too many others write to the audit log.")

    async def _last(self) -> tuple[int, str]:
        page = await self.table.query(items.AUDIT_PK, prefix=_DIGIT, limit=1, descending=True)
        return (int(page.items[0]["sk"]), str(page.items[0].get("seal"))) if page.items else (0, GENESIS)

    async def _mark(self, number: int, seal: str) -> None:
        try:
            await self._marks.apply(
                items.AUDIT_PK, items.AUDIT_MARK_SK, set={"number": number, "seal": seal}, when=(AtMost("number", number - 1),)
            )
        except ConditionFailed:
            return  # a later entry has been marked already
        except StoreUnavailable as error:
            # The entry is written; the next one will be marked.
            _log.warning("audit_mark_unwritten number=%d %s", number, error.message)

    def _sealed(self, entry: Mapping[str, Any], number: int, previous: str) -> Item:
        content = canonical({**entry, "number": number, "previous": previous})
        place = {
            "pk": items.AUDIT_PK,
            "sk": items.audit_sk(number),
            "gsi1pk": items.audited(content["kind"], content["object_id"]),
            "gsi1sk": items.audit_sk(number),
            "gsi2pk": items.audited_by(content["by"]),
            "gsi2sk": items.audit_sk(number),
        }
        return {**content, "seal": self._seal(content), **place}

    def _seal(self, content: Mapping[str, Any]) -> str:
        return hmac.digest(self._secret, orjson.dumps(content, option=orjson.OPT_SORT_KEYS), "sha256").hex()


def _plain(change: Change) -> dict[str, Any]:
    values = {name: getattr(change, name) for name in Change.__slots__}
    return {**values, "before": _short(change.before), "after": _short(change.after)}


def _short(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A field too long for an entry stands there by its size."""
    if values is None:
        return None
    sizes = {name: len(orjson.dumps(value)) for name, value in values.items()}
    largest = _LARGEST_VALUE if sum(sizes.values()) <= _LARGEST_CHANGE else 1_000
    return {name: value if sizes[name] <= largest else {"bytes": sizes[name]} for name, value in values.items()}
