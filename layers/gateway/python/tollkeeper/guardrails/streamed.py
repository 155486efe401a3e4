"""The texts of a stream that is whole: the pieces of each text put together, and a changed text put back in its first piece's place."""

from collections.abc import Sequence
from typing import Any

import orjson

from tollkeeper.dialects.base import Chunk
from tollkeeper.guardrails.texts import ANSWERED, Slot, forget_logprobs, slots_of

_DATA = b"data: "


class Whole:
    """`texts` are those of the stream, each once. `put` changes its chunks, in the order of `texts`."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._chunks = chunks
        self._pieces: dict[tuple[Any, ...], list[tuple[Chunk, Slot]]] = {}
        for chunk in chunks:
            for slot in slots_of(chunk.data, ANSWERED):
                self._pieces.setdefault(slot.place, []).append((chunk, slot))
        self.texts = ["".join(slot.text for _, slot in pieces) for pieces in self._pieces.values()]

    def put(self, texts: Sequence[str]) -> None:
        changed: dict[int, Chunk] = {}
        for before, after, pieces in zip(self.texts, texts, self._pieces.values(), strict=True):
            if before == after:
                continue
            for number, (chunk, slot) in enumerate(pieces):
                slot.put("" if number else after)
                changed[id(chunk)] = chunk
        if changed:
            self._forget_logprobs(changed)
        for chunk in changed.values():
            if chunk.raw is not None:
                chunk.raw = _said_anew(chunk.raw, orjson.dumps(chunk.data))
        self.texts = list(texts)

    def _forget_logprobs(self, changed: dict[int, Chunk]) -> None:
        for chunk in self._chunks:
            if any(row.get("logprobs") for row in chunk.data.get("choices") or () if isinstance(row, dict)):
                forget_logprobs(chunk.data)
                changed[id(chunk)] = chunk


def _said_anew(raw: bytes, data: bytes) -> bytes:
    """The same event, or bare JSON, with other data."""
    if raw[:1] in {b"{", b"["}:
        return data
    head = [line for line in raw.rstrip(b"\n").split(b"\n") if not line.startswith(b"data:")]
    return b"\n".join([*head, _DATA + data]) + b"\n\n"
