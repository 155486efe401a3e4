"""The name a caller asks for, and the deployments it means."""

from dataclasses import replace
from typing import Any

from tollkeeper.config.snapshot import Deployment, Prices, Rate, Snapshot
from tollkeeper.routing.resolve import Groups


def deployment(group: str, model: str, **fields: Any) -> Deployment:
    return Deployment(
        id=f"{group}:{model}", group=group, provider="openai", dialect="openai_chat", model=model, base_url="http://x", **fields
    )


def models(groups: Groups, name: str, aliases: dict[str, str] | None = None) -> list[str]:
    found = groups.find(name, aliases)
    return [row.model for row in found.deployments] if found else []


def test_an_exact_name_wins_over_a_pattern_and_a_longer_pattern_over_a_shorter() -> None:
    rows = (deployment("*", "*"), deployment("openai/*", "*"), deployment("openai/gpt-4o", "pinned"))
    groups = Groups(Snapshot(version="t", deployments=rows))
    assert models(groups, "openai/gpt-4o") == ["pinned"]
    assert models(groups, "openai/gpt-5") == ["gpt-5"]
    assert models(groups, "anything") == ["anything"]


def test_a_pattern_row_takes_the_price_of_the_model_it_becomes() -> None:
    price = Prices({"input": Rate(7)}, "test")
    row = deployment("openai/*", "*", wildcard_prices={"gpt-5": price})
    found = Groups(Snapshot(version="t", deployments=(row,))).find("openai/gpt-5")
    assert found is not None
    assert found.deployments[0].prices == price
    unknown = Groups(Snapshot(version="t", deployments=(row,))).find("openai/gpt-99")
    assert unknown is not None
    assert unknown.deployments[0].prices is None


def test_aliases_of_the_key_then_of_the_config_lead_to_a_group() -> None:
    groups = Groups(Snapshot(version="t", deployments=(deployment("fast", "a"), deployment("slow", "b")), aliases={"gpt-4": "slow"}))
    assert models(groups, "gpt-4") == ["b"]
    assert models(groups, "gpt-4", {"gpt-4": "fast"}) == ["a"]
    assert models(groups, "nope") == []


def test_a_deployment_can_be_asked_for_by_its_id() -> None:
    groups = Groups(Snapshot(version="t", deployments=(deployment("fast", "a"), deployment("fast", "b"))))
    assert models(groups, "fast:b") == ["b"]


def test_patterns_are_not_listed_and_access_groups_are() -> None:
    rows = (deployment("fast", "a", access_groups=("beta",)), deployment("openai/*", "*"))
    groups = Groups(Snapshot(version="t", deployments=rows, aliases={"quick": "fast"}))
    assert groups.listed() == {"fast": frozenset({"beta"}), "quick": frozenset({"beta"})}


def test_behind_a_pattern_the_name_that_is_asked_for_says_where_it_may_go() -> None:
    row = replace(deployment("bedrock/*", "*", labels={"region": "eu-central-1"}), provider="bedrock")
    groups = Groups(Snapshot(version="t", deployments=(row,)))
    places = {}
    for name in ("anthropic.claude-x", "eu.anthropic.claude-x", "us.anthropic.claude-x", "global.anthropic.claude-x"):
        found = groups.find(f"bedrock/{name}")
        assert found is not None
        places[name.split(".")[0]] = found.deployments[0].satisfies("region", ["eu"])
    assert places == {"anthropic": True, "eu": True, "us": False, "global": False}
