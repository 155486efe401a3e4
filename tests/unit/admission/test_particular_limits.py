"""What a key or team may do with some of its calls: those with a tag, and those that go to a provider raw."""

from typing import Any

import pytest
from tests.support.gateway import model
from tests.support.upstream import completion
from tests.support.wiring import Said, Wired, wire

PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001}


async def gateway() -> Wired:
    return await wire(lambda _: Said(body=completion()), model("fast", "openai/gpt-4o-mini", "http://cheap.test/v1", model_info=PRICES))


async def test_calls_with_a_tag_have_a_rate_of_their_own() -> None:
    wired = await gateway()
    key = await wired.new_key(tag_rpm_limit={"nightly": 2}, key_alias="jobs")
    tagged: dict[str, Any] = {"metadata": {"tags": ["nightly"]}}
    assert [(await wired.chat(key, **tagged)).status_code for _ in range(3)] == [200, 200, 429]
    refused = await wired.chat(key, **tagged)
    assert "jobs with Tag=nightly" in refused.json()["error"]["message"]
    assert (await wired.chat(key)).status_code == 200
    assert (await wired.chat(key, metadata={"tags": ["other"]})).status_code == 200
    wired.clock.advance(60)
    assert (await wired.chat(key, **tagged)).status_code == 200


@pytest.mark.parametrize("field", ["tag_rpm_limit", "mcp_rpm_limit"])
@pytest.mark.parametrize("value", [{"a": -1}, {"a": "many"}, {"a": True}, ["a"], {"": 1}])
async def test_a_limit_that_is_none_is_refused(field: str, value: Any) -> None:
    answer = await (await gateway()).admin("POST", "/key/generate", {field: value})
    assert answer.status_code in {400, 422}
    assert field in answer.json()["error"]["param"]


async def raw(wired: Wired, key: str, path: str = "/openai/chat/completions") -> int:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    return (await wired.client.post(path, json=body, headers={"authorization": f"Bearer {key}"})).status_code


async def test_raw_routes_are_allowed_and_denied_by_key_and_team() -> None:
    wired = await gateway()
    assert await raw(wired, await wired.new_key()) == 200
    assert await raw(wired, await wired.new_key(allowed_passthrough_routes=["/openai"])) == 200
    assert await raw(wired, await wired.new_key(allowed_passthrough_routes=["/openai/chat/*", "/gemini"])) == 200
    assert await raw(wired, await wired.new_key(allowed_passthrough_routes=["/gemini", "/open"])) == 403
    assert await raw(wired, await wired.new_key(denied_passthrough_routes=["/openai/chat/completions"])) == 403
    await wired.admin("POST", "/team/new", {"team_id": "t", "denied_passthrough_routes": ["/openai"]})
    key = await wired.new_key(team_id="t", allowed_passthrough_routes=["/openai"])
    assert await raw(wired, key) == 403
    assert (await wired.chat(key)).status_code == 200
    row = (await wired.admin("GET", "/team/info?team_id=t")).json()["team_info"]
    assert (row["denied_passthrough_routes"], row["allowed_passthrough_routes"]) == (["/openai"], None)
