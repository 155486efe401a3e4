"""How answers are shown: a table for people, the same columns in plain text for pipes, or the gateway's JSON."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress as Bar
from rich.table import Table

from tollkeeper.dev.directory import Progress
from tollkeeper.errors import BadRequest

Row = Mapping[str, Any]


def table(rows: Sequence[Row], columns: Sequence[str]) -> None:
    """One line a row; what a row does not have is `-`."""
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    if not sys.stdout.isatty():
        return _plain([list(columns), *cells])
    drawn = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for line in cells:
        drawn.add_row(*line)
    return Console(highlight=False, markup=False).print(drawn)


def record(row: Row) -> None:
    """One field a line, those that say something."""
    table([{"field": name, "value": value} for name, value in row.items() if value not in (None, [], {}, "")], ("field", "value"))


def as_json(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")


def write(text: str, file: Path | None) -> None:
    """To the file, or to stdout."""
    if file is None:
        sys.stdout.write(text)
    else:
        file.write_text(text, encoding="utf-8")


def private(path: Path) -> Path:
    """A file of its owner's only, made before any key is, so that none is made which cannot be kept."""
    if path.exists():
        raise BadRequest(f"{path} is there already; new keys are not written over old ones.")
    path.touch(mode=0o600)
    return path


@contextmanager
def progress(word: str) -> Iterator[Progress]:
    """A bar on stderr where somebody is looking, nothing elsewhere."""
    with Bar(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(word, total=None)
        yield _moved(bar, task)


def _moved(bar: Bar, task: Any) -> Callable[[int, int], None]:
    return lambda done, total: bar.update(task, completed=done, total=total)


def _plain(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
