"""Which deployment to try next. No I/O: the pipeline tells it how the last try went, it says what to do.

Order within a group: tiers by `order`, inside a tier a weighted shuffle (`weight`, else `rpm`, else `tpm`, as LiteLLM's simple-shuffle).
A failed try goes to the next deployment of the group; when all have been tried and retries are left, they are gone round again after a
back-off. Then come the fallback groups, of the kind that fits the last error. https://docs.litellm.ai/docs/routing
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tollkeeper.config.snapshot import Deployment, Snapshot
from tollkeeper.errors import (
    BadRequest,
    ContentPolicyViolation,
    ContextWindowExceeded,
    TollkeeperError,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamQuotaExceeded,
)
from tollkeeper.routing.resolve import ModelGroup

MAX_FALLBACKS = 5
MAX_RETRIES = 20
_OURS_AT_THE_PROVIDER = (UpstreamAuthFailed, UpstreamQuotaExceeded)
"""Our account there is the trouble: the same deployment will not do, another may."""
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: at which deployment, after how many seconds of waiting, and whether it left the group that was asked for."""

    deployment: Deployment
    delay: float = 0.0
    fallback: bool = False


class Plan:
    """The tries of one request. Call `first`, then `after(error)` until it returns None."""

    def __init__(
        self,
        snapshot: Snapshot,
        group: ModelGroup,
        find: Callable[[str], ModelGroup | None],
        random: Random,
        *,
        fallbacks: Sequence[str] | None = None,
        num_retries: int | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._group = group
        self._find = find
        self._random = random
        self._own_fallbacks = fallbacks
        self._retries = snapshot.num_retries if num_retries is None else num_retries
        self._rounds = self._round(group, fallback=False)
        self._fallback_groups: Iterator[ModelGroup] | None = None
        self.tries = 0
        self.fallbacks_used = 0

    def deployments(self) -> list[Deployment]:
        """Everything this request could reach: what a budget has to be able to pay for."""
        names = {
            *(self._own_fallbacks or ()),
            *self._listed(None),
            *self._listed(ContextWindowExceeded("")),
            *self._listed(ContentPolicyViolation("")),
        }
        groups = [self._group, *(found for name in names if (found := self._find(name)))]
        return list({row.id + row.model: row for group in groups for row in group.deployments}.values())

    def first(self) -> Attempt:
        self.tries += 1
        return next(self._rounds)

    def after(self, error: TollkeeperError) -> Attempt | None:
        """The next try, or None: the error is the caller's answer."""
        if not isinstance(error, UpstreamError):
            return None
        attempt = next(self._rounds, None) if self._try_again(error) else None
        while attempt is None and (group := self._next_fallback(error)) is not None:
            self._rounds = self._round(group, fallback=True)
            attempt = next(self._rounds, None)
        self.tries += attempt is not None
        return attempt

    def _try_again(self, error: UpstreamError) -> bool:
        """A refusal of the request itself would be repeated by every deployment of the same model."""
        if isinstance(error, _OURS_AT_THE_PROVIDER):
            return len(self._group.deployments) > 1
        return error.retryable and error.extra.get("retryable", True) is not False

    def _round(self, group: ModelGroup, *, fallback: bool) -> Iterator[Attempt]:
        order = self._shuffled(group.deployments)
        for count in range(1 + self._retries):
            lap, place = divmod(count, len(order))
            backoff = BACKOFF_SECONDS[min(lap, len(BACKOFF_SECONDS)) - 1] * self._random.uniform(0.5, 1.0) if lap and place == 0 else 0.0
            yield Attempt(order[place], backoff, fallback)

    def _shuffled(self, rows: Sequence[Deployment]) -> list[Deployment]:
        """Efraimidis and Spirakis' weighted order: key = u^(1/w), largest first; a weight of 0 comes last."""
        weights = _weights(rows)
        keys = [
            (row.order, -(self._random.random() ** (1 / weight)) if weight > 0 else 1.0) for row, weight in zip(rows, weights, strict=True)
        ]
        return [rows[index] for index in sorted(range(len(rows)), key=lambda index: keys[index])]

    def _next_fallback(self, error: UpstreamError) -> ModelGroup | None:
        if self._fallback_groups is None:
            names = self._own_fallbacks if self._own_fallbacks is not None else self._listed(error)
            groups = [group for name in names if name != self._group.name and (group := self._find(name)) is not None]
            self._fallback_groups = iter(groups[:MAX_FALLBACKS])
        group = next(self._fallback_groups, None)
        self.fallbacks_used += group is not None
        return group

    def _listed(self, error: UpstreamError | None) -> Sequence[str]:
        """The configured chain for this kind of failure; a request that was refused as such has one only if a list is for that."""
        snapshot, name = self._snapshot, self._group.name
        if isinstance(error, ContextWindowExceeded) and (chain := _chain(snapshot.context_window_fallbacks, name)):
            return chain
        if isinstance(error, ContentPolicyViolation) and (chain := _chain(snapshot.content_policy_fallbacks, name)):
            return chain
        if error is not None and not self._try_again(error) and not isinstance(error, (*_OURS_AT_THE_PROVIDER, ContextWindowExceeded)):
            return ()
        return _chain(snapshot.fallbacks, name) or snapshot.default_fallbacks


def wishes(body: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """What the request itself asks of routing, in LiteLLM's words, as arguments of `Plan`. Raises BadRequest naming the field."""
    fallbacks = [] if body.get("disable_fallbacks") else body.get("fallbacks")
    if fallbacks is not None and not (isinstance(fallbacks, list) and all(isinstance(name, str) for name in fallbacks)):
        raise BadRequest("'fallbacks' must be an array of model names.", param="fallbacks")
    retries = body.get("num_retries", headers.get("x-litellm-num-retries"))
    if retries is not None and not (str(retries).isdecimal() and int(retries) <= MAX_RETRIES):
        raise BadRequest(f"'num_retries' must be a whole number from 0 to {MAX_RETRIES}.", param="num_retries")
    return {"fallbacks": fallbacks, "num_retries": None if retries is None else int(retries)}


def _chain(chains: dict[str, tuple[str, ...]], name: str) -> tuple[str, ...]:
    return chains.get(name) or chains.get("*", ())


def _weights(rows: Sequence[Deployment]) -> list[float]:
    """LiteLLM's precedence: explicit weights if any row has one, else rpm, else tpm, else even."""
    columns: tuple[list[float | None], ...] = ([row.weight for row in rows], [row.rpm for row in rows], [row.tpm for row in rows])
    for values in columns:
        if any(value is not None for value in values):
            return [float(value or 0) for value in values]
    return [1.0] * len(rows)
