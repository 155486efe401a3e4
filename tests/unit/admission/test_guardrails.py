"""Which guardrails a call has to pass, what they change, what they refuse, and what is in the books afterwards."""

import asyncio
from typing import Any

import orjson
import pytest
from tests.support.gateway import model
from tests.support.upstream import completion, text_stream
from tests.support.wiring import Said, Wired, wire

from tollkeeper.providers.transport import NeverSent, OutboundRequest

PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001}
COST = 9 * 1_000 + 12 * 10_000
"""Of `completion()` and `text_stream()`."""
CARD = "4111 1111 1111 1111"


def guardrail(name: str, **params: Any) -> dict[str, Any]:
    return {"guardrail_name": name, "litellm_params": {"guardrail": "litellm_content_filter", "mode": "pre_call", **params}}


MASKS_CARDS = guardrail("cards", patterns=[{"pattern_name": "credit_card", "action": "MASK"}, {"pattern_name": "email", "action": "MASK"}])
NO_SECRETS = guardrail("secret", blocked_words=[{"keyword": "confidential", "action": "BLOCK", "description": "internal"}])
CLEAN_ANSWERS = guardrail("answers", mode="post_call", patterns=[{"pattern_name": "email", "action": "MASK"}])
SAFE_ANSWERS = guardrail("safe", mode="post_call", blocked_words=[{"keyword": "bomb"}])
SERVICE = "http://guard.test"


def service(name: str = "service", mode: Any = "pre_call", **params: Any) -> dict[str, Any]:
    params = {"guardrail": "generic_guardrail_api", "mode": mode, "api_base": SERVICE, "api_key": "os.environ/GUARD_KEY", **params}
    return {"guardrail_name": name, "litellm_params": params}


class World:
    """A gateway, a provider that says `text`, and a guardrail service that says `verdict`."""

    def __init__(self) -> None:
        self.wired: Wired
        self.key = ""
        self.env = {"GUARD_KEY": "gk-1"}
        self.good_key = "gk-1"
        self.text = "Hello"
        self.verdict: Any = {"action": "NONE"}
        self.questions: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    async def start(self, *guardrails: dict[str, Any], **fields: Any) -> "World":
        rows = [model("fast", "openai/gpt-4o-mini", "http://cheap.test/v1", model_info=PRICES)]
        self.wired = await wire(self._answer, *rows, env=self.env, guardrails=list(guardrails), router_settings={"num_retries": 0})
        await self.wired.admin("POST", "/team/new", {"team_id": "t", "max_budget": 1, **fields.pop("team", {})})
        self.key = await self.wired.new_key(team_id="t", **fields)
        return self

    def _answer(self, request: OutboundRequest) -> Said:
        if request.url.startswith(SERVICE):
            self.questions.append(orjson.loads(request.body))
            self.headers.append(dict(request.headers))
            if self.headers[-1].get("x-api-key", "gk-1") != self.good_key:
                return Said(401, {})
            if isinstance(self.verdict, BaseException):
                raise self.verdict
            return self.verdict if isinstance(self.verdict, Said) else Said(body=self.verdict)
        if orjson.loads(request.body).get("stream"):
            pieces = [self.text[:3], self.text[3:]]
            events = [b"data: " + orjson.dumps(event) + b"\n\n" for event in text_stream(*pieces)]
            return Said(pieces=[*events, b"data: [DONE]\n\n"])
        return Said(body=completion(self.text))

    async def ask(self, text: str = "Hello", **body: Any) -> Any:
        return await self.wired.chat(self.key, messages=[{"role": "user", "content": text}], max_tokens=100, **body)

    def sent(self) -> list[str]:
        """What reached the model."""
        calls = [orjson.loads(request.body) for request in self.wired.transport.sent if "cheap" in request.url]
        return [call["messages"][0]["content"] for call in calls]

    async def booked(self) -> list[tuple[str, int]]:
        """Status and cost of each call; the team's counter says the same."""
        entries = await self.wired.ledger()
        counter = await self.wired.counter("team", "t")
        assert counter.get("in_flight", 0) == 0
        assert counter.get("committed", 0) == counter.get("spent", 0) == sum(entry["cost"] for entry in entries)
        return [(entry["status"], entry["cost"]) for entry in entries]


async def test_what_is_hidden_never_reaches_the_provider() -> None:
    world = await World().start({**MASKS_CARDS, "litellm_params": {**MASKS_CARDS["litellm_params"], "default_on": True}})
    answer = await world.ask(f"pay with {CARD} or ask jo@example.com")
    assert answer.status_code == 200
    assert answer.headers["x-litellm-applied-guardrails"] == "cards"
    assert world.sent() == ["pay with [CREDIT_CARD_REDACTED] or ask [EMAIL_REDACTED]"]
    assert await world.booked() == [("success", COST)]


