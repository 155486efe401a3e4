"""Which deployment to try next. No I/O: whoever runs it tells it how the last try went, it says what to do (failover.py does both).

Order within a group: tiers by `order`, inside a tier as the group's strategy says; a deployment that rests is passed over, one whose rest
is over may be the probe. A failed try goes to the next deployment; when all have been tried and retries are left, they are gone round
again after a back-off, as far as the retry budget allows. Then come the fallback groups, of the kind that fits the last error. Where every
deployment rests and no fallback is left, one that only had transient faults is tried all the same (`tollkeeper.routing.all_open`): a
breaker that is wrong must not be an outage. https://docs.litellm.ai/docs/routing

What a request may not be sent to (filters.py) is in none of it: not in a fallback, not in a bypass.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from tollkeeper.config.snapshot import Deployment, Snapshot
from tollkeeper.errors import (
    Forbidden,
    NoDeployment,
    TollkeeperError,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamQuotaExceeded,
    UpstreamRateLimited,
)
from tollkeeper.routing.asked import NOTHING_ASKED, Asked
from tollkeeper.routing.chains import Chains, OwnChains
from tollkeeper.routing.faults import is_missing, kind_of, same_credential
from tollkeeper.routing.filters import Sifted, sift
from tollkeeper.routing.health import ALWAYS_WELL, Health, Passage, Trial
from tollkeeper.routing.record import Record
from tollkeeper.routing.resolve import ModelGroup
from tollkeeper.routing.retries import backoff
from tollkeeper.routing.strategies import Scene, arranged

_OURS_AT_THE_PROVIDER = (UpstreamAuthFailed, UpstreamQuotaExceeded)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: at which deployment, after how many seconds of waiting, and whether it left the group that was asked for.

    `last`: there is nowhere to go from here, so that patience is better than none.
    """

    deployment: Deployment
    delay: float = 0.0
    fallback: bool = False
    trial: Trial = ""
    group: ModelGroup | None = None
    last: bool = True


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

    Raises Forbidden, BadRequest or ContextWindowExceeded where no deployment may take the request at all.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        group: ModelGroup,
        find: Callable[[str], ModelGroup | None],
        random: Random,
        *,
        chains: OwnChains | None = None,
        num_retries: int | None = None,
        asked: Asked = NOTHING_ASKED,
        health: Health = ALWAYS_WELL,
    ) -> None:
        self._group = group
        self._find = find
        self._random = random
        self._asked = asked
        self._retries = next(count for count in (num_retries, group.policy.num_retries, snapshot.num_retries) if count is not None)
        self._chains = Chains(snapshot, group.name, chains or OwnChains())
        self._error: TollkeeperError | None = None
        self._fallback_groups: Iterator[ModelGroup] | None = None
        self._bypassed = False
        self._waits: list[float] = []
        self._now: _Round | None = None
        self._last: Attempt | None = None
        self._slow: _Round | None = None
        self.health = health
        self.passage: Passage | None = None
        self.tries = 0
        self.fallbacks_used = 0
        sifted = sift(group.name, group.deployments, group.policy, asked)
        self._fitting = sifted.rows
        self.record = Record(group.name, group.policy.strategy, dropped=sifted.dropped)
        self.alternatives = len(group.deployments) > 1 or bool(self._names())
        """There is somewhere else to go, so that a breaker makes sense."""
        if sifted.refusal is not None:
            self._refuse(sifted)

    def _refuse(self, sifted: Sifted) -> None:
        """As LiteLLM, tags do not lead to a fallback; anything else may."""
        self._error = sifted.refusal
        tags = isinstance(sifted.refusal, Forbidden) and sifted.refusal.status == 401
        if sifted.refusal is not None and (tags or not self.deployments()):
            raise sifted.refusal

    def deployments(self) -> list[Deployment]:
        """Everything this request could reach: what a budget has to be able to pay for."""
        return list({row.id + row.model: row for row in self._reachable()}.values())

    @property
    def group(self) -> ModelGroup:
        """The one that was asked for."""
        return self._group

    @property
    def streamed(self) -> bool:
        return self._asked.streamed

    @property
    def fitting(self) -> list[Deployment]:
        """Of its own group, those that may take the request."""
        return self._fitting

    @property
    def retries(self) -> int:
        return self._retries

    def fallback_groups(self) -> dict[str, list[Deployment]]:
        """What any failure could lead to, by group: the deployments that may take the request."""
        found = {name: group for name in self._chains.everything() if (group := self._find(name)) is not None}
        return {name: self._may_serve(group) for name, group in found.items()}

    def watched(self) -> list[Deployment]:
        """Whose health this plan goes by from the start. After a failure it goes by that of all `deployments()`."""
        return list(self._group.deployments) if self.alternatives or self._group.policy.counts_at_end else []

    def first(self) -> Attempt:
        """Raises NoDeployment when every deployment rests and nothing is left."""
        self.health.asked()
        if self._fitting:
            self._now = self._round(self._group, self._fitting, fallback=False)
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
            self._spend(self._now, self._last.deployment, error)
        attempt = self._within(self._allowed(error)) or self._elsewhere()
        if attempt is None and error.retryable:
            attempt = self._bypass()
        self._last = attempt or self._last
        self.tries += attempt is not None
        return attempt

    def beside(self) -> Attempt | None:
        """Another deployment of the group, to be asked at the same time as the one that is slow to answer. It takes no turn."""
        now = self._now
        if now is None or self._last is None:
            return None
        rows = [row for row in now.rows if row.id != self._last.deployment.id and row.id not in now.spent]
        standing = next((row for row in rows if not self.health.standing(row).open), None)
        return None if standing is None else Attempt(standing, 0.0, now.fallback, "hedge", now.group)

    def passage_for(self, attempt: Attempt) -> Passage:
        """What `health` is told of a try."""
        deployment, group = attempt.deployment, attempt.group or self._group
        watched = self.alternatives and not group.policy.disable_cooldowns and not self._asked.rehearsal
        rules = group.policy.rules_for(deployment, peers=len(group.deployments) > 1) if watched else None
        tokens = self._asked.tokens() if group.policy.counts_at_start else 0
        passage = Passage(deployment, group.policy, rules, attempt.trial, self._asked.streamed, tokens)
        passage.same_credential = lambda: [row for row in group.deployments if row is not deployment and same_credential(row, deployment)]
        return passage

    def _chosen(self, attempt: Attempt | None) -> Attempt:
        self.tries += 1
        self._last = attempt
        if attempt is not None:
            return attempt
        if self._error is not None:
            raise self._error
        raise self._nothing_left()

    def _allowed(self, error: TollkeeperError | None) -> int:
        """How many more tries the group gets for this error: retry_policy overrides every other rule.

        To go on to a deployment that was not tried yet is no repetition: unless retries are switched off, all of them are.
        """
        if not isinstance(error, UpstreamError):
            return 0
        group = self._now.group if self._now else self._group
        policy = group.policy.retries_for(kind_of(error))
        if policy is not None:
            return policy
        if not self._try_again(error) or self._retries == 0:
            return 0
        return max(self._retries, len(self._now.rows) - 1 if self._now else 0)

    def _try_again(self, error: UpstreamError) -> bool:
        """A refusal of the request itself would be repeated by every deployment of the same model."""
        if self._ours(error):
            return len(self._group.deployments) > 1
        return error.retryable and error.extra.get("retryable", True) is not False

    def _ours(self, error: TollkeeperError) -> bool:
        """What we have at the provider is the trouble (account, model name): that deployment will not do, another may."""
        return isinstance(error, _OURS_AT_THE_PROVIDER) or (self._last is not None and is_missing(error, self._last.deployment))

    def _spend(self, now: _Round, deployment: Deployment, error: UpstreamError) -> None:
        """A credential that was refused is refused for every deployment that has it."""
        now.spent.add(deployment.id)
        if isinstance(error, UpstreamAuthFailed) and error.upstream_status == 401:
            now.spent |= {row.id for row in now.rows if same_credential(row, deployment)}

    def _round(self, group: ModelGroup, rows: Sequence[Deployment], *, fallback: bool) -> _Round:
        """Those that are slow come last; where all are, they wait for the fallbacks (`latency.slow`)."""
        turn = self.health.turn(group.name) if group.policy.strategy == "round-robin" else 0
        scene = Scene(self._random, self.health.statistics, turn, self._asked.streamed, group.policy.args, self._asked.needs)
        order = arranged(rows, group.policy, scene, rolled_back=self.health.rolled_back)
        slow = [row for row in order if scene.slow(row, group.policy)]
        if len(slow) == len(order) and not fallback and self._names():
            self._slow, order = _Round(group, order, fallback), []
        elif slow:
            order = [*(row for row in order if row not in slow), *slow]
        self.record.ordered(group.name, order, slow)
        return _Round(group, order, fallback)

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
                if standing.resting:
                    self.record.dropped.setdefault(row.id, f"it rests for {standing.wait:.1f} s more ({standing.reason})")
                continue
            if lap and not self._may_repeat(now):
                return None
            now.used += 1
            trial: Trial = "probe" if standing.due and self.alternatives else ""
            return Attempt(row, self._backoff(now, lap), now.fallback, trial, now.group, last=not self._goes_on(now))
        return None

    def _goes_on(self, now: _Round) -> bool:
        """Whether a deployment that was not tried yet comes after this one."""
        return (now.place < len(now.rows) and self._retries > 0) or bool(self._names() and not now.fallback)

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
        return max(backoff(lap, self._random), now.group.policy.retry_after)

    def _elsewhere(self) -> Attempt | None:
        """The first try in the next fallback group that has one; at last, those of the group's own that were held back as slow."""
        while (group := self._next_fallback()) is not None:
            if rows := self._may_serve(group):
                self._now = self._round(group, rows, fallback=True)
                if (attempt := self._within(0)) is not None:
                    self.fallbacks_used += 1
                    return attempt
        if self._slow is not None:
            self._now, self._slow = self._slow, None
            return self._within(0)
        return None

    def _bypass(self) -> Attempt | None:
        """Once: a deployment that rests for transient faults, of the first group that has one."""
        if self._bypassed or self._group.policy.all_open == "refuse" or not self.alternatives:
            return None
        self._bypassed = True
        for group in (self._group, *self._fallbacks()):
            rows = [row for row in self._may_serve(group) if self._rests_for_now(row)]
            if rows:
                fallback = group is not self._group
                return Attempt(self._random.choice(rows), 0.0, fallback, "bypass", group) if self.health.may_repeat() else None
        return None

    def _rests_for_now(self, row: Deployment) -> bool:
        standing = self.health.standing(row)
        return standing.open and standing.reason == "transient"

    def _nothing_left(self) -> NoDeployment:
        """In LiteLLM's words, which its clients look for."""
        standings = [(row, self.health.standing(row)) for row in self._fitting]
        cooling = [(row.id, standing.wait) for row, standing in standings if standing.open]
        wait = max(min((*(seconds for _, seconds in cooling), *self._waits), default=0.0), 1.0)
        return NoDeployment(
            f"No deployments available for selected model, Try again in {wait:.0f} seconds. Passed model={self._group.name}. "
            f"pre-call-checks={self._group.policy.context_checks}, cooldown_list={[name for name, _ in cooling]}",
            code="429",
            retry_after=wait,
        )

    def _may_serve(self, group: ModelGroup) -> list[Deployment]:
        if group is self._group:
            return self._fitting
        sifted = sift(group.name, group.deployments, group.policy, self._asked)
        self.record.dropped |= {name: why for name, why in sifted.dropped.items() if name not in self.record.dropped}
        return sifted.rows

    def _reachable(self) -> Iterable[Deployment]:
        yield from self._fitting
        for name in self._chains.everything():
            if (group := self._find(name)) is not None:
                yield from self._may_serve(group)

    def _next_fallback(self) -> ModelGroup | None:
        if self._fallback_groups is None:
            self._fallback_groups = iter(self._fallbacks())
        return next(self._fallback_groups, None)

    def _fallbacks(self) -> list[ModelGroup]:
        groups = [group for name in self._names(self._error) if (group := self._find(name)) is not None]
        return groups[: self._group.policy.max_fallbacks]

    def _names(self, error: TollkeeperError | None = None) -> list[str]:
        """Of the fallbacks that apply."""
        refused = isinstance(error, UpstreamError) and not self._try_again(error) and not self._ours(error)
        return self._chains.listed(error, refused=refused)
