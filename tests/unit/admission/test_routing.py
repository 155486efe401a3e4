"""Routing in the whole gateway, HTTP in: rules, required labels, auto-routers, cheaper models, silent copies, two deployments at once."""

import json
from collections import Counter
from typing import Any

import pytest
from tests.support.gateway import MASTER_KEY, model
from tests.support.stores import StillClock
from tests.support.upstream import completion
from tests.support.wiring import Said, Wired, wire

from tollkeeper.providers.transport import OutboundRequest

ANSWER = completion()


def host(request: OutboundRequest) -> str:
    return request.url.removeprefix("https://").split(".")[0]


def well(request: OutboundRequest) -> Said:
    if "embeddings" in request.url:
        return Said(body={"object": "list", "data": vectors(json.loads(request.body)), "model": "e", "usage": {"prompt_tokens": 2}})
    return Said(body=ANSWER)


def vectors(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Texts about code point one way, the others another."""
    return [
        {"object": "embedding", "index": index, "embedding": [1.0, 0.1] if "code" in text else [0.1, 1.0]}
        for index, text in enumerate(body["input"])
    ]


def at(name: str, group: str = "fast", upstream: str = "openai/m", info: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
    return model(group, upstream, f"https://{name}.test/v1", model_info={"id": name, **(info or {})}, **params)


US, EU = at("us", info={"region": "us-east-1", "labels": {"training": True}}), at("eu", info={"region": "eu-central-1"})
HOUSE = at("house", "secure-private", info={"region": "eu", "labels": {"private": True}})


def reached(wired: Wired) -> set[str]:
    return {host(request) for request in wired.transport.sent}


async def asked(wired: Wired, times: int = 12, headers: dict[str, str] | None = None, key: str = MASTER_KEY, **body: Any) -> list[int]:
    statuses = []
    for _ in range(times):
        answer = await wired.client.post(
            "/v1/chat/completions",
            json={"model": "fast", "messages": [{"role": "user", "content": "Say hello"}], **body},
            headers={"authorization": f"Bearer {key}", **(headers or {})},
        )
        statuses.append(answer.status_code)
    return statuses


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"x-tollkeeper-require": "region=eu"}, {}),
        ({"x-tollkeeper-require": "region=eu|uk, training=no"}, {}),
        ({}, {"metadata": {"require": {"region": "eu"}}}),
        ({}, {"metadata": {"require": {"region": ["eu-central-1", "uk"]}}}),
    ],
)
async def test_a_request_may_require_labels_of_its_deployment(headers: dict[str, str], body: dict[str, Any]) -> None:
    rows = (US, at("eu", info={"region": "eu-central-1", "labels": {"training": False}}))
    wired = await wire(well, *rows)
    assert set(await asked(wired, headers=headers, **body)) == {200}
    assert reached(wired) == {"eu"}


async def test_a_key_a_team_and_a_customer_may_require_them_too() -> None:
    wired = await wire(well, US, EU)
    team = (await wired.admin("POST", "/team/new", {"metadata": {"require": {"region": "eu"}}})).json()["team_id"]
    keys = [await wired.new_key(team_id=team), await wired.new_key(metadata={"require": "region=eu"})]
    for key in keys:
        assert set(await asked(wired, key=key)) == {200}
    await wired.admin("POST", "/customer/new", {"user_id": "c", "allowed_model_region": "eu"})
    assert set(await asked(wired, user="c")) == {200}
    assert reached(wired) == {"eu"}


async def test_where_nothing_may_take_it_the_refusal_says_what_was_required_and_by_whom() -> None:
    wired = await wire(well, US, HOUSE, router_settings={"fallbacks": [{"fast": ["secure-private"]}]})
    key = await wired.new_key(metadata={"require": {"region": "ch"}})
    answer = await wired.chat(key)
    assert answer.status_code == 403
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("no_permitted_deployment", "model")
    assert error["message"] == "No deployment of fast may take this request: region=ch (the key) is required."
    assert wired.transport.sent == []


async def test_a_fallback_serves_what_its_own_group_may_not_and_never_one_that_is_forbidden() -> None:
    def answer(request: OutboundRequest) -> Said:
        return Said(500, {"error": {"message": "down"}}) if host(request) == "house" else Said(body=ANSWER)

    wired = await wire(answer, US, HOUSE, at("spare", "spare"), router_settings={"fallbacks": [{"fast": ["spare", "secure-private"]}]})
    assert set(await asked(wired, headers={"x-tollkeeper-require": "private=true"})) == {500}
    assert reached(wired) == {"house"}


@pytest.mark.parametrize("require", [{"region": []}, {"region": {"eu": 1}}, "region", 7])
async def test_a_requirement_that_cannot_be_read_is_refused_and_not_passed_over(require: Any) -> None:
    wired = await wire(well, US)
    answer = await wired.chat(metadata={"require": require})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "metadata.require")
    key = await wired.new_key(metadata={"require": require})
    assert (await wired.chat(key)).status_code == 500
    assert wired.transport.sent == []


async def test_rules_send_confidential_requests_to_the_private_model_and_refuse_others() -> None:
    rules = [
        {"name": "confidential", "when": {"metadata": {"classification": "secret"}}, "use": "route to secure-private"},
        {"when": {"headers": {"x-app": "legacy-*"}}, "refuse": "This application has moved."},
        {"when": {"needs": ["vision"]}, "use": "secure-private"},
    ]
    wired = await wire(well, US, HOUSE, tollkeeper={"routing": {"rules": rules}})
    assert (await wired.chat(metadata={"classification": "secret"})).headers["x-litellm-model-group"] == "secure-private"
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}]}]
    assert (await wired.chat(messages=image)).status_code == 200
    assert reached(wired) == {"house"}
    (status,) = await asked(wired, 1, headers={"x-app": "legacy-crm"})
    assert status == 403
    assert (await wired.ledger())[0]["routing"]["rule"] == "confidential"


async def test_a_mixture_of_models_splits_its_calls_and_answers_under_its_own_name() -> None:
    rows = (at("o", "gpt"), at("a1", "claude"), at("a2", "claude"))
    wired = await wire(well, *rows, tollkeeper={"routing": {"models": {"chat": {"weights": {"gpt": 60, "claude": 40}}}}})
    answers = [(await wired.chat(model="chat")).json()["model"] for _ in range(300)]
    assert set(answers) == {"chat"}
    share = Counter(host(request) for request in wired.transport.sent)
    assert 0.5 < share["o"] / 300 < 0.7
    assert {"a1", "a2"} <= share.keys()


async def test_a_request_may_name_only_fallbacks_that_its_key_may_use_and_that_exist() -> None:
    wired = await wire(well, US, HOUSE)
    key = await wired.new_key(models=["fast"])
    refused = await wired.chat(key, fallbacks=["secure-private"])
    assert refused.status_code == 403
    unknown = await wired.chat(fallbacks=["nope"])
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "fallbacks")


async def test_a_keys_own_fallbacks_and_tags_count() -> None:
    def answer(request: OutboundRequest) -> Said:
        return Said(500, {"error": {"message": "down"}}) if host(request) == "free" else Said(body=ANSWER)

    house = at("house", "secure-private", tags=["default"])
    rows = (at("free", tags=["free"]), at("paid", tags=["paid"]), at("cli", tag_regex=["^User-Agent: claude-cli/"]), house)
    wired = await wire(answer, *rows, router_settings={"enable_tag_filtering": True})
    key = await wired.new_key(tags=["free"], router_settings={"fallbacks": [{"fast": ["secure-private"]}], "num_retries": 0})
    assert await asked(wired, 1, key=key) == [200]
    assert [host(request) for request in wired.transport.sent] == ["free", "house"]
    assert await asked(wired, 1, headers={"user-agent": "claude-cli/2.1"}) == [200]
    assert host(wired.transport.sent[-1]) == "cli"
    refused = await wired.chat(tags=["unknown"])
    assert refused.status_code == 401
    assert refused.json()["error"]["message"] == (
        "Not allowed to access model due to tags configuration. Passed model=fast and tags=['unknown']"
    )


async def test_outside_its_hours_a_deployment_is_not_used() -> None:
    clock = StillClock(1_790_000_000.0)  # Monday 2026-09-21 14:13 UTC
    rows = (at("day", info={"access_windows": ["mon-fri 08:00-18:00 UTC"]}), at("night", info={"access_windows": ["18:00-08:00 UTC"]}))
    wired = await wire(well, *rows, clock=clock)
    await asked(wired)
    assert reached(wired) == {"day"}
    clock.advance(8 * 3600)
    wired.transport.sent.clear()
    await asked(wired)
    assert reached(wired) == {"night"}


async def test_what_a_deployment_is_said_to_lack_it_is_not_asked_for() -> None:
    wired = await wire(well, at("blind", info={"supports_vision": False}), at("seeing", info={"supports_vision": True}))
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}]}]
    await asked(wired, messages=image)
    assert reached(wired) == {"seeing"}


ROUTER = {
    "model_name": "auto",
    "litellm_params": {
        "model": "auto_router/complexity_router",
        "complexity_router_config": {
            "tiers": {"SIMPLE": "fast", "MEDIUM": "fast", "COMPLEX": "secure-private", "REASONING": ["secure-private"]},
            "keyword_rules": [{"keywords": ["invoice"], "model": "spare"}],
        },
    },
}


async def test_an_auto_router_chooses_by_the_difficulty_of_the_question() -> None:
    wired = await wire(well, US, HOUSE, at("spare", "spare"), ROUTER)
    key = await wired.new_key(models=["auto"])
    hard = "Prove step by step that this distributed algorithm is correct, and analyze the trade-offs:\n```python\ndef f(): ...\n```"
    for text, group in (("hello", "fast"), (hard, "secure-private"), ("Where is my invoice?", "spare")):
        answer = await wired.chat(key, model="auto", messages=[{"role": "user", "content": text}])
        assert (answer.status_code, answer.json()["model"], answer.headers["x-litellm-model-group"]) == (200, "auto", group)
    assert (await wired.chat(key, model="fast")).status_code == 403
    assert "auto" in [
        row["id"] for row in (await wired.client.get("/v1/models", headers={"authorization": f"Bearer {key}"})).json()["data"]
    ]
    assert (await wired.ledger())[1]["routing"]["chosen_by"].startswith("auto-router auto: REASONING")


def semantic(**params: Any) -> dict[str, Any]:
    routes = [{"name": "secure-private", "utterances": ["write code", "fix my code"], "score_threshold": 0.8}]
    config = {"auto_router_config": json.dumps({"routes": routes}), "auto_router_default_model": "fast"}
    return {
        "model_name": "auto",
        "litellm_params": {"model": "auto_router/words", **config, "auto_router_embedding_model": "embed", **params},
    }


async def test_a_semantic_router_goes_by_meaning_and_books_its_embeddings() -> None:
    embedder = at("embed", "embed", "openai/text-embedding-3-small", info={"mode": "embedding", "region": "eu"})
    wired = await wire(well, US, HOUSE, embedder, semantic())
    for text, group in (("some code please", "secure-private"), ("a poem please", "fast")):
        answer = await wired.chat(model="auto", messages=[{"role": "user", "content": text}])
        assert answer.headers["x-litellm-model-group"] == group
    assert [host(request) for request in wired.transport.sent].count("embed") == 3, "the examples once, then each question"
    assert [entry["call_type"] for entry in await wired.ledger()].count("aembedding") == 3
    sent = len(wired.transport.sent)
    required = await asked(wired, 1, headers={"x-tollkeeper-require": "region=us"}, model="auto")
    assert required == [200]
    assert [host(request) for request in wired.transport.sent[sent:]] == ["us"], "the embedding model is not where this may go"


async def test_when_a_models_budget_is_used_up_the_cheaper_one_serves() -> None:
    prices = {"input_cost_per_token": 1e-5, "output_cost_per_token": 1e-4}
    rows = (at("dear", "big", **prices), at("cheap", "small", input_cost_per_token=0, output_cost_per_token=0))
    wired = await wire(well, *rows)
    caps = {"big": {"budget_limit": 0.0001, "time_period": "1d"}}
    key = await wired.new_key(models=["big"], model_max_budget=caps, budget_fallbacks={"big": ["nope", "small"]})
    answer = await wired.chat(key, model="big", max_tokens=100)
    assert (answer.status_code, answer.headers["x-litellm-model-group"], answer.json()["model"]) == (200, "small", "big")
    assert reached(wired) == {"cheap"}
    assert (await wired.ledger())[0]["routing"]["chosen_by"] == "the budget for big is used up"
    bare = await wired.new_key(models=["big"], model_max_budget=caps)
    assert (await wired.chat(bare, model="big", max_tokens=100)).status_code == 422


async def test_a_silent_model_gets_a_copy_that_nobody_sees_or_pays() -> None:
    free = {"input_cost_per_token": 0, "output_cost_per_token": 0}
    rows = (at("us", silent_model="next", info={"region": "us"}, **free), at("next", "next", info={"region": "eu"}))
    wired = await wire(well, *rows)
    key = await wired.new_key(max_budget=1.0)
    assert (await wired.chat(key, stream=False)).status_code == 200
    await wired.running.gateway.drain()
    assert [host(request) for request in wired.transport.sent] == ["us", "next"]
    entries = {entry["model"]: entry for entry in await wired.ledger()}
    assert entries["next"]["key_alias"] == "silent_model"
    assert entries["fast"]["key_hash"] != entries["next"]["key_hash"]
    await asked(wired, 1, headers={"x-tollkeeper-require": "region=us"})
    await wired.running.gateway.drain()
    assert [host(request) for request in wired.transport.sent] == ["us", "next", "us"], "not where the request may not go"


async def test_a_refused_credential_is_not_tried_again_through_another_deployment() -> None:
    def answer(request: OutboundRequest) -> Said:
        revoked = request.headers["authorization"] == "Bearer sk-old"
        return Said(401, {"error": {"message": "revoked"}}) if revoked else Said(body=ANSWER)

    old = [model("fast", f"openai/m{n}", "https://one.test/v1", api_key="sk-old", order=1) for n in range(4)]
    wired = await wire(answer, *old, model("fast", "openai/m", "https://one.test/v1", api_key="sk-new", order=2))
    assert await asked(wired, 5) == [200] * 5
    keys = Counter(request.headers["authorization"] for request in wired.transport.sent)
    assert keys == {"Bearer sk-old": 1, "Bearer sk-new": 5}


async def test_nothing_is_begun_after_the_deadline() -> None:
    clock = StillClock()

    def slow(request: OutboundRequest) -> Said:
        clock.advance(3)
        return Said(500, {"error": {"message": "down"}})

    settings = {"models": {"fast": {"total_timeout": "5s"}}}
    wired = await wire(slow, *(at(name) for name in "abcdef"), clock=clock, tollkeeper={"routing": settings})
    assert (await wired.chat()).status_code == 500
    assert len(wired.transport.sent) == 2
