"""What is wrong with a request is said in the OpenAI envelope, names its field, and repeats no value."""

import pytest

WRONG = [
    ({"max_budget": -1}, "max_budget"),
    ({"max_budget": "lots"}, "max_budget"),
    ({"max_budget": True}, "max_budget"),
    ({"max_budget": 1e30}, "max_budget"),
    ({"max_budget": "NaN"}, "max_budget"),
    ({"max_budget": "Infinity"}, "max_budget"),
    ({"max_budget": [1]}, "max_budget"),
    ({"soft_budget": -0.01}, "soft_budget"),
    ({"budget_duration": "3y"}, "budget_duration"),
    ({"budget_duration": "2mo"}, "budget_duration"),
    ({"budget_duration": 30}, "budget_duration"),
    ({"duration": "soon"}, "duration"),
    ({"duration": "0d"}, "duration"),
    ({"models": "gpt-4o"}, "models"),
    ({"models": [1]}, "models.0"),
    ({"rpm_limit": -1}, "rpm_limit"),
    ({"rpm_limit": 1.5}, "rpm_limit"),
    ({"rpm_limit": True}, "rpm_limit"),
    ({"tpm_limit": 2**60}, "tpm_limit"),
    ({"model_rpm_limit": {"a": "x"}}, "model_rpm_limit.a"),
    ({"budget_limits": [{"budget_duration": "1d"}]}, "budget_limits.0.max_budget"),
    ({"budget_limits": [{"budget_duration": "1 d", "max_budget": 1}]}, "budget_limits.0.budget_duration"),
    ({"model_max_budget": {"a": 5}}, "model_max_budget.a"),
    ({"metadata": []}, "metadata"),
    ({"metadata": {"": 1}}, "metadata"),
    ({"aliases": {"a": None}}, "aliases.a"),
    ({"key": "sk-short"}, "key"),
    ({"key": "not-our-prefix-0123"}, "key"),
    ({"key_alias": ""}, "key_alias"),
    ({"key_alias": "x" * 257}, "key_alias"),
    ({"key_type": "root"}, "key_type"),
    ({"temp_budget_expiry": "tomorrow"}, "temp_budget_expiry"),
    ({"temp_budget_increase": 5}, "temp_budget_expiry"),
    ({"spend": 3}, "spend"),
    ({"blocked": "perhaps"}, "blocked"),
    ([], "request_body"),
    ("text", "request_body"),
]


@pytest.mark.parametrize(("body", "param"), WRONG, ids=lambda value: str(value)[:40])
async def test_a_wrong_value_names_its_field_and_writes_nothing(admin, body, param):
    answer = await admin.post("/key/generate", body)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"], error["code"]) == (400, "invalid_request_error", param, "400")
    assert (await admin.get("/key/list")).json()["total_count"] == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"metadata":{"a":NaN}}',
        b'{"key_alias":"\\ud800"}',
        b'{"key_alias":"\xff"}',
        b"[" * 5000,
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
    ],
    ids=["empty", "cut", "NaN", "surrogate", "not UTF-8", "open", "deep"],
)
async def test_a_body_that_is_no_json(admin, content):
    answer = await admin.call("POST", "/key/generate", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("field", ["metadata", "object_permission", "unknown_field"])
async def test_nesting_deeper_than_the_store_takes(admin, field):
    deep: dict[str, object] = {}
    for _ in range(40):
        deep = {"a": deep}
    assert (await admin.post("/key/generate", {field: deep})).status_code == 400


async def test_numbers_that_no_store_holds(admin):
    assert (await admin.post("/key/generate", {"metadata": {"a": 1e300}})).json()["error"]["param"] == "metadata"
    assert (await admin.post("/key/generate", {"unknown_field": {"a": 1e300}})).status_code == 400


async def test_a_long_body_is_cut_short(admin):
    answer = await admin.post("/key/generate", {"metadata": {"a": "x" * 300_000}})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "413")
    chunked = await admin.call("POST", "/key/generate", content=_endless(), headers={"content-type": "application/json"})
    assert chunked.status_code == 413


async def _endless():
    for _ in range(400):
        yield b"x" * 1024


async def test_a_record_that_grew_too_large_is_refused(admin):
    made = await admin.generate()
    sizes = []
    for number in range(3):
        answer = await admin.post("/key/update", {"key": made["key"], f"field_{number}": "x" * 150_000})
        sizes.append(answer.status_code)
    assert sizes == [200, 413, 413]


async def test_a_content_type_is_not_asked_for(admin):
    answer = await admin.call("POST", "/key/generate", content=b'{"key_alias":"curl"}')
    assert answer.json()["key_alias"] == "curl"
    answer = await admin.call("POST", "/key/generate", content=b"{}", headers={"content-type": "application/json; charset=utf-8"})
    assert answer.status_code == 200


@pytest.mark.parametrize("query", [{"size": 0}, {"size": 101}, {"page": 0}, {"page": "x"}, {"sort_by": "secret"}, {"sort_order": "up"}])
async def test_a_wrong_query_names_its_field(admin, query):
    answer = await admin.get("/key/list", **query)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, next(iter(query)))


async def test_a_secret_in_a_wrong_field_is_not_repeated(admin):
    secret = "sk-secret with spaces 123"
    for body in ({"key": secret}, {"models": secret}, {"max_budget": secret}, {"blocked": secret}):
        assert "secret with" not in (await admin.post("/key/generate", body)).text


async def test_money_is_exact_to_the_nano_dollar(admin):
    for dollars, nano in ((0.1, 100_000_000), (0.000000001, 1), (1e-12, 1), ("12.345678901", 12_345_678_901), (9e9, 9 * 10**18), (0, 0)):
        made = await admin.generate(max_budget=dollars)
        assert (await admin.authenticator.verify(made["key"])).key.max_budget == nano
