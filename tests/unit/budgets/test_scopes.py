"""Records become counters: which windows, which cap, and what no budget can be."""

from typing import Any

import pytest
from tests.support.counters import START, dollar_terms, usd

from tollkeeper.budgets.scopes import Owner, ScopeCap, check_terms, scope_caps
from tollkeeper.errors import BadRequest
from tollkeeper.money import NanoUSD
from tollkeeper.store.items import scope_of, scope_pk


def caps(now: float = START, **terms: Any) -> list[ScopeCap]:
    return scope_caps([Owner("key", ("k",), dollar_terms(**terms), "alias")], now)


def test_an_owner_without_budget_and_limit_has_no_counter() -> None:
    assert caps() == []


def test_several_windows_of_one_owner_are_several_counters() -> None:
    found = caps(max_budget=100.0, budget_duration="1mo", budget_limits=(("1d", 5.0), ("1h", 1.0)))
    assert [(cap.window.duration, cap.cap) for cap in found] == [("1mo", usd(100)), ("1d", usd(5)), ("1h", usd(1))]
    assert len({(cap.pk, cap.window.key) for cap in found}) == 3


def test_two_limits_on_one_window_are_the_lower_one() -> None:
    [found] = caps(max_budget=5.0, budget_duration="1d", budget_limits=(("24h", 3.0),))
    assert found.cap == usd(3)


def test_parallel_calls_are_counted_where_no_reset_forgets_them() -> None:
    assert [(cap.window.key, cap.cap, cap.max_parallel) for cap in caps(max_parallel_requests=4)] == [("total", None, 4)]
    assert [(cap.window.key, cap.max_parallel) for cap in caps(max_budget=1.0, max_parallel_requests=4)] == [("total", 4)]
    daily = caps(max_budget=1.0, budget_duration="1d", max_parallel_requests=4)
    assert [(cap.window.key[:4], cap.cap, cap.max_parallel) for cap in daily] == [("day#", usd(1), None), ("tota", None, 4)]


def test_a_temporary_increase_ends_with_its_expiry() -> None:
    terms = {"max_budget": 1.0, "temp_budget_increase": 2.0, "temp_budget_expiry": START + 60}
    assert [cap.cap for cap in caps(START + 59, **terms)] == [usd(3)]
    assert [cap.cap for cap in caps(START + 60, **terms)] == [usd(1)]
    assert [cap.cap for cap in caps(max_budget=1.0, temp_budget_increase=2.0)] == [usd(3)]


def test_a_counter_outlives_its_window_and_a_total_for_ever() -> None:
    [daily], [total] = caps(max_budget=1.0, budget_duration="1d"), caps(max_budget=1.0)
    assert daily.ttl is not None
    assert daily.ttl > (daily.window.end or 0)
    assert total.ttl is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_budget", -1),
        ("max_budget", 10**22),
        ("soft_budget", -1),
        ("temp_budget_increase", -5),
        ("max_parallel_requests", -1),
        ("max_parallel_requests", True),
        ("budget_duration", "2mo"),
        ("budget_limits", (("1d", -1),)),
        ("budget_limits", (("never", 1),)),
    ],
)
def test_what_no_budget_can_be_is_refused_by_name(field: str, value: Any) -> None:
    from tollkeeper.budgets.scopes import Terms

    with pytest.raises(BadRequest) as refused:
        check_terms(Terms(**{field: value}))
    assert refused.value.param == field


@pytest.mark.parametrize(
    "ids",
    [("a", "b"), ("a#b", "c"), ("a", "b#c"), ("a%23b", "c"), ("a%", "23b#c"), ("~1",), ("x" * 300,), ("x" * 299 + "y",), ("",), ("ü#💶",)],
)
def test_no_two_scopes_share_a_key_whatever_they_are_called(ids: tuple[str, ...]) -> None:
    others = [
        ("a", "b"),
        ("a#b", "c"),
        ("a", "b#c"),
        ("a%23b", "c"),
        ("a%", "23b#c"),
        ("~1",),
        ("x" * 300,),
        ("x" * 299 + "y",),
        ("",),
        ("ü#💶",),
    ]
    assert [other for other in others if scope_pk("customer", *other) == scope_pk("customer", *ids)] == [ids]
    assert len(scope_pk("customer", *ids).encode()) < 2048


def test_a_scopes_key_tells_who_it_belongs_to() -> None:
    assert scope_of(scope_pk("team_member", "t#1", "u%23")) == ("team_member", ("t#1", "u%23"))


def test_free_money_is_no_money() -> None:
    assert [cap.cap for cap in caps(max_budget=0.0)] == [NanoUSD(0)]
