"""Health probes in the whole gateway: who is asked, what the fleet makes of it, what `/health/latest` and `/health/history` say."""

from typing import Any

import pytest
from tests.support.gateway import MASTER_KEY, model
from tests.support.upstream import completion
from tests.support.wiring import Said, Wired, wire

from tollkeeper.providers.transport import OutboundRequest

ON = {"background_health_checks": True}


def at(name: str, group: str = "fast", info: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
    return model(group, "openai/m", f"https://{name}.test/v1", model_info={"id": name, **(info or {})}, **params)


class Provider:
    """`dead` hosts refuse the credential."""

    def __init__(self) -> None:
        self.dead: set[str] = set()
        self.asked: list[str] = []

    def answer(self, request: OutboundRequest) -> Said:
        host = request.url.removeprefix("https://").split(".")[0]
        self.asked.append(host)
        return Said(401, {"error": {"message": "revoked"}}) if host in self.dead else Said(body=completion())


async def health(wired: Wired, path: str, key: str = MASTER_KEY) -> Any:
    answer = await wired.client.get(path, headers={"authorization": f"Bearer {key}"})
    return answer.json() if answer.status_code == 200 else answer.status_code


async def test_nothing_is_probed_unless_it_is_asked_for() -> None:
    provider = Provider()
    wired = await wire(provider.answer, at("a"), at("b"))
    assert await wired.running.prober.probe_all() == 0
    assert provider.asked == []
    assert {row["status"] for row in (await health(wired, "/health/latest"))["latest_health_checks"].values()} == {"unknown"}


async def test_a_dead_deployment_is_found_before_a_caller_finds_it_and_comes_back_without_one() -> None:
    provider = Provider()
    wired = await wire(provider.answer, at("a", order=1), at("b", order=2), general_settings=ON)
    provider.dead = {"a"}
    assert await wired.running.prober.probe_all() == 2
    provider.asked.clear()
    assert {(await wired.chat()).status_code for _ in range(5)} == {200}
    assert set(provider.asked) == {"b"}
    latest = (await health(wired, "/health/latest"))["latest_health_checks"]
    assert (latest["a"]["status"], latest["a"]["circuit"], latest["a"]["error_type"]) == ("unhealthy", "open", "authentication_error")
    assert (latest["b"]["status"], latest["b"]["circuit"]) == ("healthy", "closed")
    provider.dead = set()
    wired.clock.advance(5)
    await wired.running.prober.probe_all()
    provider.asked.clear()
    assert (await wired.chat()).status_code == 200
    assert provider.asked == ["a"]
    assert (await health(wired, "/health/latest"))["latest_health_checks"]["a"]["circuit"] == "closed"


async def test_probes_are_in_the_ledger_and_some_deployments_are_left_alone() -> None:
    provider = Provider()
    rows = (
        at("a"),
        at("off", info={"disable_background_health_check": True}),
        at("img", "pic", {"mode": "image_generation"}),
        at("c", "g"),
    )
    wired = await wire(provider.answer, *rows, general_settings={**ON, "background_health_check_model_groups": ["fast", "pic"]})
    await wired.running.prober.probe_all()
    assert provider.asked == ["a"]
    (entry,) = await wired.ledger()
    assert (entry["key_alias"], entry["deployment_id"]) == ("health_check", "a")


async def test_what_our_own_rules_refuse_is_no_news_of_the_deployment() -> None:
    provider = Provider()
    rows = (at("a", info={"region": "us"}), at("b", info={"region": "eu"}))
    wired = await wire(provider.answer, *rows, general_settings=ON, tollkeeper={"routing": {"require": {"region": "eu"}}})
    await wired.running.prober.probe_all()
    assert provider.asked == ["b"]
    latest = (await health(wired, "/health/latest"))["latest_health_checks"]
    assert {name: row["status"] for name, row in latest.items()} == {"a": "unknown", "b": "healthy"}


async def test_the_history_is_paged_and_filtered_newest_first() -> None:
    provider = Provider()
    wired = await wire(provider.answer, at("a"), at("b", "other"), general_settings=ON)
    for number in range(4):
        provider.dead = {"b"} if number % 2 else set()
        await wired.running.prober.probe_all()
        wired.clock.advance(400)
    page = await health(wired, "/health/history?limit=3&offset=1")
    assert (page["total_records"], len(page["health_checks"]), page["limit"], page["offset"]) == (8, 3, 3, 1)
    moments = [row["checked_at"] for row in page["health_checks"]]
    assert moments == sorted(moments, reverse=True)
    bad = await health(wired, "/health/history?status_filter=unhealthy&model=other")
    assert [row["model_id"] for row in bad["health_checks"]] == ["b", "b"]
    assert await health(wired, "/health/history?limit=many") == 400
    assert await health(wired, "/health/history?status_filter=ill") == 400


@pytest.mark.parametrize("path", ["/health/latest", "/health/history"])
async def test_only_administrators_see_them(path: str) -> None:
    wired = await wire(Provider().answer, at("a"))
    assert await health(wired, path, await wired.new_key()) == 403
    assert await health(wired, path, "sk-wrong") == 401


async def test_live_statistics_are_there_within_seconds() -> None:
    wired = await wire(Provider().answer, at("a"), at("b"), tollkeeper={"routing": {"statistics": True}})
    for _ in range(10):
        assert (await wired.chat()).status_code == 200
    await wired.running.gateway.drain()
    wired.clock.advance(1)
    latest = (await health(wired, "/health/latest"))["latest_health_checks"]
    assert sum(row["calls"] for row in latest.values()) == 10
    assert {row["error_rate"] for row in latest.values()} == {0.0}
