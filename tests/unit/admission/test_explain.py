"""`POST /routing/explain`, and the same record on ledger entries: what would happen, what did, and why."""

from typing import Any

from tests.support.gateway import MASTER_KEY, model
from tests.support.upstream import completion
from tests.support.wiring import Said, Wired, wire

from tollkeeper.providers.transport import OutboundRequest

FREE = {"input_cost_per_token": 2e-6, "output_cost_per_token": 8e-6}


def rows() -> list[dict[str, Any]]:
    def at(name: str, group: str = "fast", info: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
        return model(group, "openai/m", f"https://{name}.test/v1", model_info={"id": name, **(info or {})}, **FREE, **params)

    return [
        at("us", info={"region": "us"}, order=1),
        at("eu", info={"region": "eu-central-1"}, order=1, rpm=100),
        at("blind", info={"region": "eu", "supports_vision": False}, order=2),
        at("spare", "spare", info={"region": "eu"}),
    ]


def answer(request: OutboundRequest) -> Said:
    return Said(401, {"error": {"message": "revoked"}}) if "//eu." in request.url else Said(body=completion())


async def explain(wired: Wired, key: str = MASTER_KEY, query: str = "", **body: Any) -> dict[str, Any]:
    asked = {"model": "fast", "messages": [{"role": "user", "content": "Say hello"}], **body}
    response = await wired.client.post(f"/routing/explain{query}", json=asked, headers={"authorization": f"Bearer {key}"})
    assert response.status_code == 200, response.text
    return dict(response.json())


async def test_every_deployment_is_in_the_plan_or_dropped_for_a_reason() -> None:
    wired = await wire(answer, *rows(), router_settings={"fallbacks": [{"fast": ["spare"]}], "num_retries": 3})
    key = await wired.new_key(metadata={"require": {"region": "eu"}}, max_budget=2.0, key_alias="eu-only")
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}]}]
    said = await explain(wired, key, messages=image, max_tokens=1000)
    reasons = {row["id"]: row["dropped_because"] for row in said["deployments"]}
    assert reasons == {
        "us": "its region is us, and region=eu (the key) is required",
        "eu": None,
        "blind": "it lacks vision",
    }
    assert (said["first"], said["retries"], said["needs"], said["required"]) == ("eu", 3, ["vision"], ["region=eu (the key)"])
    assert said["deployments"][0]["id"] == "eu"
    assert said["deployments"][0]["prices_usd_per_million"] == {"input": 2.0, "output": 8.0}
    assert said["deployments"][0]["limits"]["rpm"] == 100
    assert [row["id"] for row in said["fallbacks"]["spare"]] == ["spare"]
    (budget,) = said["budgets"]
    assert (budget["scope"], budget["name"], budget["max_usd"], budget["spent_usd"]) == ("key", "eu-only", 2.0, 0.0)
    assert 0.008 < said["worst_case_usd"] < 0.05
    assert wired.transport.sent == []
    assert await wired.ledger() == []


async def test_what_rests_is_said_to_rest_and_the_ledger_tells_what_was_tried() -> None:
    wired = await wire(answer, *rows(), router_settings={"num_retries": 3})
    body = {"metadata": {"require": "region=eu"}, "messages": [{"role": "user", "content": "hi"}]}
    assert (await wired.chat(**body)).status_code == 200
    for _ in range(6):
        await wired.chat(**body)
    said = await explain(wired, **body)
    reasons = {row["id"]: row["dropped_because"] for row in said["deployments"]}
    assert reasons["eu"] is not None
    assert reasons["eu"].startswith("it rests for")
    assert {row["id"]: row["circuit"] for row in said["deployments"]} == {"us": "closed", "eu": "open", "blind": "closed"}
    tried = [entry["routing"] for entry in await wired.ledger() if len(entry["routing"]["tries"]) > 1]
    assert [(row["deployment"], row["outcome"]) for row in tried[0]["tries"]] == [("eu", "authentication_error"), ("blind", "ok")]
    assert tried[0]["dropped"] == {"us": "its region is us, and region=eu (the request) is required"}


async def test_a_refusal_is_an_answer_and_a_wrong_key_is_not() -> None:
    wired = await wire(answer, *rows())
    said = await explain(wired, metadata={"require": "region=mars"})
    assert (said["refused"]["status"], said["refused"]["code"]) == (403, "no_permitted_deployment")
    asked = {"model": "fast", "messages": []}
    assert (await wired.client.post("/routing/explain", json=asked)).status_code == 401
    nowhere = await wired.client.post("/routing/explain?endpoint=/v1/nope", json=asked, headers={"authorization": f"Bearer {MASTER_KEY}"})
    assert (nowhere.status_code, nowhere.json()["error"]["param"]) == (400, "endpoint")
    assert (await explain(wired, query="?endpoint=/v1/messages"))["group"] == "fast"
