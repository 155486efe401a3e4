"""Which deployment to try next. No I/O: whoever runs it tells it how the last try went, it says what to do (failover.py does both).

Order within a group: tiers by `order`, inside a tier as the group's strategy says; a deployment that rests is passed over, one whose rest
is over may be the probe. A failed try goes to the next deployment; when all have been tried and retries are left, they are gone round
again after a back-off, as far as the retry budget allows. Then come the fallback groups, of the kind that fits the last error. Where every
deployment rests and no fallback is left, one that only had transient faults is tried all the same (`tollkeeper.routing.all_open`): a
breaker that is wrong must not be an outage. https://docs.litellm.ai/docs/routing
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tollkeeper.config.snapshot import Deployment, Snapshot
from tollkeeper.errors import (
    BadRequest,
    ContentPolicyViolation,
    ContextWindowExceeded,
    NoDeployment,
    TollkeeperError,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamQuotaExceeded,
    UpstreamRateLimited,
)
from tollkeeper.routing.faults import is_missing, kind_of
from tollkeeper.routing.filters import prompt_tokens, roomy, tagged, tags_of
from tollkeeper.routing.health import ALWAYS_WELL, Health, Passage, Trial
from tollkeeper.routing.resolve import ModelGroup
from tollkeeper.routing.strategies import Scene, ordered

MAX_RETRIES = 20
_OURS_AT_THE_PROVIDER = (UpstreamAuthFailed, UpstreamQuotaExceeded)
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: at which deployment, after how many seconds of waiting, and whether it left the group that was asked for."""

    deployment: Deployment
    delay: float = 0.0
    fallback: bool = False
    trial: Trial = ""
    group: ModelGroup | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What routing has to know of a request. `tokens` asks for a low estimate of its prompt."""

    tags: tuple[str, ...] = ()
    streamed: bool = False
    tokens: Callable[[], int] = lambda: 0


_NOTHING_ASKED = Asked()


@dataclass(slots=True)
class _Round:
    """A group on its way to being used up. `place` counts through `rows` again and again; `used` are the tries that were made."""

    group: ModelGroup
    rows: Sequence[Deployment]
    fallback: bool
    place: int = 0
    lap: int = 0
    used: int = 0
    spent: set[str] = field(default_factory=set)
    """Deployments that will not do for this request, however often they are asked."""


class Plan:
    """The tries of one request. Call `first`, then `after(error)` until it returns None; `passed_over` for a try that may not begin.

    Raises ContextWindowExceeded or Forbidden where no deployment may take the request at all.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        group: ModelGroup,
        find: Callable[[str], ModelGroup | None],
        random: Random,
        *,
        fallbacks: Sequence[str] | None = None,
        num_retries: int | None = None,
        asked: Asked = _NOTHING_ASKED,
        health: Health = ALWAYS_WELL,
    ) -> None:
        self._snapshot = snapshot
        self._group = group
        self._find = find
        self._random = random
        self._own_fallbacks = fallbacks
        self._asked = asked
        self._retries = snapshot.num_retries if num_retries is None else num_retries
        self._error: UpstreamError | None = None
        self._fallback_groups: Iterator[ModelGroup] | None = None
        self._bypassed = False
        self._waits: list[float] = []
        self._now: _Round | None = None
        self._last: Attempt | None = None
        self.health = health
        self.passage: Passage | None = None
        self.tries = 0
        self.fallbacks_used = 0
        self._fitting = {group.name: self._may_serve(group)}
        self.alternatives = len(group.deployments) > 1 or bool(self._names())
        """There is somewhere else to go, so that a breaker makes sense."""
        if not self._fitting[group.name]:
            self._error = _too_long(group)
            if not self.deployments():
                raise self._error

    def deployments(self) -> list[Deployment]:
        """Everything this request could reach: what a budget has to be able to pay for."""
        return list({row.id + row.model: row for row in self._reachable()}.values())

    def watched(self) -> list[Deployment]:
        """Whose health this plan goes by from the start. After a failure it goes by that of all `deployments()`."""
        return list(self._group.deployments) if self.alternatives or self._group.policy.counts_at_end else []

    def first(self) -> Attempt:
        """Raises NoDeployment when every deployment rests and nothing is left."""
        self.health.asked()
        if rows := self._fitting[self._group.name]:
            self._now = self._round(self._group, rows, fallback=False)
        return self._chosen(self._within(0) or self._elsewhere() or self._bypass())

    def passed_over(self, attempt: Attempt, wait: float) -> Attempt:
        """`attempt` may not begin for `wait` seconds: somebody else has its probe, or its limits are used up. Raises as `first` does."""
        self.tries -= 1
        self._waits.append(wait)
        if (now := self._now) is not None and attempt.trial != "bypass":
            now.used -= 1
            now.spent.add(attempt.deployment.id)
        return self._chosen(self._within(self._allowed(self._error)) or self._elsewhere() or self._bypass())

    def after(self, error: TollkeeperError) -> Attempt | None:
        """The next try, or None: the error is the caller's answer."""
        if not isinstance(error, UpstreamError):
            return None
        self._error = error
        if self._now is not None and self._last is not None and self._ours(error):
            self._now.spent.add(self._last.deployment.id)
        attempt = self._within(self._allowed(error)) or self._elsewhere()
        if attempt is None and error.retryable:
            attempt = self._bypass()
        self._last = attempt
        self.tries += attempt is not None
        return attempt

    def passage_for(self, attempt: Attempt) -> Passage:
        """What `health` is told of a try."""
        deployment, group = attempt.deployment, attempt.group or self._group
        watched = self.alternatives and not group.policy.disable_cooldowns
        rules = group.policy.rules_for(deployment, peers=len(group.deployments) > 1) if watched else None
        tokens = self._asked.tokens() if group.policy.counts_at_start else 0
        return Passage(deployment, group.policy, rules, attempt.trial, self._asked.streamed, tokens)

    def _chosen(self, attempt: Attempt | None) -> Attempt:
        self.tries += 1
        self._last = attempt
        if attempt is not None:
            return attempt
        if self._error is not None:
            raise self._error
        raise self._nothing_left()

    def _allowed(self, error: UpstreamError | None) -> int:
        """How many retries the group gets for this error: retry_policy overrides every other rule."""
        if error is None:
            return 0
        group = self._now.group if self._now else self._group
        policy = group.policy.retries_for(kind_of(error))
        if policy is not None:
            return policy
        return self._retries if self._try_again(error) else 0

    def _try_again(self, error: UpstreamError) -> bool:
        """A refusal of the request itself would be repeated by every deployment of the same model."""
        if self._ours(error):
            return len(self._group.deployments) > 1
        return error.retryable and error.extra.get("retryable", True) is not False

    def _ours(self, error: UpstreamError) -> bool:
        """What we have at the provider is the trouble (account, model name): that deployment will not do, another may."""
        return isinstance(error, _OURS_AT_THE_PROVIDER) or (self._last is not None and is_missing(error, self._last.deployment))

    def _round(self, group: ModelGroup, rows: Sequence[Deployment], *, fallback: bool) -> _Round:
        turn = self.health.turn(group.name) if group.policy.strategy.startswith("round") else 0
        scene = Scene(self._random, self.health.statistics, turn, self._asked.streamed, group.policy.args)
        return _Round(group, ordered(rows, group.policy.strategy, scene), fallback)

    def _within(self, retries: int) -> Attempt | None:
        """The next try in the group at hand, if it may have `retries`."""
        now = self._now
        if now is None or now.used > retries:
            return None
        # One whole turn without a deployment that stands: there is none.
        for _ in range(len(now.rows)):
            lap, index = divmod(now.place, len(now.rows))
            row = now.rows[index]
            standing = self.health.standing(row)
            now.place += 1
            if row.id in now.spent or (self.alternatives and standing.resting):
                continue
            if lap and not self._may_repeat(now):
                return None
            now.used += 1
            trial: Trial = "probe" if standing.due and self.alternatives else ""
            return Attempt(row, self._backoff(now, lap), now.fallback, trial, now.group)
        return None

    def _may_repeat(self, now: _Round) -> bool:
        # Where it was told to wait and there is a fallback, the fallback is quicker.
        told_to_wait = isinstance(self._error, UpstreamRateLimited) and now.group.policy.retries_for("RateLimit") is None
        if told_to_wait and not now.fallback and self._names(self._error):
            return False
        return self.health.may_repeat()

    def _backoff(self, now: _Round, lap: int) -> float:
        """Before each lap but the first."""
        if lap == now.lap:
            return 0.0
        now.lap = lap
        return max(BACKOFF_SECONDS[min(lap, len(BACKOFF_SECONDS)) - 1] * self._random.uniform(0.5, 1.0), now.group.policy.retry_after)

    def _elsewhere(self) -> Attempt | None:
        """The first try in the next fallback group that has one."""
        while (group := self._next_fallback()) is not None:
            if rows := self._may_serve(group, strict=False):
                self._now = self._round(group, rows, fallback=True)
                if (attempt := self._within(0)) is not None:
                    return attempt
        return None

    def _bypass(self) -> Attempt | None:
        """Once: a deployment that rests for transient faults, of the first group that has one."""
        if self._bypassed or self._group.policy.all_open == "refuse" or not self.alternatives:
            return None
        self._bypassed = True
        for group in (self._group, *self._fallbacks()):
            rows = [row for row in self._may_serve(group, strict=False) if self._rests_for_now(row)]
            if rows:
                fallback = group is not self._group
                return Attempt(self._random.choice(rows), 0.0, fallback, "bypass", group) if self.health.may_repeat() else None
        return None

    def _rests_for_now(self, row: Deployment) -> bool:
        standing = self.health.standing(row)
        return standing.open and standing.reason == "transient"

    def _nothing_left(self) -> NoDeployment:
        """In LiteLLM's words, which its clients look for."""
        standings = [(row, self.health.standing(row)) for row in self._fitting[self._group.name]]
        cooling = [(row.id, standing.wait) for row, standing in standings if standing.open]
        wait = max(min((*(seconds for _, seconds in cooling), *self._waits), default=0.0), 1.0)
        return NoDeployment(
            f"No deployments available for selected model, Try again in {wait:.0f} seconds. Passed model={self._group.name}. "
            f"pre-call-checks={self._group.policy.context_checks}, cooldown_list={[name for name, _ in cooling]}",
            code="429",
            retry_after=wait,
        )

    def _may_serve(self, group: ModelGroup, *, strict: bool = True) -> list[Deployment]:
        """`strict`: raises Forbidden where tags leave nothing; a fallback group is passed over instead."""
        rows: list[Deployment] = list(group.deployments)
        if group.policy.tag_filtering:
            try:
                rows = tagged(rows, self._asked.tags, match_any=group.policy.tag_match_any)
            except TollkeeperError:
                if strict:
                    raise
                return []
        return roomy(rows, self._asked.tokens()) if group.policy.context_checks else rows

    def _reachable(self) -> Iterable[Deployment]:
        names = {
            *(self._own_fallbacks or ()),
            *self._listed(None),
            *self._listed(ContextWindowExceeded("")),
            *self._listed(ContentPolicyViolation("")),
        }
        yield from self._fitting[self._group.name]
        for name in names:
            if (group := self._find(name)) is not None:
                yield from self._may_serve(group, strict=False)

    def _next_fallback(self) -> ModelGroup | None:
        if self._fallback_groups is None:
            self._fallback_groups = iter(self._fallbacks())
        group = next(self._fallback_groups, None)
        self.fallbacks_used += group is not None
        return group

    def _fallbacks(self) -> list[ModelGroup]:
        groups = [group for name in self._names(self._error) if (group := self._find(name)) is not None]
        return groups[: self._group.policy.max_fallbacks]

    def _names(self, error: UpstreamError | None = None) -> list[str]:
        """Of the fallbacks that apply."""
        names = self._own_fallbacks if self._own_fallbacks is not None else self._listed(error)
        return [name for name in names if name != self._group.name]

    def _listed(self, error: UpstreamError | None) -> Sequence[str]:
        """The configured chain for this kind of failure; a request that was refused as such has one only if a list is for that."""
        snapshot, name = self._snapshot, self._group.name
        if isinstance(error, ContextWindowExceeded) and (chain := _chain(snapshot.context_window_fallbacks, name)):
            return chain
        if isinstance(error, ContentPolicyViolation) and (chain := _chain(snapshot.content_policy_fallbacks, name)):
            return chain
        refused = error is not None and not self._try_again(error) and not self._ours(error)
        if refused and not isinstance(error, ContextWindowExceeded):
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
    asked = Asked(tags_of(body, headers), bool(body.get("stream")), lambda: prompt_tokens(body))
    return {"fallbacks": fallbacks, "num_retries": None if retries is None else int(retries), "asked": asked}


def _too_long(group: ModelGroup) -> ContextWindowExceeded:
    message = f"The prompt is longer than the context window of every deployment of {group.name}."
    return ContextWindowExceeded(message, code="context_length_exceeded")


def _chain(chains: dict[str, tuple[str, ...]], name: str) -> tuple[str, ...]:
    return chains.get(name) or chains.get("*", ())