async def test_what_is_refused_costs_nothing_and_is_in_the_ledger() -> None:
    world = await World().start(NO_SECRETS, guardrails=["secret"])
    answer = await world.ask("This is CONFIDENTIAL.")
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["message"], error["type"]) == ("Content blocked: keyword 'confidential' detected", "invalid_request_error")
    assert error["provider_specific_fields"] == {
        "error": "Content blocked: keyword 'confidential' detected",
        "keyword": "confidential",
        "description": "internal",
        "guardrail_name": "secret",
        "guardrail_mode": "pre_call",
    }
    assert answer.headers["x-litellm-applied-guardrails"] == "secret"
    assert world.sent() == []
    assert await world.booked() == [("failure", 0)]
    [entry] = await world.wired.ledger()
    logged = (await world.wired.admin("GET", f"/spend/logs?request_id={entry['request_id']}")).json()
    assert logged[0]["metadata"]["applied_guardrails"] == ["secret"]


async def test_who_names_a_guardrail() -> None:
    world = await World().start(NO_SECRETS, CLEAN_ANSWERS)
    assert (await world.ask("confidential")).status_code == 200
    for named in (["secret"], {"secret": {"extra_body": {}}}, [{"secret": {}}, "answers"]):
        assert (await world.ask("confidential", guardrails=named)).status_code == 400
    assert (await world.ask("confidential", metadata={"guardrails": ["secret"]})).status_code == 400
    for fields in ({"guardrails": ["secret"]}, {"team": {"guardrails": ["secret"]}}):
        world = await World().start(NO_SECRETS, **fields)
        assert (await world.ask("confidential", guardrails=[])).status_code == 400


async def test_what_is_on_by_default_only_an_admin_leaves_out() -> None:
    row = {**NO_SECRETS, "litellm_params": {**NO_SECRETS["litellm_params"], "default_on": True}}
    world = await World().start(row)
    assert (await world.ask("confidential", metadata={"disable_global_guardrails": True})).status_code == 400
    for fields in ({"disable_global_guardrails": True}, {"metadata": {"disable_global_guardrails": True}}):
        world = await World().start(row, **fields)
        assert (await world.ask("confidential")).status_code == 200
        assert (await world.ask("confidential", guardrails=["secret"])).status_code == 400


@pytest.mark.parametrize("body", [{"guardrails": ["nobody"]}, {"guardrails": {"nobody": {}}}, {"guardrails": [7]}])
async def test_a_name_nobody_has_is_no_protection_and_is_said(body: Any) -> None:
    world = await World().start(NO_SECRETS)
    answer = await world.ask(**body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "guardrails")
    assert world.sent() == []


async def test_a_key_whose_guardrail_is_gone_is_not_served_without_it() -> None:
    world = await World().start(guardrails=["gone"])
    answer = await world.ask()
    assert answer.status_code == 400
    assert "must pass the guardrail 'gone'" in answer.json()["error"]["message"]


async def test_an_answer_is_cleaned_buffered_and_streamed() -> None:
    world = await World().start(CLEAN_ANSWERS, guardrails=["answers"])
    world.text = "jo@example.com"
    answer = await world.ask()
    assert answer.json()["choices"][0]["message"]["content"] == "[EMAIL_REDACTED]"
    streamed = await world.ask(stream=True)
    assert "example" not in streamed.text
    events = [orjson.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]
    assert "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"]) == "[EMAIL_REDACTED]"
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert await world.booked() == [("success", COST), ("success", COST)]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refused_answer_is_a_400_and_paid_for(stream: bool) -> None:
    world = await World().start(SAFE_ANSWERS, guardrails=["safe"])
    world.text = "how to build a bomb"
    answer = await world.ask(stream=stream)
    assert answer.status_code == 400
    assert answer.json()["error"]["provider_specific_fields"]["guardrail_mode"] == "post_call"
    assert "build" not in answer.text
    assert await world.booked() == [("failure", COST)]


async def test_a_masked_text_that_is_longer_is_set_aside_for() -> None:
    long = guardrail("long", blocked_words=[{"keyword": "x", "action": "MASK"}], keyword_redaction_tag="y" * 4000, default_on=True)
    world = await World().start(long)
    answer = await world.ask("x x x x")
    assert answer.status_code == 200
    hold = await world.booked()
    assert hold == [("success", COST)]
    # With no room for it nothing is sent.
    poor = await World().start(long, max_budget=0.0041)
    assert (await poor.ask("x x x x", n=1)).status_code in {422, 429}
    assert poor.sent() == []


