"""The circuit breaker of one deployment: a value, and what each event makes of it. No I/O, no clock.

            faults reach a threshold              `until` has passed: one claims the probe
    closed ─────────────────────────▶ open ─────────────────────────────────────────────────▶ half-open
       ▲                               ▲                                                          │
       │                               └──────────── the probe fails: open for longer ────────────┤
       └──────────────────────────────── the probe succeeds ──────────────────────────────────────┘

Half-open is open with `until` moved on by the probe's lease and `probe` naming who has it: whoever dies with it is replaced when the
lease ends. Thresholds are LiteLLM's where its settings say so (https://docs.litellm.ai/docs/routing#cooldowns); without them, its default
rules, and beside them consecutive faults, which also trip where ten calls an hour arrive.

Successes are only reported while a cell has faults, so that a healthy fleet writes nothing. Other processes therefore need a moment to
object to a deployment's being called dead: VETO_MS, unless it fails MANY times within it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tollkeeper.routing.faults import Fault

DEFAULT_COOLDOWN = 5.0
HARD_COOLDOWN = 60.0
"""Seconds a deployment rests that needs somebody to act (credential, credit, name), where no cooldown_time is configured."""
LONGEST_COOLDOWN, LONGEST_HARD_COOLDOWN = 60.0, 120.0
"""A probe costs one call a detour, and a recovered deployment should not wait long for it."""
LONGEST_RETRY_AFTER = 3600.0
CONSECUTIVE = 3
FEWEST_REQUESTS, RATE_PERCENT = 5, 50
VETO_MS = 1500
MANY = 20
WINDOW_SECONDS = 60
MEMORY_SECONDS = 600
"""How long a cell is kept after its last change: so long an opening counts toward the next one's length."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What trips one deployment. `cooldown_time` in seconds, None where it is not configured."""

    cooldown_time: float | None = None
    allowed_fails: int | None = None
    allowed_by_kind: Mapping[str, int] = field(default_factory=dict)
    disabled: bool = False
    peers: bool = True
    """The group has another deployment. (Where there is no fallback either, there is no breaker: see plan.py.)"""

    @property
    def cooldown(self) -> float:
        return DEFAULT_COOLDOWN if self.cooldown_time is None else self.cooldown_time

    @property
    def window(self) -> float:
        """Seconds in which faults are counted together."""
        return max(self.cooldown, 1.0) if self.allowed_fails is not None or self.allowed_by_kind else WINDOW_SECONDS


@dataclass(frozen=True, slots=True)
class Cell:
    """What the fleet knows of one deployment. Times are epoch milliseconds; the default is a deployment nothing is known against."""

    version: int = 0
    until: int = 0
    """Open until then; 0: closed."""
    probe: str = ""
    reason: str = ""
    """The fault class it was opened for."""
    trips: int = 0
    window: int = 0
    """When the faults and successes below began to be counted."""
    fails: int = 0
    oks: int = 0
    streak: int = 0
    """Faults with no success known in between."""
    streak_since: int = 0
    failed_at: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)

    @property
    def failing(self) -> bool:
        return not self.until and self.fails > 0

    def open(self, now: int) -> bool:
        return self.until > now

    def due(self, now: int) -> bool:
        """Its rest is over, and nobody is trying it."""
        return 0 < self.until <= now


WELL = Cell()
Step = Callable[[Cell], Cell]
"""What one event does to a cell; the very same cell back means: nothing."""


def failed(cell: Cell, fault: Fault, now: int, rules: Rules, *, oks: int = 0, ok_at: int = 0) -> Cell:
    """A fault of a call sent while the cell was closed. `oks` are this process's successes not counted yet, the last at `ok_at`."""
    if cell.until or rules.disabled:
        return cell
    fresh = cell if now - cell.window < rules.window * 1000 else replace(cell, window=now, fails=0, oks=0, kinds={})
    streak, since = (cell.streak + 1, cell.streak_since) if cell.streak and ok_at <= cell.failed_at else (1, now)
    counted = replace(
        fresh,
        version=cell.version + 1,
        fails=fresh.fails + 1,
        oks=fresh.oks + oks,
        kinds={**fresh.kinds, fault.kind: fresh.kinds.get(fault.kind, 0) + 1},
        streak=streak,
        streak_since=since,
        failed_at=now,
    )
    return _opened(counted, fault, now, rules) if _trips(counted, fault, now, rules) else counted


def succeeded(cell: Cell, oks: int) -> Cell:
    """Calls that went well while the cell was closed."""
    return replace(cell, version=cell.version + 1, oks=cell.oks + oks, streak=0) if cell.failing else cell


def claimed(cell: Cell, who: str, now: int, lease: float) -> Cell | None:
    """The cell with the one probe given to `who` for `lease` seconds. None: it is not to be had now."""
    if not cell.due(now):
        return None
    return replace(cell, version=cell.version + 1, probe=who, until=now + int(lease * 1000))


def released(cell: Cell, who: str, now: int) -> Cell:
    """The probe ended without telling anything: the next may try."""
    return replace(cell, version=cell.version + 1, probe="", until=now) if cell.probe == who else cell


def recovered(cell: Cell) -> Cell:
    """Closed; how often it has opened is remembered."""
    return Cell(version=cell.version + 1, trips=cell.trips) if cell.until else cell


def relapsed(cell: Cell, who: str, fault: Fault, now: int, rules: Rules) -> Cell:
    """The probe failed."""
    if cell.probe != who:
        return cell
    return _opened(replace(cell, version=cell.version + 1), fault, now, rules)


def open_seconds(fault: Fault, trips: int, rules: Rules) -> float:
    """The cooldown, doubled with each opening in a row; never less than the upstream asked for."""
    base = HARD_COOLDOWN if fault.fault_class == "hard" and rules.cooldown_time is None else rules.cooldown
    longest = max(LONGEST_HARD_COOLDOWN if fault.fault_class == "hard" else LONGEST_COOLDOWN, base)
    return max(min(base * 2.0 ** min(trips, 20), longest), min(fault.retry_after, LONGEST_RETRY_AFTER))


def _opened(cell: Cell, fault: Fault, now: int, rules: Rules) -> Cell:
    until = now + max(int(open_seconds(fault, cell.trips, rules) * 1000), 1)
    return Cell(version=cell.version, until=until, reason=fault.fault_class, trips=cell.trips + 1)


def _trips(cell: Cell, fault: Fault, now: int, rules: Rules) -> bool:
    allowed = rules.allowed_by_kind.get(fault.kind, rules.allowed_fails)
    if allowed is not None:
        fails = cell.kinds[fault.kind] if fault.kind in rules.allowed_by_kind else cell.fails
        return max(fails, cell.streak) > allowed
    if fault.fault_class == "hard" or (fault.fault_class == "rate_limited" and rules.peers):
        return True
    return _looks_dead(cell, now)


def _looks_dead(cell: Cell, now: int) -> bool:
    total = cell.fails + cell.oks
    mostly = total >= FEWEST_REQUESTS and cell.fails * 100 > total * RATE_PERCENT
    if mostly and (cell.fails >= MANY or now - cell.window >= VETO_MS):
        return True
    return cell.streak >= CONSECUTIVE and now - cell.streak_since >= VETO_MS
