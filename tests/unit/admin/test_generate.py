import asyncio

import pytest

from tollkeeper.errors import Unauthenticated


async def test_a_generated_key_authenticates_at_once_and_its_text_is_shown_once(admin):
    made = await admin.generate(key_alias="ci", models=["gpt-4o"], max_budget=10.5)
    principal = await admin.authenticator.verify(made["key"])
    assert (principal.key_alias, principal.models, principal.key.max_budget) == ("ci", ("gpt-4o",), 10_500_000_000)
    assert made["token"] == made["token_id"] == principal.key_hash
    assert made["key_name"] == f"sk-...{made['key'][-4:]}"
    later = [await admin.get("/key/info", caller=made["key"]), await admin.get("/key/list", return_full_object=True)]
    assert all(made["key"] not in answer.text for answer in later)


async def test_the_answer_has_litellms_fields(admin):
    made = await admin.generate()
    expected = """key key_name key_alias key_type token token_id expires models spend max_budget soft_budget user_id team_id agent_id
    max_parallel_requests metadata tpm_limit rpm_limit tpd_limit budget_duration budget_limits allowed_cache_controls config permissions
    model_max_budget budget_fallbacks model_rpm_limit model_tpm_limit mcp_rpm_limit tag_rpm_limit guardrails policies prompts blocked
    aliases object_permission budget_id tags enforced_params allowed_routes organization_id project_id litellm_budget_table created_by
    updated_by created_at updated_at"""
    assert set(expected.split()) <= set(made)
    assert (made["models"], made["max_budget"], made["expires"], made["blocked"]) == ([], None, None, False)
    assert (made["created_by"], made["created_at"]) == ("default_user_id", "2027-01-15T08:00:00.000Z")


async def test_every_shared_field_comes_back_as_it_was_sent(admin):
    await admin.post("/organization/new", {"organization_id": "o", "organization_alias": "O"})
    sent = {
        "key_alias": "all",
        "models": ["a", "b/*"],
        "max_budget": 0.1,
        "soft_budget": 0.05,
        "budget_duration": "30d",
        "budget_limits": [{"budget_duration": "1d", "max_budget": 1.25}],
        "user_id": "u",
        "organization_id": "o",
        "max_parallel_requests": 3,
        "tpm_limit": 0,
        "rpm_limit": 7,
        "tpd_limit": 1_000_000,
        "permissions": {"allow_pii_controls": True},
        "model_rpm_limit": {"a": 1},
        "model_tpm_limit": {"a": 2},
        "guardrails": ["pii"],
        "tags": ["x"],
        "aliases": {"fast": "a"},
        "allowed_routes": ["/v1/embeddings"],
        "blocked": True,
        "policies": ["p"],
        "object_permission": {"models": ["m"]},
        "enforced_params": ["user"],
        "temp_budget_increase": 2,
        "temp_budget_expiry": "2027-02-01T00:00:00.000Z",
    }
    made = await admin.generate(**sent)
    assert {name: made[name] for name in sent} == sent
    assert {name: (await admin.info(made["key"]))[name] for name in sent} == sent


async def test_both_spellings_of_a_model_budget(admin):
    made = await admin.generate(
        model_max_budget={
            "old": {"budget_limit": "0.0000001", "time_period": "1d"},
            "new": {"max_budget": 5, "budget_duration": "1mo", "rpm_limit": 2},
        }
    )
    old, new = made["model_max_budget"]["old"], made["model_max_budget"]["new"]
    assert old == {"max_budget": 1e-07, "budget_limit": 1e-07, "budget_duration": "1d", "time_period": "1d"}
    assert (new["budget_limit"], new["time_period"], new["rpm_limit"]) == (5, "1mo", 2)


