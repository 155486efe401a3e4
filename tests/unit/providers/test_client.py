"""One attempt: what is sent with which credential, and what a rotated or missing one leads to."""

from typing import Any

import orjson
from tests.support.gateway import model
from tests.support.upstream import completion
from tests.support.wiring import Said, wire

from tollkeeper.providers.transport import OutboundRequest


def answered(_: OutboundRequest) -> Said:
    return Said(body=completion())


async def test_the_credential_is_looked_up_at_first_use_and_sent_in_the_providers_way() -> None:
    env = {"MY_KEY": "sk-first"}
    wired = await wire(
        answered,
        model("fast", "openai/gpt-4o-mini", "http://openai.test/v1", api_key="os.environ/MY_KEY"),
        model("claude", "anthropic/claude-sonnet-4-5", "http://anthropic.test", api_key="os.environ/MY_KEY"),
        env=env,
    )
    await wired.chat()
    await wired.chat(model="claude", num_retries=0)
    first, second = wired.transport.sent
    assert (first.headers or {})["authorization"] == "Bearer sk-first"
    assert first.url == "http://openai.test/v1/chat/completions"
    assert (second.headers or {})["x-api-key"] == "sk-first"
    assert second.url == "http://anthropic.test/v1/messages"


async def test_a_secret_rotated_at_noon_is_picked_up_by_the_call_that_was_refused() -> None:
    env = {"MY_KEY": "sk-old"}

    def provider(request: OutboundRequest) -> Said:
        if (request.headers or {})["authorization"] == "Bearer sk-new":
            return Said(body=completion())
        return Said(401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}})

    wired = await wire(provider, model("fast", "openai/gpt-4o-mini", "http://openai.test/v1", api_key="os.environ/MY_KEY"), env=env)
    assert (await wired.chat()).status_code == 401
    assert len(wired.transport.sent) == 1, "the same secret is not tried twice"
    env["MY_KEY"] = "sk-new"
    assert (await wired.chat()).status_code == 200
    assert len(wired.transport.sent) == 3
    assert (await wired.chat()).status_code == 200
    assert len(wired.transport.sent) == 4


async def test_a_credential_that_is_set_nowhere_is_named_but_not_guessed() -> None:
    wired = await wire(answered, model("fast", "openai/gpt-4o-mini", "http://openai.test/v1", api_key="os.environ/NOT_SET"))
    answer = await wired.chat()
    assert answer.status_code == 401
    assert "NOT_SET" in answer.json()["error"]["message"]
    assert wired.transport.sent == []


async def test_configured_headers_and_body_params_go_upstream_below_the_callers() -> None:
    row: Any = model("fast", "openai/gpt-4o-mini", "http://openai.test/v1", extra_headers={"x-team": "a"}, top_k=5, temperature=0.9)
    wired = await wire(answered, row)
    await wired.chat(temperature=0.1)
    (sent,) = wired.transport.sent
    assert (sent.headers or {})["x-team"] == "a"
    body = orjson.loads(sent.body)
    assert (body["top_k"], body["temperature"]) == (5, 0.1)


async def test_the_providers_error_keeps_its_code_and_its_retry_after() -> None:
    error = {"error": {"message": "Rate limit reached", "type": "tokens", "param": None, "code": "rate_limit_exceeded"}}
    wired = await wire(
        lambda _: Said(429, error, headers={"retry-after": "12"}),
        model("fast", "openai/gpt-4o-mini", "http://openai.test/v1"),
        router_settings={"num_retries": 0},
    )
    answer = await wired.chat()
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "12")
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"


async def test_ai_studio_is_asked_with_googles_header_and_streams() -> None:
    said = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP"}], "responseId": "r1"}
    event = b"data: " + orjson.dumps(said) + b"\r\n\r\n"
    row = {"model_name": "fast", "litellm_params": {"model": "gemini/gemini-2.5-flash"}}
    wired = await wire(lambda _: Said(pieces=[event[:9], event[9:]]), row, env={"GEMINI_API_KEY": "g-key"})
    answer = await wired.chat(stream=True)
    assert '"content":"Hello"' in answer.text
    assert answer.text.rstrip().endswith("[DONE]")
    (sent,) = wired.transport.sent
    assert sent.url == "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    assert (sent.headers or {})["x-goog-api-key"] == "g-key"
    assert "authorization" not in (sent.headers or {})
