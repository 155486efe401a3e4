"""Things kept for a while for whoever made them: compressed JSON in as many items as it takes, each with an end of life.

One thing is a partition (`kept#<kind>#<id>`) of parts; the first says whose it is and how many there are, and is written last, so that a
thing is there whole or not at all.
"""

import base64
import zlib
from typing import Any

import orjson

from tollkeeper.clock import Clock
from tollkeeper.store.items import kept_pk, part_sk
from tollkeeper.store.table import Table

PART_CHARACTERS = 300_000
"""An item has at most 400 KB."""
MAX_PARTS = 16
MAX_BYTES = 64 * 2**20
"""Of what is unpacked: what is written here is ours, and still nothing should unpack without end."""


class Archive:
    """One per process."""

    def __init__(self, table: Table, clock: Clock, *, seconds: int) -> None:
        self._table = table
        self._clock = clock
        self.seconds = seconds

    async def keep(self, kind: str, identifier: str, owner: str, value: Any) -> bool:
        """Whether it was kept: what is larger than so many parts is not, nor what has somebody else's name. Raises StoreUnavailable."""
        text = base64.b64encode(zlib.compress(orjson.dumps(value), 6)).decode()
        pieces = [text[start : start + PART_CHARACTERS] for start in range(0, len(text), PART_CHARACTERS)]
        if len(pieces) > MAX_PARTS:
            return False
        pk, ends = kept_pk(kind, identifier), int(self._clock.now()) + self.seconds
        there = await self._table.get(pk, part_sk(0), consistent=True)
        if there is not None and there["owner"] != owner:
            return False
        first: dict[str, Any] = {"owner": owner, "parts": len(pieces)}
        for number in reversed(range(len(pieces))):
            item = {"pk": pk, "sk": part_sk(number), "data": pieces[number], "ttl": ends}
            await self._table.put({**item, **first} if number == 0 else item)
        return True

    async def find(self, kind: str, identifier: str) -> tuple[str, Any] | None:
        """(owner, value); None if there is none, or no longer. Raises StoreUnavailable."""
        pk = kept_pk(kind, identifier)
        first = await self._table.get(pk, part_sk(0), consistent=True)
        if first is None:
            return None
        pieces = [str(first["data"])]
        for number in range(1, int(first["parts"])):
            item = await self._table.get(pk, part_sk(number), consistent=True)
            if item is None:
                return None
            pieces.append(str(item["data"]))
        unpacked = zlib.decompressobj().decompress(base64.b64decode("".join(pieces)), MAX_BYTES)
        return str(first["owner"]), orjson.loads(unpacked)

    async def forget(self, kind: str, identifier: str) -> None:
        """The first part first: after it nothing is found."""
        pk = kept_pk(kind, identifier)
        first = await self._table.delete(pk, part_sk(0))
        for number in range(1, int(first["parts"]) if first else 0):
            await self._table.delete(pk, part_sk(number))
