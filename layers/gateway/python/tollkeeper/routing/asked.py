"""What routing has to know of a request and of who sends it. Costly facts are functions: most groups never ask for them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tollkeeper.config.notation import requirements
from tollkeeper.config.snapshot import Deployment
from tollkeeper.errors import BadRequest, ConfigError

NO_NEEDS: frozenset[str] = frozenset()
REQUIRE_HEADER = "x-tollkeeper-require"


@dataclass(frozen=True, slots=True)
class Requirement:
    """A label a deployment must have, and what it may be. `source` is who says so: `team legal`, `the request`."""

    label: str
    allowed: tuple[Any, ...]
    source: str

    def met_by(self, row: Deployment) -> bool:
        return row.satisfies(self.label, self.allowed)

    def words(self) -> str:
        return f"{self.label}={'|'.join(_word(value) for value in self.allowed)} ({self.source})"


@dataclass(frozen=True, slots=True)
class Asked:
    """`tokens` is a low estimate of the prompt; `phrases` what a deployment's tag_regex is looked for in; `at` epoch seconds."""

    tags: tuple[str, ...] = ()
    streamed: bool = False
    tokens: Callable[[], int] = lambda: 0
    needs: Callable[[], frozenset[str]] = lambda: NO_NEEDS
    require: tuple[Requirement, ...] = ()
    phrases: tuple[str, ...] = ()
    at: float = 0.0
    rehearsal: bool = False
    """The caller decides how its tries go (mock_response): they say nothing of a deployment's health."""


NOTHING_ASKED = Asked()


def required(value: Any, source: str) -> list[Requirement]:
    """The requirements in a record's metadata or in the settings.

    A rule that cannot be read must not be passed over: raises ConfigError (ours to mend), which no caller can mistake for an answer.
    """
    try:
        return [] if value is None else [Requirement(label, allowed, source) for label, allowed in requirements(value).items()]
    except ValueError as error:
        raise ConfigError(f"The `require` of {source} cannot be read: it {error}.") from None


def asked_for(body: Mapping[str, Any], headers: Mapping[str, str]) -> list[Requirement]:
    """The request's own: the header `x-tollkeeper-require` and `metadata.require`. Raises BadRequest."""
    metadata = body.get("metadata")
    named: Sequence[tuple[str, Any]] = (
        (REQUIRE_HEADER, headers.get(REQUIRE_HEADER)),
        ("metadata.require", metadata.get("require") if isinstance(metadata, dict) else None),
    )
    found = []
    for name, value in named:
        try:
            found += [] if value is None else [Requirement(label, allowed, "the request") for label, allowed in requirements(value).items()]
        except ValueError as error:
            raise BadRequest(f"'{name}' {error}.", param=name) from None
    return found


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