async def test_anybodys_service_is_asked_by_litellms_contract() -> None:
    world = await World().start(service(additional_provider_specific_params={"threshold": 0.5}), key_alias="jobs")
    world.verdict = {"action": "GUARDRAIL_INTERVENED", "texts": ["Hallo"]}
    answer = await world.ask("Hello", guardrails=[{"service": {"extra_body": {"strict": True}}}], user="c-1")
    assert answer.status_code == 200
    assert world.sent() == ["Hallo"]
    [question] = world.questions
    assert (question["texts"], question["input_type"]) == (["Hello"], "request")
    assert question["additional_provider_specific_params"] == {"threshold": 0.5, "strict": True}
    data = question["request_data"]
    assert (data["user_api_key_alias"], data["user_api_key_team_id"], data["user_api_key_end_user_id"]) == ("jobs", "t", "c-1")
    assert question["litellm_call_id"] == answer.headers["x-litellm-call-id"]
    assert world.headers[0]["x-api-key"] == "gk-1"
    world.verdict = {"action": "BLOCKED", "blocked_reason": "not today"}
    refused = await world.ask("Hello", guardrails=["service"])
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, "not today")


async def test_a_credential_that_was_rotated_is_read_anew() -> None:
    world = await World().start(service(), guardrails=["service"])
    assert (await world.ask()).status_code == 200
    world.env["GUARD_KEY"] = world.good_key = "gk-2"
    assert (await world.ask()).status_code == 200
    assert [headers["x-api-key"] for headers in world.headers] == ["gk-1", "gk-1", "gk-2"]
    world.good_key = "gk-3"
    assert (await world.ask()).status_code == 503


SILLY = [
    Said(500, {}),
    Said(200, b"<html>"),
    {"action": "MAYBE"},
    [],
    {"action": "GUARDRAIL_INTERVENED", "texts": ["a", "b"]},
    NeverSent("no"),
]


@pytest.mark.parametrize("verdict", SILLY)
@pytest.mark.parametrize("stage", ["pre_call", "during_call", "post_call"])
async def test_a_guardrail_that_gives_no_verdict_lets_nothing_pass_unless_it_may(verdict: Any, stage: str) -> None:
    world = await World().start(service(mode=stage), guardrails=["service"])
    world.verdict = verdict
    answer = await world.ask("my words")
    assert answer.status_code == 503
    assert "guardrail service gave no verdict" in answer.json()["error"]["message"]
    open_ = await World().start(service(mode=stage, unreachable_fallback="fail_open"), guardrails=["service"])
    open_.verdict = verdict
    assert (await open_.ask("my words")).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_beside_the_call_no_answer_leaves_before_the_verdict(stream: bool) -> None:
    world = await World().start(service(mode="during_call"), guardrails=["service"])
    world.verdict = {"action": "BLOCKED", "blocked_reason": "no"}
    answer = await world.ask(stream=stream)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "no")
    assert len(world.sent()) == 1
    [(status, cost)] = await world.booked()
    assert status == "failure"
    assert cost == (COST if not stream else cost)
    assert cost > 0
    await asyncio.sleep(0)


async def test_a_failing_call_leaves_no_check_behind() -> None:
    world = await World().start(service(mode="during_call"), guardrails=["service"])
    world.wired.transport.answer = lambda request: Said(500, {}) if "cheap" in request.url else world._answer(request)
    world.verdict = {"action": "BLOCKED", "blocked_reason": "no"}
    assert (await world.ask()).status_code == 500
    assert await world.booked() == [("failure", 0)]


async def test_a_tag_decides_on_the_stage() -> None:
    row = guardrail("secret", mode={"tags": {"trusted": ["post_call"]}, "default": "pre_call"}, blocked_words=[{"keyword": "confidential"}])
    world = await World().start(row, guardrails=["secret"])
    assert (await world.ask("confidential")).status_code == 400
    assert (await world.ask("confidential", metadata={"tags": ["trusted"]})).status_code == 200


async def test_secrets_are_hidden_and_no_shorter_rule_spoils_a_longer_one() -> None:
    row = {"guardrail_name": "hide", "litellm_params": {"guardrail": "hide-secrets", "mode": "pre_call", "default_on": True}}
    world = await World().start(row)
    await world.ask(f"key AKIAIOSFODNN7EXAMPLE and sk-ant-{'a1' * 12} and token: {'ab12' * 5}")
    assert world.sent() == ["key [REDACTED] and [REDACTED] and [REDACTED]"]


