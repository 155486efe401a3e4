"""Is an input file a batch? Every line is looked at before any is run, so that nothing is paid for a file that breaks half-way."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from tollkeeper.batches.lines import Line, LineFault, LineSplitter, LineTooLong, RawLine, line_of

MAX_LINES = 50_000
"""OpenAI's own limit. https://platform.openai.com/docs/guides/batch#rate-limits"""
MAX_FAULTS = 100
_DIGEST_BYTES = 16

Judge = Callable[[Line], Awaitable[LineFault | None]]
"""What the endpoint and the key say to a line that is well formed."""


@dataclass(slots=True)
class Checked:
    total: int = 0
    faults: list[LineFault] = field(default_factory=list)
    models: set[str] = field(default_factory=set)
    needs: set[str] = field(default_factory=set)
    """Features that some line uses, and that not everybody who runs batches has: `tools`, `schema`."""


async def lines_of(blocks: AsyncIterator[bytes], line: int = 0, offset: int = 0) -> AsyncIterator[RawLine]:
    """The lines of a file from a checkpoint on; `blocks` begin at `offset`. Raises LineTooLong."""
    splitter = LineSplitter(line, offset)
    async for block in blocks:
        for raw in splitter.feed(block):
            yield raw
    for raw in splitter.close():
        yield raw


async def check_file(blocks: AsyncIterator[bytes], endpoint: str, judge: Judge) -> Checked:
    """Bounded memory: of a line only the digest of its custom_id stays. Stops at `MAX_FAULTS`."""
    checked, known = Checked(), set[bytes]()
    try:
        async for raw in lines_of(blocks):
            checked.total += 1
            if checked.total > MAX_LINES:
                checked.faults.append(LineFault("too_many_requests", f"A batch has at most {MAX_LINES:,} requests.", raw.number))
                break
            if (fault := await _fault(raw, endpoint, known, checked, judge)) is not None:
                checked.faults.append(fault)
                if len(checked.faults) >= MAX_FAULTS:
                    break
    except LineTooLong as long:
        checked.faults.append(LineFault("line_too_long", f"Line {long.number} is too long for one request.", long.number))
    if not checked.total and not checked.faults:
        checked.faults.append(LineFault("empty_file", "The input file has no requests."))
    return checked


async def _fault(raw: RawLine, endpoint: str, known: set[bytes], checked: Checked, judge: Judge) -> LineFault | None:
    line = line_of(raw, endpoint)
    if isinstance(line, LineFault):
        return line
    digest = blake2b(line.custom_id.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).digest()
    if digest in known:
        message = f"Line {line.number}: the custom_id {line.custom_id[:100]!r} has been used before; each must be unique in its batch."
        return LineFault("duplicate_custom_id", message, line.number, "custom_id")
    known.add(digest)
    checked.models.add(line.body["model"])
    checked.needs |= _needs_of(line.body)
    return await judge(line)


def _needs_of(body: Mapping[str, Any]) -> set[str]:
    wanted, metadata = body.get("response_format"), body.get("metadata")
    used = {
        "tools": body.get("tools") or body.get("functions"),
        "schema": isinstance(wanted, dict) and wanted.get("type") == "json_schema",
        "guardrails": body.get("guardrails") or (isinstance(metadata, dict) and metadata.get("guardrails")),
    }
    return {name for name, is_used in used.items() if is_used}
