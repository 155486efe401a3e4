"""What is wrong with a configuration, gathered so that all of it is said at once."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from tollkeeper.errors import ConfigError

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


NOWHERE = Place("", 0)
MAX_LINE = 500


@dataclass(frozen=True, slots=True)
class Finding:
    place: Place
    path: Path
    problem: str
    remedy: str

    def __str__(self) -> str:
        place = f"({self.place})" if self.place != NOWHERE else ""
        where = " ".join(part for part in (path_text(self.path), place) if part)
        return _one_line(": ".join(part for part in (where, "; ".join(part for part in (self.problem, self.remedy) if part)) if part))


def _one_line(text: str) -> str:
    """Names come from the file and may be anything; a finding stays one line of readable length."""
    shown = text if text.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return shown if len(shown) <= MAX_LINE else shown[: MAX_LINE - 1] + "…"


def in_order(findings: Iterable[Finding]) -> tuple[str, ...]:
    """As lines, each once, in the order of the file."""
    return tuple(dict.fromkeys(str(finding) for finding in sorted(findings, key=lambda finding: finding.place)))


@dataclass(slots=True)
class Findings:
    """Errors and warnings, each as `path (file:line): what is wrong; what to write`. Values of the file never go into one."""

    places: dict[Path, Place] = field(default_factory=dict)
    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    def error(self, path: Path, problem: str, remedy: str = "", *, place: Place | None = None) -> None:
        self.errors.append(Finding(place or self.place(path) or NOWHERE, path, problem, remedy))

    def warn(self, path: Path, problem: str, remedy: str = "") -> None:
        self.warnings.append(Finding(self.place(path) or NOWHERE, path, problem, remedy))

    def place(self, path: Path) -> Place | None:
        """Where the path is written or, for what is missing, what it is missing from."""
        return next((place for end in range(len(path), 0, -1) if (place := self.places.get(path[:end]))), None)

    def raise_if_any(self, name: str) -> None:
        """Raises ConfigError with every error found."""
        if self.errors:
            errors = in_order(self.errors)
            raise ConfigError(f"{name} has {len(errors)} error{'s' if len(errors) > 1 else ''}:", errors)


def path_text(path: Path) -> str:
    """("model_list", 0, "model_name") → model_list[0].model_name"""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def suggest(word: str, known: Iterable[str] | Mapping[str, object], cutoff: float = 0.6) -> str | None:
    """The known word nearest to `word`, if one is near."""
    return _nearest(word, tuple(sorted(known)), cutoff)


def did_you_mean(word: str, known: Iterable[str] | Mapping[str, object], otherwise: str = "") -> str:
    near = suggest(word, known)
    return f"did you mean {near}?" if near else otherwise


@lru_cache(maxsize=4096)
def _nearest(word: str, known: tuple[str, ...], cutoff: float) -> str | None:
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=cutoff)), None)