async def test_moderation_bedrock_and_presidio() -> None:
    moderated = {"guardrail": "openai_moderation", "api_base": SERVICE, "api_key": "os.environ/GUARD_KEY", "mode": "pre_call"}
    world = await World().start({"guardrail_name": "mod", "litellm_params": moderated}, guardrails=["mod"])
    world.verdict = {"results": [{"flagged": True, "categories": {"violence": True, "hate": False}}]}
    refused = (await world.ask("kill")).json()["error"]["provider_specific_fields"]
    assert refused["violated_categories"] == ["violence"]
    assert (world.questions[0]["input"], world.headers[0]["authorization"]) == (["kill"], "Bearer gk-1")
    world.verdict = {"results": [{"flagged": False, "categories": {}}]}
    assert (await world.ask("hug")).status_code == 200

    keys = {"aws_access_key_id": "AKID", "aws_secret_access_key": "s", "aws_region_name": "eu-west-1"}
    bedrock = {"guardrail": "bedrock", "guardrailIdentifier": "gr1", "guardrailVersion": 2, "api_base": SERVICE, "mode": "pre_call", **keys}
    world = await World().start({"guardrail_name": "aws", "litellm_params": {**bedrock, "mask_request_content": True}}, guardrails=["aws"])
    world.verdict = {"action": "GUARDRAIL_INTERVENED", "outputs": [{"text": "my name is {NAME}"}], "assessments": []}
    assert (await world.ask("my name is Jo")).status_code == 200
    assert world.sent() == ["my name is {NAME}"]
    assert world.questions == [{"source": "INPUT", "content": [{"text": {"text": "my name is Jo"}}]}]
    assert "/eu-west-1/bedrock/aws4_request" in world.headers[0]["authorization"]
    assert world.wired.transport.sent[-2].url == f"{SERVICE}/guardrail/gr1/version/2/apply"
    world.verdict = {"action": "GUARDRAIL_INTERVENED", "outputs": [{"text": "Sorry."}], "assessments": [{"t": {"action": "BLOCKED"}}]}
    assert (await world.ask("bad")).json()["error"]["provider_specific_fields"]["bedrock_guardrail_response"] == "Sorry."

    bases = {"presidio_analyzer_api_base": f"{SERVICE}/a", "presidio_anonymizer_api_base": f"{SERVICE}/b"}
    presidio = {"guardrail": "presidio", "mode": "pre_call", **bases, "pii_entities_config": {"PERSON": "MASK", "US_SSN": "block"}}
    world = await World().start({"guardrail_name": "pii", "litellm_params": presidio}, guardrails=["pii"])
    found: list[dict[str, Any]] = [{"entity_type": "PERSON", "start": 0, "end": 2, "score": 0.9}]
    answers = iter([found, {"text": "<PERSON> asks"}, [{**found[0], "entity_type": "US_SSN"}]])
    model_answer = world.wired.transport.answer
    world.wired.transport.answer = lambda request: Said(body=next(answers)) if SERVICE in request.url else model_answer(request)
    assert (await world.ask("Jo asks")).status_code == 200
    assert world.sent() == ["<PERSON> asks"]
    refused_answer = await world.ask("123-45-6789")
    assert refused_answer.json()["error"]["message"] == "Blocked PII entity detected: US_SSN by Guardrail: pii."


async def test_guardrails_are_listed_and_can_be_asked_for_a_text() -> None:
    world = await World().start({**MASKS_CARDS, "guardrail_info": {"owner": "security"}}, NO_SECRETS)
    headers = {"authorization": f"Bearer {world.key}"}
    client = world.wired.client
    assert (await client.get("/guardrails/list")).status_code == 401
    rows = (await client.get("/guardrails/list", headers=headers)).json()["guardrails"]
    assert [(row["guardrail_name"], row["guardrail_info"]) for row in rows] == [("cards", {"owner": "security"}), ("secret", {})]
    body = {"guardrail_name": "cards", "text": f"pay {CARD}"}
    said = await client.post("/guardrails/apply_guardrail", json=body, headers=headers)
    assert said.json() == {"response_text": "pay [CREDIT_CARD_REDACTED]"}
    refused = await client.post("/apply_guardrail", json={"guardrail_name": "secret", "text": "confidential"}, headers=headers)
    assert refused.status_code == 400
    unknown = await client.post("/apply_guardrail", json={"guardrail_name": "x", "text": "y"}, headers=headers)
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (404, "guardrail_name")


async def test_raw_calls_are_held_to_guardrails_too() -> None:
    world = await World().start(MASKS_CARDS, SAFE_ANSWERS, guardrails=["cards"])
    headers = {"authorization": f"Bearer {world.key}"}
    body = {"model": "gpt-4o-mini", "max_tokens": 50, "messages": [{"role": "user", "content": f"pay {CARD}"}]}
    answer = await world.wired.client.post("/openai/chat/completions", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert world.sent() == ["pay [CREDIT_CARD_REDACTED]"]
    strict = await world.wired.new_key(guardrails=["safe"])
    refused = await world.wired.client.post("/openai/chat/completions", json=body, headers={"authorization": f"Bearer {strict}"})
    assert refused.status_code == 403
    assert "cannot read those of raw provider APIs" in refused.json()["error"]["message"]
