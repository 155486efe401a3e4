"""Every report says what the ledger's entries add up to, counted independently, and in LiteLLM's words."""

from typing import Any

import pytest
from tests.unit.reports.conftest import Books

DATES = {"start_date": "2026-12-20", "end_date": "2027-01-10"}
RANGE = ("2026-12-20", "2027-01-10")
LAST_30 = ("2026-12-17", "2027-01-15")


def nano(dollars: float) -> int:
    return round(dollars * 10**9)


def whole(books: Books, first: str, last: str) -> int:
    return sum(books.of("all", first, last).values())


@pytest.mark.parametrize("dates", [RANGE, ("2026-12-01", "2026-12-31"), ("2026-12-06", "2027-01-15"), ("2027-01-03", "2027-01-03")])
async def test_tags_customers_keys_and_models_add_up_over_any_range(books: Books, dates: tuple[str, str]) -> None:
    query = {"start_date": dates[0], "end_date": dates[1]}
    tags = await books.get("/spend/tags", **query)
    assert {row["individual_request_tag"]: nano(row["total_spend"]) for row in tags} == books.of("tag", *dates)
    tags = (await books.get("/global/spend/tags", **query))["spend_per_tag"]
    assert {row["name"]: nano(row["spend"]) for row in tags} == books.of("tag", *dates)
    keys = await books.get("/global/spend/keys", **query)
    assert {row["api_key"]: nano(row["total_spend"]) for row in keys} == books.of("key", *dates)
    assert all(row["key_alias"] == row["api_key"].replace("hash-", "key ") for row in keys)
    assert sum(nano(row["total_spend"]) for row in await books.get("/global/spend/models", **query)) == whole(books, *dates)
    providers = await books.get("/global/spend/provider", **query)
    assert {row["provider"]: nano(row["spend"]) for row in providers} == books.of("provider", *dates)
    answer = await books.admin.post("/global/spend/end_users", {"startTime": dates[0], "endTime": dates[1]})
    assert {row["end_user"]: nano(row["total_spend"]) for row in answer.json()} == books.of("customer", *dates)


async def test_the_last_thirty_days(books: Books) -> None:
    assert nano((await books.get("/global/spend"))["spend"]) == whole(books, *LAST_30)
    daily = await books.get("/global/spend/logs")
    assert {row["date"]: nano(row["spend"]) for row in daily} == {
        day: spend
        for (kind, _, day), (spend, _) in books.sums.items()
        if kind == "all" and len(day) == 10 and LAST_30[0] <= day <= LAST_30[1]
    }
    teams = await books.get("/global/spend/teams")
    total = {row["team_id"]: nano(row["total_spend"]) for row in teams["total_spend_per_team"]}
    assert total == {team or "Unassigned Team": spend for team, spend in books.of("team", *LAST_30).items()}
    assert sum(nano(value) for row in teams["daily_spend"] for name, value in row.items() if name != "date") == whole(books, *LAST_30)
    assert (await books.get("/global/spend/all_tag_names"))["tag_names"] == ["tag-0", "tag-1", "tag-2"]
    assert len((await books.get("/global/all_end_users"))["end_users"]) == 5


async def test_activity_counts_calls_and_tokens(books: Books) -> None:
    found = [item for item in books.entries if RANGE[0] <= item["started_at"][:10] <= RANGE[1]]
    answer = await books.get("/global/activity", **DATES)
    assert answer["sum_api_requests"] == len(found)
    assert answer["sum_total_tokens"] == sum(item.get("input_tokens", 0) + item.get("output_tokens", 0) for item in found)
    assert answer["daily_data"][0]["date"] == "Dec 20"
    models = await books.get("/global/activity/model", **DATES)
    assert {row["model"]: row["sum_api_requests"] for row in models} == {
        name: sum(item["model"] == name for item in found) for name in ("fast", "smart", "local")
    }
    refused = await books.get("/global/activity/exceptions", model_group="fast", **DATES)
    assert refused["sum_num_rate_limit_exceptions"] == sum(item["model"] == "fast" and item.get("http_status") == 429 for item in found)
    assert sum(row["total_rows"] for row in await books.get("/global/activity/cache_hits", **DATES)) == len(found)


KINDS = {
    "team": "team_ids",
    "organization": "organization_ids",
    "tag": "tags",
    "customer": "end_user_ids",
    "user": "user_id",
    "key": "api_key",
}


