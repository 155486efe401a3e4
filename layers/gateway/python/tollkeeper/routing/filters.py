"""Which deployments of a group a request may be sent to at all, before any is chosen; of the others, why not.

Each filter names those it drops. The first that leaves none says what the caller is told.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from tollkeeper.config.snapshot import AccessWindow, Deployment
from tollkeeper.errors import BadRequest, ContextWindowExceeded, Forbidden, TollkeeperError
from tollkeeper.routing.asked import Asked
from tollkeeper.routing.policy import GroupPolicy

DEFAULT_TAG = "default"
LONGEST_PHRASE = 512
_DAY = 24 * 60


@dataclass(slots=True)
class Sifted:
    """`dropped` maps the ids of the others to the reason. `refusal` is what to tell a caller for whom nothing is left."""

    rows: list[Deployment]
    dropped: dict[str, str] = field(default_factory=dict)
    refusal: TollkeeperError | None = None

    def keep(self, kept: Sequence[Deployment], why: Callable[[Deployment], str], refusal: Callable[[], TollkeeperError]) -> None:
        if len(kept) == len(self.rows):
            return
        ids = {id(row) for row in kept}
        self.dropped |= {row.id: why(row) for row in self.rows if id(row) not in ids}
        self.rows = list(kept)
        if not self.rows:
            self.refusal = refusal()


def sift(name: str, rows: Iterable[Deployment], policy: GroupPolicy, asked: Asked) -> Sifted:
    """`name` is the group's."""
    sifted = Sifted(list(rows))
    for sieve in (_permitted, _tagged, _in_their_hours, _able, _roomy):
        if sifted.rows:
            sieve(name, sifted, policy, asked)
    return sifted


def _permitted(name: str, sifted: Sifted, policy: GroupPolicy, asked: Asked) -> None:
    rules = (*policy.require, *asked.require)
    if not rules:
        return

    def why(row: Deployment) -> str:
        broken = next(rule for rule in rules if not rule.met_by(row))
        value = row.labels.get(broken.label)
        return f"its {broken.label} is {'not known' if value is None else value}, and {broken.words()} is required"

    def refusal() -> TollkeeperError:
        wanted = ", ".join(dict.fromkeys(rule.words() for rule in rules))
        return Forbidden(
            f"No deployment of {name} may take this request: {wanted} is required.",
            type="routing_requirement_unmet",
            code="no_permitted_deployment",
            param="model",
        )

    sifted.keep([row for row in sifted.rows if all(rule.met_by(row) for rule in rules)], why, refusal)


def _tagged(name: str, sifted: Sifted, policy: GroupPolicy, asked: Asked) -> None:
    """Those whose tags fit, else those whose pattern does, else those tagged `default`; a request without any gets those, or all."""
    if not policy.tag_filtering:
        return
    rows, tags = sifted.rows, asked.tags
    defaults = [row for row in rows if DEFAULT_TAG in row.tags]
    fitting = [row for row in rows if tags and _tags_fit(row, tags, match_any=policy.tag_match_any)]
    fitting = fitting or [row for row in rows if _patterns_fit(row, asked)]
    untagged = list(rows) if not tags else []

    def refusal() -> TollkeeperError:
        message = f"Not allowed to access model due to tags configuration. Passed model={name} and tags={list(tags)}"
        return Forbidden(message, status=401, type="auth_error")

    sifted.keep(fitting or defaults or untagged, lambda row: f"its tags are {list(row.tags)}, the request's {list(tags)}", refusal)


def _in_their_hours(name: str, sifted: Sifted, policy: GroupPolicy, asked: Asked) -> None:
    if not any(row.access_windows for row in sifted.rows):
        return
    kept = [row for row in sifted.rows if not row.access_windows or any(within(window, asked.at) for window in row.access_windows)]
    refusal = Forbidden(
        f"No deployment of {name} may be used at this hour.", type="outside_access_window", code="outside_access_window", param="model"
    )
    sifted.keep(kept, lambda row: "it is outside its access_windows", lambda: refusal)


def _able(name: str, sifted: Sifted, policy: GroupPolicy, asked: Asked) -> None:
    """Those that are said to lack what the request needs go; with a strategy or checks that ask for it, all of them if it must be."""
    if not any(row.lacks for row in sifted.rows):
        return
    needs = asked.needs()
    kept = [row for row in sifted.rows if not needs.intersection(row.lacks)]
    if not kept and not (policy.context_checks or policy.by_capability):
        return
    refusal = BadRequest(
        f"No deployment of {name} supports what this request needs: {', '.join(sorted(needs))}.",
        param="model",
        code="unsupported_capability",
    )
    sifted.keep(kept, lambda row: f"it lacks {', '.join(sorted(needs.intersection(row.lacks)))}", lambda: refusal)


def _roomy(name: str, sifted: Sifted, policy: GroupPolicy, asked: Asked) -> None:
    """Those whose context window takes the prompt; one whose window is unknown may."""
    if not policy.context_checks:
        return
    tokens = asked.tokens()
    kept = [row for row in sifted.rows if row.max_input_tokens is None or tokens <= row.max_input_tokens]

    def refusal() -> TollkeeperError:
        message = f"The prompt is longer than the context window of every deployment of {name}."
        return ContextWindowExceeded(message, code="context_length_exceeded")

    sifted.keep(kept, lambda row: f"the prompt has {tokens} tokens at least, its window {row.max_input_tokens}", refusal)


def within(window: AccessWindow, at: float) -> bool:
    """Whether a moment (epoch seconds) lies in the window. One that runs over midnight belongs to the day it begins on."""
    moment = datetime.fromtimestamp(at, ZoneInfo(window.zone))
    minute, day = moment.hour * 60 + moment.minute, moment.weekday()
    if window.start < window.end:
        return day in window.days and window.start <= minute < window.end
    return (day in window.days and minute >= window.start) or ((day - 1) % 7 in window.days and minute < window.end % _DAY)


def _tags_fit(row: Deployment, tags: Sequence[str], *, match_any: bool) -> bool:
    fitting = (tag in row.tags for tag in tags)
    return any(fitting) if match_any else all(fitting)


def _patterns_fit(row: Deployment, asked: Asked) -> bool:
    texts = (*asked.tags, *asked.phrases)
    return any(_compiled(pattern).search(text[:LONGEST_PHRASE]) for pattern in row.tag_regex for text in texts)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
