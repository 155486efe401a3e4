"""What every engine must do, verb by verb. One server per engine and module; tests keep apart by their partition keys."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.support.stores import ENGINES, Engine, Tables, engine

from tollkeeper.clock import system
from tollkeeper.store.table import AtMost, Condition, ConditionFailed, Equals, Exists, Missing, Page, Table

PAST = int(system.now()) - 3600
FUTURE = int(system.now()) + 3600

# Where an emulator is not like DynamoDB (DynamoDB Local, Amazon's own, passes every one of these). Strict: a fixed emulator is noticed.
EMULATOR_FAULTS = {
    "test_apply_with_nothing_to_change_makes_the_bare_item[moto]": "moto fails on an update without an expression",
    "test_each_condition_on_an_item[moto-AtMost(attribute='s', limit=10)]": "moto compares a string with a number",
    "test_each_condition_on_an_item[moto-AtMost(attribute='yes', limit=10)]": "moto compares a boolean with a number",
    "test_each_condition_on_an_item[moto-Equals(attribute='yes', value=1)]": "moto takes true for 1",
    "test_a_query_of_an_index_that_the_table_has_not[moto]": "moto answers ResourceNotFound, as for a table that is missing",
    "test_sums_are_exact_beyond_64_bits[ministack]": "ministack adds with 28 digits",
}


@pytest.fixture(autouse=True)
def _emulator_faults(request: pytest.FixtureRequest) -> None:
    if reason := EMULATOR_FAULTS.get(request.node.name):
        request.applymarker(pytest.mark.xfail(reason=reason))


@pytest.fixture(scope="module", params=ENGINES)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with engine(request.param, tmp_path_factory.mktemp(request.param)) as started:
        yield started


@pytest.fixture
async def tables(running: Engine) -> AsyncIterator[Tables]:
    async with running.open() as opened:
        yield opened


@pytest.fixture
def pk() -> str:
    return f"test#{system.new_id()}"


@pytest.fixture
def table(tables: Tables) -> Table:
    return tables.directory


async def sks(table: Table, pk: str, **query: Any) -> list[str]:
    return [item["sk"] for item in (await table.query(pk, **query)).items]


async def every_page(table: Table, pk: str, **query: Any) -> tuple[list[str], list[Page]]:
    pages = [await table.query(pk, **query)]
    while pages[-1].next:
        pages.append(await table.query(pk, after=pages[-1].next, **query))
    return [item["sk"] for page in pages for item in page.items], pages


async def test_an_item_that_was_never_written_is_none(table: Table, pk: str) -> None:
    assert await table.get(pk, "nothing") is None
    assert await table.get(pk, "nothing", consistent=True) is None
    assert await table.query(pk) == Page([], None)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "text",
        'žluťoučký 🎈 \u0000 \u2028 "quoted" \\',
        0,
        -1,
        2**53 + 1,
        2**63,
        2**64,
        10**38 - 1,
        -(10**38) + 1,
        0.1,
        1e-7,
        -2.5e20 - 0.5,
        123456.789,
        True,
        False,
        None,
        [],
        {},
        [1, "two", None, [True, {"deep": [2**70, 0.25]}]],
        {"a.b": {"#c": []}, "size": 1},
    ],
    ids=repr,
)
async def test_a_value_comes_back_as_it_went_in(table: Table, pk: str, value: Any) -> None:
    item = {"pk": pk, "sk": "v", "value": value}
    await table.put(item)
    back = await table.get(pk, "v", consistent=True)
    assert back == item
    assert back is not None
    assert type(back["value"]) is type(value) or value == int(value)
    applied = await table.apply(pk, "by apply", set={"value": value})
    assert applied == {"pk": pk, "sk": "by apply", "value": value}
    assert await table.get(pk, "by apply", consistent=True) == applied


@pytest.mark.parametrize(("written", "read"), [(3.0, 3), (-0.0, 0), (1e30, 10**30), ((1, 2), [1, 2]), ({"n": 2.0}, {"n": 2})], ids=repr)
async def test_one_number_type_and_one_list_type(table: Table, pk: str, written: Any, read: Any) -> None:
    await table.put({"pk": pk, "sk": "v", "value": written})
    back = await table.get(pk, "v", consistent=True)
    assert back is not None
    assert back["value"] == read
    assert type(back["value"]) is type(read)


@pytest.mark.parametrize(
    "value",
    [10**38, -(10**38), float("nan"), float("inf"), 1e38, 1e-200, b"bytes", {1: "x"}, {"x": {1}}, "\ud800"],
    ids=repr,
)
async def test_what_no_store_can_hold_is_refused(table: Table, pk: str, value: Any) -> None:
    with pytest.raises(ValueError):
        await table.put({"pk": pk, "sk": "v", "value": value})
    with pytest.raises(ValueError):
        await table.apply(pk, "v", set={"value": value})
    assert await table.get(pk, "v", consistent=True) is None


async def test_nesting_beyond_what_dynamodb_takes_is_refused(table: Table, pk: str) -> None:
    value: Any = []
    for _ in range(40):
        value = [value]
    with pytest.raises(ValueError):
        await table.put({"pk": pk, "sk": "v", "value": value})


@pytest.mark.parametrize("item", [{"pk": "p"}, {"pk": "", "sk": "s"}, {"pk": "p", "sk": 1}, {"pk": "p", "sk": "s", "gsi1pk": ""}], ids=repr)
async def test_keys_are_strings_that_are_not_empty(table: Table, item: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        await table.put(item)
    with pytest.raises(ValueError):
        await table.put_new(item)


async def test_an_item_of_300_kilobytes(table: Table, pk: str) -> None:
    item = {"pk": pk, "sk": "big", "text": "é" * 150_000}
    await table.put(item)
    assert await table.get(pk, "big", consistent=True) == item


async def test_put_replaces_the_whole_item(table: Table, pk: str) -> None:
    await table.put({"pk": pk, "sk": "v", "a": 1, "gsi1pk": pk, "gsi1sk": "1"})
    await table.put({"pk": pk, "sk": "v", "b": 2})
    assert await table.get(pk, "v", consistent=True) == {"pk": pk, "sk": "v", "b": 2}
    assert await sks(table, pk, index="gsi1") == []


async def test_put_new_writes_once_and_shows_what_was_there(table: Table, pk: str) -> None:
    await table.put_new({"pk": pk, "sk": "v", "a": 1})
    with pytest.raises(ConditionFailed) as failed:
        await table.put_new({"pk": pk, "sk": "v", "a": 2})
    assert failed.value.old == {"pk": pk, "sk": "v", "a": 1}
    with pytest.raises(ConditionFailed):
        await table.put_new({"pk": pk, "sk": "v", "a": 1})
    assert await table.get(pk, "v", consistent=True) == {"pk": pk, "sk": "v", "a": 1}


async def test_delete_returns_what_was_there(table: Table, pk: str) -> None:
    await table.put({"pk": pk, "sk": "v", "a": [1, None]})
    assert await table.delete(pk, "v") == {"pk": pk, "sk": "v", "a": [1, None]}
    assert await table.delete(pk, "v") is None
    assert await table.get(pk, "v", consistent=True) is None


async def test_apply_creates_and_then_changes(table: Table, pk: str) -> None:
    first = await table.apply(pk, "v", add={"n": 5}, set={"name": "x", "gone": 1})
    assert first == {"pk": pk, "sk": "v", "n": 5, "name": "x", "gone": 1}
    second = await table.apply(pk, "v", add={"n": -7, "zero": 0}, set={"name": None}, remove=["gone", "never there"])
    assert second == {"pk": pk, "sk": "v", "n": -2, "name": None, "zero": 0}
    assert await table.get(pk, "v", consistent=True) == second


async def test_apply_with_nothing_to_change_makes_the_bare_item(table: Table, pk: str) -> None:
    assert await table.apply(pk, "v") == {"pk": pk, "sk": "v"}
    assert await table.get(pk, "v", consistent=True) == {"pk": pk, "sk": "v"}


async def test_sums_are_exact_beyond_64_bits(table: Table, pk: str) -> None:
    await table.apply(pk, "v", add={"n": 2**63 - 1})
    await table.apply(pk, "v", add={"n": 2**63 - 1})
    assert (await table.apply(pk, "v", add={"n": 10**30}))["n"] == 2**64 - 2 + 10**30


@pytest.mark.parametrize(
    "change",
    [
        {"add": {"a": 1}, "set": {"a": 2}},
        {"set": {"a": 1}, "remove": ["a"]},
        {"set": {"pk": "other"}},
        {"remove": ["sk"]},
        {"add": {"text": 1}},
        {"set": {"gsi1pk": None}},
    ],
    ids=repr,
)
async def test_a_change_that_makes_no_sense_is_refused_and_nothing_is_written(table: Table, pk: str, change: Any) -> None:
    before = {"pk": pk, "sk": "v", "text": "abc"}
    await table.put(before)
    with pytest.raises(ValueError):
        await table.apply(pk, "v", **change)
    assert await table.get(pk, "v", consistent=True) == before


NAMES = ["name", "size", "hold#01hx", "a.b", "#", ":x", "status", "žluť 🎈", "committed", "ADD", "x" * 200]


async def test_attribute_names_are_free(table: Table, pk: str) -> None:
    await table.apply(pk, "v", add=dict.fromkeys(NAMES, 2))
    after = await table.apply(
        pk, "v", add={"#": 1}, set={"a.b": "x"}, remove=["size"], when=[Exists("hold#01hx"), AtMost("#", 2), Equals("žluť 🎈", 2)]
    )
    expected = {**dict.fromkeys(NAMES, 2), "#": 3, "a.b": "x", "pk": pk, "sk": "v"}
    del expected["size"]
    assert after == expected


ITEM: dict[str, Any] = {"n": 10, "neg": -3, "s": "x", "yes": True, "no": False, "null": None, "empty": "", "list": [1], "f": 2.5}
HOLDS: list[tuple[Condition, bool]] = [
    (Exists(), True),
    (Exists("n"), True),
    (Exists("null"), True),
    (Exists("other"), False),
    (Missing(), False),
    (Missing("n"), False),
    (Missing("null"), False),
    (Missing("other"), True),
    (AtMost("n", 10), True),
    (AtMost("n", 9), False),
    (AtMost("n", 10**30), True),
    (AtMost("neg", -3), True),
    (AtMost("neg", -4), False),
    (AtMost("f", 2), False),
    (AtMost("f", 3), True),
    (AtMost("other", 0), True),
    (AtMost("other", -1), False),
    (AtMost("s", 10), False),
    (AtMost("null", 10), False),
    (AtMost("yes", 10), False),
    (Equals("s", "x"), True),
    (Equals("s", "y"), False),
    (Equals("empty", ""), True),
    (Equals("n", 10), True),
    (Equals("n", 11), False),
    (Equals("n", "10"), False),
    (Equals("yes", True), True),
    (Equals("yes", 1), False),
    (Equals("no", False), True),
    (Equals("other", 0), False),
    (Equals("other", ""), False),
    (Equals("list", 1), False),
]


@pytest.mark.parametrize(("condition", "holds"), HOLDS, ids=[str(condition) for condition, _ in HOLDS])
async def test_each_condition_on_an_item(table: Table, pk: str, condition: Condition, holds: bool) -> None:
    before = {"pk": pk, "sk": "v", **ITEM}
    await table.put(before)
    if holds:
        after = await table.apply(pk, "v", add={"n": 1}, when=[condition])
        assert after == {**before, "n": 11}
        return
    with pytest.raises(ConditionFailed) as failed:
        await table.apply(pk, "v", add={"n": 1}, when=[condition])
    assert failed.value.old == before
    assert await table.get(pk, "v", consistent=True) == before


HOLDS_ON_NOTHING: list[tuple[Condition, bool]] = [
    (Exists(), False),
    (Exists("n"), False),
    (Missing(), True),
    (Missing("n"), True),
    (AtMost("n", 0), True),
    (AtMost("n", -1), False),
    (Equals("n", 0), False),
]


@pytest.mark.parametrize(("condition", "holds"), HOLDS_ON_NOTHING, ids=[str(condition) for condition, _ in HOLDS_ON_NOTHING])
async def test_each_condition_where_there_is_no_item(table: Table, pk: str, condition: Condition, holds: bool) -> None:
    if holds:
        assert await table.apply(pk, "v", add={"n": 1}, when=[condition]) == {"pk": pk, "sk": "v", "n": 1}
        return
    with pytest.raises(ConditionFailed) as failed:
        await table.apply(pk, "v", add={"n": 1}, when=[condition])
    assert failed.value.old is None
    assert await table.get(pk, "v", consistent=True) is None


async def test_all_conditions_must_hold(table: Table, pk: str) -> None:
    await table.put({"pk": pk, "sk": "v", "a": 1, "b": 2})
    with pytest.raises(ConditionFailed):
        await table.apply(pk, "v", set={"c": 3}, when=[AtMost("a", 1), Missing("b")])
    assert "c" in await table.apply(pk, "v", set={"c": 3}, when=[AtMost("a", 1), Exists("b"), Missing("c"), Equals("a", 1)])


async def test_query_is_in_sort_key_order_by_utf8_bytes(table: Table, pk: str) -> None:
    keys = ["a", "B", "a#2", "a#10", "é", "z", "🎈", "\uffff"]
    for sk in keys:
        await table.put({"pk": pk, "sk": sk})
    await table.put({"pk": pk + "x", "sk": "other partition"})
    ordered = sorted(keys, key=str.encode)
    assert await sks(table, pk) == ordered
    assert await sks(table, pk, descending=True) == ordered[::-1]


async def test_query_by_prefix(table: Table, pk: str) -> None:
    for sk in ("key", "keys#1", "keys#2", "keys$", "kez", "k\U0010ffff", "k\U0010ffffa", "l"):
        await table.put({"pk": pk, "sk": sk})
    assert await sks(table, pk, prefix="keys#") == ["keys#1", "keys#2"]
    assert await sks(table, pk, prefix="keys#", descending=True) == ["keys#2", "keys#1"]
    assert await sks(table, pk, prefix="key") == ["key", "keys#1", "keys#2", "keys$"]
    assert await sks(table, pk, prefix="k\U0010ffff") == ["k\U0010ffff", "k\U0010ffffa"]
    assert await sks(table, pk, prefix="nothing") == []


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("limit", [1, 3, 4, 100])
async def test_pages_hold_every_item_once(table: Table, pk: str, limit: int, descending: bool) -> None:
    keys = [f"k#{number}" for number in range(8)]
    for sk in (*keys, "j", "l"):
        await table.put({"pk": pk, "sk": sk})
    seen, pages = await every_page(table, pk, prefix="k#", limit=limit, descending=descending)
    assert seen == (keys[::-1] if descending else keys)
    assert all(len(page.items) <= limit for page in pages)


async def test_an_index_shows_items_that_carry_its_keys(table: Table, pk: str) -> None:
    team, user = f"team#{pk}", f"user#{pk}"
    await table.put({"pk": pk, "sk": "b", "gsi2pk": team, "gsi2sk": "2026-02", "n": 1})
    await table.put({"pk": pk, "sk": "a", "gsi2pk": team, "gsi2sk": "2026-03", "gsi3pk": user, "gsi3sk": "1"})
    await table.put({"pk": pk, "sk": "c", "gsi2pk": team})
    await table.put({"pk": pk, "sk": "d"})
    assert await sks(table, team, index="gsi2") == ["b", "a"]
    assert await sks(table, team, index="gsi2", descending=True) == ["a", "b"]
    assert await sks(table, team, index="gsi2", prefix="2026-03") == ["a"]
    assert await sks(table, user, index="gsi3") == ["a"]
    assert (await table.query(team, index="gsi2", limit=1)).items == [{"pk": pk, "sk": "b", "gsi2pk": team, "gsi2sk": "2026-02", "n": 1}]


async def test_apply_moves_an_item_into_and_out_of_an_index(table: Table, pk: str) -> None:
    await table.apply(pk, "v", set={"gsi1pk": pk, "gsi1sk": "1"})
    assert await sks(table, pk, index="gsi1") == ["v"]
    await table.apply(pk, "v", set={"gsi1pk": f"{pk}/other"})
    assert await sks(table, pk, index="gsi1") == []
    assert await sks(table, f"{pk}/other", index="gsi1") == ["v"]
    await table.apply(pk, "v", remove=["gsi1pk"])
    assert await sks(table, f"{pk}/other", index="gsi1") == []


async def test_index_pages_hold_every_item_once_also_when_sort_keys_are_equal(table: Table, pk: str) -> None:
    for number in range(7):
        await table.put({"pk": pk, "sk": str(number), "gsi1pk": pk, "gsi1sk": "same"})
    seen, pages = await every_page(table, pk, index="gsi1", limit=3)
    assert sorted(seen) == [str(number) for number in range(7)]
    assert len(pages) >= 3


async def test_a_token_that_is_not_ours_is_refused(table: Table, pk: str) -> None:
    for sk in ("k#1", "k#2", "k#3"):
        await table.put({"pk": pk, "sk": sk, "gsi1pk": pk, "gsi1sk": sk})
    token = (await table.query(pk, prefix="k#", limit=1)).next
    assert token
    assert await sks(table, pk, prefix="k#", after=token) == ["k#2", "k#3"]
    for bad in ("", "x", "bm90IGpzb24=", "e30=", "W10=", "žž", token[:-4], token + "!!"):
        with pytest.raises(ValueError):
            await table.query(pk, after=bad)
    for elsewhere in ({"pk": f"{pk}x"}, {"pk": pk, "index": "gsi1"}, {"pk": pk, "prefix": "k#2"}):
        with pytest.raises(ValueError):
            await table.query(**elsewhere, after=token)


async def test_a_query_that_makes_no_sense_is_refused(tables: Tables, pk: str) -> None:
    with pytest.raises(ValueError):
        await tables.directory.query(pk, index="gsi9")
    with pytest.raises(ValueError):
        await tables.directory.query(pk, limit=0)


async def test_a_query_of_an_index_that_the_table_has_not(tables: Tables, pk: str) -> None:
    with pytest.raises(ValueError):
        await tables.counters.query(pk, index="gsi1")


async def test_an_expired_item_is_not_there(table: Table, pk: str) -> None:
    await table.put({"pk": pk, "sk": "dead", "ttl": PAST, "gsi1pk": pk, "gsi1sk": "1"})
    await table.put({"pk": pk, "sk": "live", "ttl": FUTURE, "gsi1pk": pk, "gsi1sk": "2"})
    await table.put({"pk": pk, "sk": "text", "ttl": "never"})
    assert await table.get(pk, "dead", consistent=True) is None
    assert await sks(table, pk) == ["live", "text"]
    assert await sks(table, pk, index="gsi1") == ["live"]
    assert await table.delete(pk, "dead") is None
    assert await table.delete(pk, "live") is not None


async def test_a_write_meets_an_expired_item_as_if_it_were_not_there(table: Table, pk: str) -> None:
    for sk in ("a", "b", "c"):
        await table.put({"pk": pk, "sk": sk, "n": 100, "old": True, "ttl": PAST})
    await table.put_new({"pk": pk, "sk": "a", "n": 1})
    assert await table.get(pk, "a", consistent=True) == {"pk": pk, "sk": "a", "n": 1}
    after = await table.apply(pk, "b", add={"n": 1}, set={"ttl": FUTURE}, when=[AtMost("n", 0), Missing("old")])
    assert after == {"pk": pk, "sk": "b", "n": 1, "ttl": FUTURE}
    with pytest.raises(ConditionFailed) as failed:
        await table.apply(pk, "c", add={"n": 1}, when=[Exists()])
    assert failed.value.old is None


async def test_the_three_tables_are_apart(tables: Tables, pk: str) -> None:
    await tables.directory.put({"pk": pk, "sk": "v", "n": 1})
    await tables.counters.put({"pk": pk, "sk": "v", "n": 2})
    assert await tables.ledger.get(pk, "v", consistent=True) is None
    assert await tables.directory.get(pk, "v", consistent=True) == {"pk": pk, "sk": "v", "n": 1}


async def test_changing_a_returned_item_does_not_change_the_store(table: Table, pk: str) -> None:
    item = {"pk": pk, "sk": "v", "list": [1]}
    await table.put(item)
    item["list"].append(2)  # type: ignore[attr-defined]
    first = await table.get(pk, "v", consistent=True)
    assert first is not None
    first["list"].append(3)
    assert await table.get(pk, "v", consistent=True) == {"pk": pk, "sk": "v", "list": [1]}