@pytest.mark.parametrize("kind", KINDS)
async def test_daily_activity_of_all_and_of_one(books: Books, kind: str) -> None:
    answer = await books.get(f"/{kind}/daily/activity", **DATES)
    expected = books.of(kind, *RANGE)
    entities: dict[str, int] = {}
    for day in answer["results"]:
        for name, row in day["breakdown"]["entities"].items():
            entities[name] = entities.get(name, 0) + nano(row["metrics"]["spend"])
    assert entities == expected
    one = min(name for name in expected if name)
    answer = await books.get(f"/{kind}/daily/activity/aggregated", **{**DATES, KINDS[kind]: one})
    assert nano(answer["metadata"]["total_spend"]) == expected[one]
    models = sum(nano(row["metrics"]["spend"]) for day in answer["results"] for row in day["breakdown"]["models"].values())
    keys = sum(nano(row["metrics"]["spend"]) for day in answer["results"] for row in day["breakdown"]["api_keys"].values())
    assert models == keys == expected[one]
    behind = [row for day in answer["results"] for row in day["breakdown"]["providers"].values()]
    assert all(
        nano(row["metrics"]["spend"]) == sum(nano(key["metrics"]["spend"]) for key in row["api_key_breakdown"].values()) for row in behind
    )


async def test_daily_activity_has_litellms_fields_and_pages(books: Books) -> None:
    answer = await books.get("/team/daily/activity", **DATES, page=2, page_size=5)
    assert [day["date"] for day in answer["results"]] == ["2027-01-05", "2027-01-04", "2027-01-03", "2027-01-02", "2027-01-01"]
    assert (answer["metadata"]["page"], answer["metadata"]["total_pages"], answer["metadata"]["has_more"]) == (2, 5, True)
    metrics = answer["results"][0]["metrics"]
    assert metrics["api_requests"] == metrics["successful_requests"] + metrics["failed_requests"]
    assert metrics["total_tokens"] == metrics["prompt_tokens"] + metrics["completion_tokens"]
    assert set(answer["results"][0]["breakdown"]) == {
        "mcp_servers", "models", "model_groups", "providers", "endpoints", "api_keys", "entities"
    }  # fmt: skip
    assert answer["metadata"]["total_api_requests"] == sum(day["metrics"]["api_requests"] for day in answer["results"])
    assert (await books.get("/team/daily/activity", **DATES, page=99))["results"] == []


async def test_daily_activity_of_one_model(books: Books) -> None:
    answer = await books.get("/user/daily/activity", **DATES, model="claude-sonnet-4-5")
    assert nano(answer["metadata"]["total_spend"]) == books.of("provider", *RANGE)["anthropic"]


@pytest.mark.parametrize(("group", "plural", "name"), [("team", "teams", "team_name"), ("customer", "customers", "customer")])
async def test_the_spend_report_by_day_and_group(books: Books, group: str, plural: str, name: str) -> None:
    rows = await books.get("/global/spend/report", group_by=group, **DATES)
    found: dict[str, int] = {}
    for row in rows:
        for owner in row[plural]:
            assert nano(owner["total_spend"]) == sum(nano(part["spend"]) for part in owner["metadata"])
            found[owner[name]] = found.get(owner[name], 0) + nano(owner["total_spend"])
    assert found == {value or "Unassigned Team": spend for value, spend in books.of(group, *RANGE).items()}


async def test_the_spend_report_by_key_and_of_one(books: Books) -> None:
    rows = await books.get("/global/spend/report", group_by="api_key", **DATES)
    assert {row["api_key"]: nano(row["total_cost"]) for row in rows} == books.of("key", *RANGE)
    (row,) = await books.get("/key/spend/report", api_key="hash-3", **DATES)
    assert nano(row["total_cost"]) == books.of("key", *RANGE)["hash-3"] == sum(nano(part["total_cost"]) for part in row["model_details"])
    for path, query, kind in (
        ("/user/spend/report", {"user_id": "user-2"}, "user"),
        ("/team/spend/report", {"team_id": "team-1"}, "team"),
        ("/organization/spend/report", {"organization_id": "org-0"}, "organization"),
        ("/global/spend/report", {"internal_user_id": "user-2"}, "user"),
    ):
        rows = await books.get(path, **query, **DATES)
        assert sum(nano(row["total_cost"]) for row in rows) == books.of(kind, *RANGE)[next(iter(query.values()))]


async def test_the_log_by_day_is_a_summary(books: Books) -> None:
    rows = await books.get("/spend/logs", **DATES)
    assert [row["startTime"] for row in rows] == sorted(row["startTime"] for row in rows)
    assert (len(rows), sum(nano(row["spend"]) for row in rows)) == (22, whole(books, *RANGE))
    assert all(nano(row["spend"]) == sum(map(nano, row["models"].values())) == sum(map(nano, row["users"].values())) for row in rows)
    own = await books.get("/spend/logs", user_id="user-2", **DATES)
    assert sum(nano(row["spend"]) for row in own) == books.of("user", *RANGE)["user-2"]