async def test_fields_inside_metadata_are_the_fields_of_that_name(admin):
    made = await admin.generate(metadata={"tags": ["m"], "guardrails": ["g"], "team": "x"}, guardrails=["wins"])
    assert (made["tags"], made["guardrails"]) == (["m"], ["wins"])
    assert made["metadata"] == {"team": "x", "tags": ["m"], "guardrails": ["wins"]}
    assert (await admin.authenticator.verify(made["key"])).metadata == {"team": "x"}


async def test_a_field_nobody_knows_is_accepted_and_not_shown(admin):
    made = await admin.generate(something_new={"a": [1]})
    assert "something_new" not in made


async def test_a_duration_ends_the_key(admin):
    made = await admin.generate(duration="1h")
    assert made["expires"] == "2027-01-15T09:00:00.000Z"
    admin.clock.advance(3600)
    with pytest.raises(Unauthenticated):
        await admin.authenticator.verify(made["key"])
    assert (await admin.info(made["key"]))["status"] == "expired"


@pytest.mark.parametrize("duration", [None, "-1"])
async def test_no_duration_is_no_end(admin, duration):
    assert (await admin.generate(duration=duration))["expires"] is None


async def test_a_custom_key(admin):
    text = "sk-chosen-by-hand-1234"
    assert (await admin.generate(key=text))["key"] == text
    assert (await admin.authenticator.verify(text)).key_name == "sk-...1234"
    again = await admin.post("/key/generate", {"key": text, "key_alias": "second"})
    assert (again.status_code, again.json()["error"]["param"]) == (400, "key")
    assert text not in again.text
    await admin.generate(key_alias="second")


async def test_repeating_a_call_for_the_same_key_does_not_free_its_alias(admin):
    body = {"key": "sk-chosen-by-hand-1234", "key_alias": "mine"}
    await admin.generate(**body)
    admin.clock.advance(1)
    assert (await admin.post("/key/generate", body)).status_code == 400
    admin.clock.advance(3600)
    assert (await admin.post("/key/generate", {"key_alias": "mine"})).json()["error"]["param"] == "key_alias"


async def test_an_alias_has_one_owner_even_when_many_ask_at_once(admin):
    answers = await asyncio.gather(*(admin.post("/key/generate", {"key_alias": "ci"}) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 19
    refused = next(answer for answer in answers if answer.status_code == 400).json()["error"]
    assert refused == {
        "message": "Key with alias 'ci' already exists. Unique key aliases across all keys are required.",
        "type": "bad_request_error",
        "param": "key_alias",
        "code": "400",
    }
    assert (await admin.get("/key/list")).json()["total_count"] == 1


@pytest.mark.parametrize("field", ["team_id", "budget_id", "organization_id", "project_id"])
async def test_an_owner_has_to_exist(admin, field):
    answer = await admin.post("/key/generate", {field: "nobody", "key_alias": "ci"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
    await admin.generate(key_alias="ci")


@pytest.mark.parametrize(
    ("key_type", "routes"),
    [("llm_api", ["llm_api_routes"]), ("management", ["management_routes"]), ("read_only", ["info_routes"]), ("default", [])],
)
async def test_a_key_type_is_a_set_of_routes(admin, key_type, routes):
    made = await admin.generate(key_type=key_type)
    assert (made["key_type"], made["allowed_routes"]) == (key_type, routes)


async def test_the_author_can_be_named(admin):
    answer = await admin.call("POST", "/key/generate", json={}, headers={"litellm-changed-by": "alice"})
    assert answer.json()["created_by"] == "alice"


async def test_a_shared_budget_is_shown_and_counts(admin):
    await admin.post("/budget/new", {"budget_id": "b", "max_budget": 3, "rpm_limit": 9})
    made = await admin.generate(budget_id="b", rpm_limit=4)
    assert (made["max_budget"], made["litellm_budget_table"]["max_budget"]) == (None, 3)
    principal = await admin.authenticator.verify(made["key"])
    assert (principal.key.max_budget, principal.key.rpm_limit) == (3_000_000_000, 4)
