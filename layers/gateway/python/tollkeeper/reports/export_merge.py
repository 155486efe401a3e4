"""A full export and the incremental ones that follow it, as the one state of the table that they come to.

The newest full export begins; what is older is in it already. Each later export replaces the items it names and removes those it calls
gone. Windows may overlap, for an item's last state is the same in both; a moment that no window covers could hide a change, and is refused.
Only keys are held in memory, and only those of what follows the first export.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from tollkeeper.clock import iso
from tollkeeper.reports.export_files import ExportUnusable, Key, Manifest, changes_of, manifest_of
from tollkeeper.store.table import Item

_TOLERANCE = 0.001
"""Times are written in milliseconds."""


def merged(folders: Sequence[Path]) -> Iterator[Item]:
    """Each item once, as the last export has it. Raises ExportUnusable, for exports with a gap between them, too."""
    chain = chain_of([manifest_of(folder) for folder in folders])
    last: dict[Key, int] = {}
    for number, manifest in enumerate(chain[1:], 1):
        last.update((key, number) for key, _ in changes_of(manifest))
    for number, manifest in enumerate(chain):
        for key, item in changes_of(manifest):
            if item is not None and last.get(key, 0) == number:
                yield item


def chain_of(manifests: Sequence[Manifest]) -> list[Manifest]:
    """What counts of them, in order. Raises ExportUnusable where a window is missing between two."""
    windows = sorted((each for each in manifests if each.incremental), key=lambda each: (each.end or 0, each.start or 0))
    slices = [each for each in manifests if each.slice and not each.incremental]
    fulls = sorted((each for each in manifests if not each.slice and not each.incremental), key=lambda each: each.end or 0)
    base = fulls[-1:]
    if slices and (base or windows):
        raise ExportUnusable(f"{slices[0].name} has some days of a ledger only: it cannot be joined with {(base or windows)[0].name}")
    if len(fulls) > 1 and base[0].end is None:
        raise ExportUnusable(f"{base[0].name} does not say when it was made: give one full export")
    follow = [each for each in windows if not base or (each.end or 0) > (base[0].end or 0)]
    _refuse_gaps([*base, *follow])
    return [*base, *slices, *follow]


def _refuse_gaps(chain: Sequence[Manifest]) -> None:
    for before, after in pairwise(chain):
        if before.end is None or after.start is None:
            raise ExportUnusable(f"{(before if before.end is None else after).name} does not say which time it covers")
        if after.start > before.end + _TOLERANCE:
            raise ExportUnusable(
                f"nothing is exported between {iso(before.end)} ({before.name}) and {iso(after.start)} ({after.name}): "
                "add the export of that time"
            )
