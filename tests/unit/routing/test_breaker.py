"""The breaker as a value: what each event makes of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkeeper.routing import breaker
from tollkeeper.routing.breaker import Cell, Rules
from tollkeeper.routing.faults import Fault, FaultClass

NOW = 1_795_000_000_000
DOWN = Fault("transient", "InternalServer")
BUSY = Fault("rate_limited", "RateLimit")
GONE = Fault("hard", "Authentication")
RULES = Rules()


def after_faults(count: int, *, apart_ms: int, fault: Fault = DOWN, rules: Rules = RULES, cell: Cell = breaker.WELL) -> Cell:
    for index in range(count):
        cell = breaker.failed(cell, fault, NOW + index * apart_ms, rules)
    return cell


def test_three_faults_in_a_row_open_it_however_little_traffic_there_is() -> None:
    assert not after_faults(2, apart_ms=90_000).until
    assert after_faults(3, apart_ms=90_000).until


def test_a_burst_alone_leaves_others_a_moment_to_object() -> None:
    burst = after_faults(10, apart_ms=1)
    assert not burst.until
    assert breaker.failed(burst, DOWN, NOW + 1600, Rules()).until
    assert after_faults(20, apart_ms=1).until


def test_a_success_in_between_ends_the_row() -> None:
    cell = breaker.succeeded(after_faults(2, apart_ms=2000), 1)
    assert not breaker.failed(cell, DOWN, NOW + 9000, Rules()).until


def test_below_half_of_the_calls_is_no_reason_to_open() -> None:
    cell = breaker.WELL
    for index in range(40):
        cell = breaker.failed(cell, DOWN, NOW + index * 1000, Rules(), oks=2, ok_at=NOW + index * 1000 - 1)
    assert not cell.until


def test_above_half_in_a_minute_opens_it() -> None:
    cell = after_faults(2, apart_ms=100)
    cell = breaker.succeeded(cell, 2)
    cell = breaker.failed(cell, DOWN, NOW + 400, Rules())
    assert not breaker.failed(cell, DOWN, NOW + 70_000, Rules()).until, "another minute"
    assert breaker.failed(cell, DOWN, NOW + 2000, Rules()).until


@pytest.mark.parametrize(("fault", "seconds"), [(GONE, 60), (BUSY, 5)])
def test_a_refused_account_and_a_full_provider_open_it_at_once(fault: Fault, seconds: int) -> None:
    cell = breaker.failed(breaker.WELL, fault, NOW, Rules())
    assert cell.until == NOW + seconds * 1000
    assert cell.reason == fault.fault_class


def test_a_rate_limited_lone_deployment_stays_for_the_first_429() -> None:
    assert not breaker.failed(breaker.WELL, BUSY, NOW, Rules(peers=False)).until


def test_allowed_fails_are_litellms_more_than_n_within_the_cooldown() -> None:
    rules = Rules(allowed_fails=3, cooldown_time=30)
    assert not after_faults(3, apart_ms=100, rules=rules).until
    assert after_faults(4, apart_ms=100, rules=rules).until == NOW + 300 + 30_000
    assert after_faults(4, apart_ms=60_000, rules=rules).until, "in a row, though in different windows"


def test_allowed_fails_by_class_count_their_class() -> None:
    rules = Rules(allowed_by_kind={"RateLimit": 100, "InternalServer": 0})
    assert not after_faults(50, apart_ms=10, fault=BUSY, rules=rules).until
    assert after_faults(1, apart_ms=10, rules=rules).until


def test_disabled_cooldowns_never_open() -> None:
    assert after_faults(100, apart_ms=1000, fault=GONE, rules=Rules(disabled=True)) == breaker.WELL


def test_each_opening_in_a_row_lasts_twice_as_long_up_to_a_minute() -> None:
    lengths = [breaker.open_seconds(DOWN, trips, Rules()) for trips in range(10)]
    assert lengths == [5, 10, 20, 40, 60, 60, 60, 60, 60, 60]
    assert [breaker.open_seconds(GONE, trips, Rules()) for trips in range(5)] == [60, 120, 120, 120, 120]
    assert breaker.open_seconds(DOWN, 9, Rules(cooldown_time=600)) == 600


def test_what_the_upstream_asked_for_is_the_least() -> None:
    assert breaker.open_seconds(Fault("rate_limited", "RateLimit", 42), 0, Rules()) == 42
    assert breaker.open_seconds(Fault("rate_limited", "RateLimit", 1), 0, Rules(cooldown_time=30)) == 30
    assert breaker.open_seconds(Fault("rate_limited", "RateLimit", 1e9), 0, Rules()) == 3600


def test_the_probe_is_given_once_and_again_when_its_lease_ends() -> None:
    cell = breaker.failed(breaker.WELL, GONE, NOW, Rules())
    assert breaker.claimed(cell, "a", NOW + 59_999, 30) is None
    given_out = breaker.claimed(cell, "a", NOW + 60_000, 30)
    assert given_out is not None
    assert breaker.claimed(given_out, "b", NOW + 89_999, 30) is None
    assert breaker.claimed(given_out, "b", NOW + 90_000, 30) is not None


def test_a_good_probe_closes_it_and_a_bad_one_opens_it_for_longer() -> None:
    cell = breaker.claimed(breaker.failed(breaker.WELL, BUSY, NOW, Rules()), "a", NOW + 5000, 30)
    assert cell is not None
    assert not breaker.recovered(cell).until
    later = NOW + 6000
    assert breaker.relapsed(cell, "a", BUSY, later, Rules()).until == later + 10_000
    assert breaker.relapsed(cell, "b", BUSY, later, Rules()) is cell, "its lease had ended, and somebody else has it"


def test_a_deployment_that_flaps_rests_longer_each_time() -> None:
    again = breaker.failed(breaker.recovered(breaker.failed(breaker.WELL, BUSY, NOW, Rules())), BUSY, NOW, Rules())
    assert again.until == NOW + 10_000


def test_late_failures_of_calls_sent_before_it_opened_change_nothing() -> None:
    cell = breaker.failed(breaker.WELL, GONE, NOW, Rules())
    assert breaker.failed(cell, GONE, NOW + 10, Rules()) is cell


def _step(event: str, cell: Cell, who: str, now: int, fault: Fault) -> Cell:
    match event:
        case "fail":
            return breaker.failed(cell, fault, now, RULES)
        case "ok":
            return breaker.succeeded(cell, 1)
        case "claim":
            return breaker.claimed(cell, who, now, 30) or cell
        case "good":
            return breaker.recovered(cell) if cell.probe == who else cell
        case "bad":
            return breaker.relapsed(cell, who, fault, now, RULES)
        case _:
            return breaker.released(cell, who, now)


events = st.lists(
    st.tuples(st.sampled_from(["fail", "ok", "claim", "good", "bad", "free"]), st.integers(0, 40_000), st.sampled_from(["a", "b"])),
    max_size=60,
)


@given(events, st.sampled_from(["transient", "rate_limited", "hard"]))
def test_whatever_happens_one_holder_has_the_probe_and_every_change_has_a_new_version(
    history: list[tuple[str, int, str]], fault_class: FaultClass
) -> None:
    cell, now, fault = breaker.WELL, NOW, Fault(fault_class, "Timeout")
    for event, wait, who in history:
        now += wait
        old = cell
        cell = _step(event, old, who, now, fault)
        assert cell is old or cell.version == old.version + 1
        if cell.probe != old.probe and cell.probe:
            assert old.due(now), "a probe is only given when the rest, or the lease before it, is over"
        if old.open(now) and event in {"fail", "ok", "claim"}:
            assert cell is old
