"""What was asked and answered, where a key or team asks for it to be kept: off unless `metadata.log_content` says otherwise.

    "log_content": true                                             a week, 64 KB each way, redacted
    "log_content": {"days": 30, "max_kb": 256, "redact": false}

It goes to the object store, never into the ledger, and is looked up by the call's id. A key's own word, `false` included, counts before its
team's. Redaction replaces what looks like an address, a card or telephone number, or a credential; it is a net with holes, not a promise.
Each object has an end of its own: after it nobody reads it any more, and a sweep removes it.
"""

import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from tollkeeper.clock import Clock, iso
from tollkeeper.errors import StoreUnavailable
from tollkeeper.store.items import content_pk
from tollkeeper.store.objects import ObjectMissing, Objects
from tollkeeper.store.table import Table

log = logging.getLogger("tollkeeper.content")

LONGEST_DAYS, LARGEST_KB = 365, 4096
_DAY = 86400
_SWEPT_DAYS = 14
"""A sweep looks so many days back for what should be gone: far longer than a janitor may be away unnoticed."""
_PATTERNS = (
    ("credential", re.compile(r"\b(?:sk|pk|rk|ghp|gho|xox[abp]|AKIA|AIza)[-_A-Za-z0-9]{12,}|\bBearer +[-._~+/A-Za-z0-9]{12,}")),
    ("email", re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")),
    ("number", re.compile(r"(?<![\w.])(?:\+?\d[ -]?){9,19}\d(?![\w.])")),
)


@dataclass(frozen=True, slots=True)
class Terms:
    days: int = 7
    max_kb: int = 64
    redact: bool = True


@dataclass(slots=True)
class Transcript:
    """One call's answer as it passes, up to the terms' size."""

    terms: Terms
    body: Any = None
    events: list[bytes] = field(default_factory=list)
    size: int = 0

    def hear(self, event: bytes) -> None:
        if self.size <= self.terms.max_kb * 1024:
            self.events.append(event)
        self.size += len(event)

    def answer(self) -> bytes:
        return b"\n".join(self.events) if self.events else orjson.dumps(self.body)


def terms_of(*metadata: Mapping[str, Any] | None) -> Terms | None:
    """By the first of these that says anything: the key's, then the team's. What makes no sense is taken for the default."""
    for found in metadata:
        said = (found or {}).get("log_content")
        if said is None:
            continue
        if isinstance(said, Mapping):
            days, kilobytes = _bounded(said.get("days"), 7, LONGEST_DAYS), _bounded(said.get("max_kb"), 64, LARGEST_KB)
            return Terms(days, kilobytes, redact=said.get("redact") is not False)
        return Terms() if said is True else None
    return None


class ContentLog:
    def __init__(self, objects: Objects, table: Table, clock: Clock) -> None:
        self._objects = objects
        self._table = table
        self._clock = clock

    async def keep(self, request_id: str, request: Any, transcript: Transcript) -> None:
        """Never raises: the call is over, and its entry is what counts."""
        terms, until = transcript.terms, self._clock.now() + transcript.terms.days * _DAY
        kept = {"until": int(until), "request": _part(orjson.dumps(request), terms), "response": _part(transcript.answer(), terms)}
        try:
            # The note first: an object that nobody has noted would stay for ever.
            await self._table.put({"pk": content_pk(iso(until)[:10]), "sk": request_id})
            await self._objects.put(_key(request_id), orjson.dumps(kept))
        except (StoreUnavailable, ValueError) as error:
            log.warning("content_not_kept %s %s", request_id, type(error).__name__)

    async def read(self, request_id: str) -> dict[str, Any] | None:
        """`{request, response}`; None: nothing was kept, or its time is over. Raises StoreUnavailable."""
        try:
            kept: dict[str, Any] = orjson.loads(await self._objects.read(_key(request_id)))
        except (ObjectMissing, ValueError):
            return None
        return {"request": kept["request"], "response": kept["response"]} if kept["until"] > self._clock.now() else None

    async def sweep(self) -> int:
        """Removes what was to be kept until yesterday or earlier; returns how much. Raises StoreUnavailable."""
        today, removed = datetime.fromtimestamp(self._clock.now(), UTC).date(), 0
        for back in range(1, _SWEPT_DAYS + 1):
            pk = content_pk((today - timedelta(days=back)).isoformat())
            while notes := (await self._table.query(pk, limit=100)).items:
                for note in notes:
                    await self._objects.delete(_key(note["sk"]))
                    await self._table.delete(pk, note["sk"])
                    removed += 1
        return removed


def redacted(value: Any) -> Any:
    """The texts of a JSON value, however deep, without what the patterns find."""
    if isinstance(value, str):
        for name, pattern in _PATTERNS:
            value = pattern.sub(f"[{name}]", value)
        return value
    if isinstance(value, dict):
        return {name: redacted(each) for name, each in value.items()}
    return [redacted(each) for each in value] if isinstance(value, list) else value


def _part(data: bytes, terms: Terms) -> Any:
    """JSON as it was, or the beginning of what is too large, or a stream's events as text."""
    most = terms.max_kb * 1024
    found: Any = {"text": data[:most].decode(errors="ignore")}
    if len(data) > most:
        found["cut_at_kb"] = terms.max_kb
    else:
        with suppress(ValueError):
            found = orjson.loads(data)
    return redacted(found) if terms.redact else found


def _bounded(value: Any, default: int, most: int) -> int:
    return value if type(value) is int and 1 <= value <= most else default


def _key(request_id: str) -> str:
    return f"content/{request_id}"