async def logged(books: Books, **query: Any) -> list[str]:
    """The ids of every page."""
    first = await books.get("/spend/logs/v2", **query, page_size=100)
    rows = first["data"]
    for page in range(2, first["total_pages"] + 1):
        rows += (await books.get("/spend/logs/v2", **query, page_size=100, page=page))["data"]
    assert first["total"] == len(rows)
    return [row["request_id"] for row in rows]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, lambda item: True),
        ({"api_key": "hash-1"}, lambda item: item["key_hash"] == "hash-1"),
        ({"team_id": "team-2"}, lambda item: item.get("team_id") == "team-2"),
        ({"user_id": "user-0", "model": "smart"}, lambda item: (item["user_id"], item["model"]) == ("user-0", "smart")),
        ({"api_key": "hash-1", "team_id": "team-2"}, lambda item: (item["key_hash"], item.get("team_id")) == ("hash-1", "team-2")),
        ({"status_filter": "failure", "min_spend": 0.0001}, lambda item: item.get("status") == "cut" and item["cost"] >= 100_000),
        ({"end_user": "customer#3", "max_spend": 0.001}, lambda item: item.get("customer_id") == "customer#3" and item["cost"] <= 10**6),
    ],
)
async def test_single_calls_are_listed_newest_first_page_by_page(books: Books, query: dict[str, Any], wanted: Any) -> None:
    found = [item for item in books.entries if RANGE[0] <= item["started_at"][:10] <= RANGE[1] and wanted(item)]
    assert await logged(books, **DATES, **query) == [item["sk"] for item in reversed(found)]


async def test_single_calls_within_hours_and_by_what_they_cost(books: Books) -> None:
    span = {"start_date": "2026-12-24 06:00:00", "end_date": "2026-12-25 18:00:00"}
    found = [item for item in books.entries if "2026-12-24T06:00:00.000Z" <= item["started_at"] <= "2026-12-25T18:00:00.999Z"]
    assert await logged(books, **span) == [item["sk"] for item in reversed(found)]
    ranked = (await books.get("/spend/logs/ui", **span, sort_by="spend", page_size=100))["data"]
    assert [nano(row["spend"]) for row in ranked] == sorted((item["cost"] for item in found), reverse=True)[:100]


async def test_one_call_by_its_id(books: Books) -> None:
    item = books.entries[700]
    for row in (
        (await books.get("/spend/logs", request_id=item["sk"]))[0],
        (await books.get("/spend/logs/v2", request_id=item["sk"]))["data"][0],
        await books.get(f"/spend/logs/ui/{item['sk']}"),
    ):
        assert (row["request_id"], nano(row["spend"]), row["api_key"]) == (item["sk"], item["cost"], item["key_hash"])
        assert (row["startTime"], row["model_group"]) == (item["started_at"], item["model"])
        assert row["messages"] == row["response"] == {}
    for unknown in ("nothing", "0" * 26, item["sk"][:-1] + "z"):
        assert (await books.admin.get("/spend/logs", request_id=unknown)).status_code == 404


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/spend/tags", {"start_date": "2027-01-10", "end_date": "2027-01-01"}, "end_date"),
        ("/spend/tags", {"start_date": "yesterday"}, "start_date"),
        ("/spend/tags", {"start_date": "2020-01-01", "end_date": "2027-01-01"}, "start_date"),
        ("/global/activity", {}, "start_date"),
        ("/global/activity", {"start_date": "2027-01-01"}, "end_date"),
        ("/global/activity", {"start_date": "9999-99-99", "end_date": "2027-01-01"}, "start_date"),
        ("/global/spend/report", {**DATES, "group_by": "weather"}, "group_by"),
        ("/team/daily/activity", {**DATES, "page_size": "1000000"}, "page_size"),
        ("/team/daily/activity", {**DATES, "page": "0"}, "page"),
        ("/team/daily/activity", {**DATES, "team_ids": ",".join(map(str, range(101)))}, "team_ids"),
        ("/spend/logs/v2", {**DATES, "page": "9999"}, "page"),
        ("/spend/logs/v2", {**DATES, "min_spend": "nan"}, "min_spend"),
        ("/spend/logs/v2", {**DATES, "sort_by": "prompt"}, "sort_by"),
        ("/global/spend/models", {"limit": "-1"}, "limit"),
    ],
)
async def test_a_question_that_makes_no_sense_names_the_field(books: Books, path: str, query: dict[str, str], field: str) -> None:
    answer = await books.admin.get(path, **query)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field), answer.text
