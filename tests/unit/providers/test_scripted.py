"""`mock_response` and the demo model, through the whole gateway."""

import json
from typing import Any

import pytest
from tests.support.gateway import model
from tests.support.wiring import Said, Wired, wire


async def scripted(script: Any, **params: Any) -> Wired:
    def never(_: Any) -> Said:
        raise AssertionError("a scripted model asks nobody")

    return await wire(
        never,
        model("fast", "openai/gpt-4o-mini", "http://nowhere.test/v1", mock_response=script, **params),
        router_settings={"num_retries": 0},
    )


async def events_of(wired: Wired, **body: Any) -> list[Any]:
    answer = await wired.chat(stream=True, **body)
    assert answer.status_code == 200, answer.text
    data = [line.removeprefix("data: ") for line in answer.text.split("\n") if line.startswith("data: ")]
    return [json.loads(line) if line != "[DONE]" else line for line in data]


async def test_a_text_is_the_answer_with_litellms_usage() -> None:
    wired = await scripted("mocked text")
    body = (await wired.chat()).json()
    assert body["choices"][0]["message"]["content"] == "mocked text"
    assert body["usage"] == {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
    *chunks, done = await events_of(wired)
    assert done == "[DONE]"
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == "mocked text"
    assert [entry["cost"] for entry in await wired.ledger()] == [13_500, 13_500]


async def test_the_request_may_bring_its_own_script() -> None:
    wired = await scripted("from the config")
    assert (await wired.chat(mock_response="from the request")).json()["choices"][0]["message"]["content"] == "from the request"


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("litellm.RateLimitError", 429, "rate_limit_exceeded"),
        ("litellm.InternalServerError", 500, "500"),
        ("litellm.ContextWindowExceededError", 400, "context_length_exceeded"),
        ("litellm.AuthenticationError", 401, "invalid_api_key"),
        ("litellm.Timeout", 408, "408"),
    ],
)
async def test_litellms_error_names_make_that_error(name: str, status: int, code: str) -> None:
    wired = await scripted(name)
    answer = await wired.chat()
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert (await wired.chat(stream=True)).status_code == status


async def test_a_script_of_steps_is_played_in_order() -> None:
    steps = [{"reasoning": "hm "}, "Hello ", {"sleep": 3}, "world", {"tool_call": {"name": "f", "arguments": "{}"}}]
    wired = await scripted([*steps, {"usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}}])
    message = (await wired.chat()).json()["choices"][0]
    assert (message["message"]["content"], message["message"]["reasoning_content"]) == ("Hello world", "hm ")
    assert message["finish_reason"] == "tool_calls"
    chunks = (await events_of(wired, stream_options={"include_usage": True}))[:-1]
    assert chunks[-1]["usage"]["completion_tokens"] == 7
    assert wired.clock.slept == [3.0]


async def test_an_error_step_after_content_is_in_band_and_a_cut_ends_without_done() -> None:
    wired = await scripted(["Hello", {"error": {"message": "went wrong"}}])
    *_, last = await events_of(wired)
    assert last["error"]["message"] == "went wrong"
    wired = await scripted(["Hello", {"cut": True}])
    *_, last = await events_of(wired)
    assert "error" in last
    assert (await wired.ledger())[0]["status"] == "cut"


async def test_a_whole_completion_is_replayed() -> None:
    whole = {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "as it was"}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
    wired = await scripted(whole)
    choice = (await wired.chat()).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("as it was", "length")


async def test_what_is_no_script_is_refused() -> None:
    wired = await scripted("fine")
    answer = await wired.chat(mock_response=7)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "mock_response")


async def test_a_mocked_delay_timeout_and_tool_call_are_litellms() -> None:
    wired = await scripted("fine")
    assert (await wired.chat(mock_delay=2)).status_code == 200
    assert wired.clock.slept == [2.0]
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    choice = (await wired.chat(mock_tool_calls=[call])).json()["choices"][0]
    assert (choice["message"]["tool_calls"], choice["finish_reason"]) == ([call], "tool_calls")
    assert len((await wired.chat(n=3)).json()["choices"]) == 3
    for field, wrong in (("mock_delay", -1), ("mock_delay", "long"), ("mock_tool_calls", "f"), ("mock_tool_calls", [{"id": 1}])):
        answer = await wired.chat(**{field: wrong})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)


async def test_litellms_exceptions_by_name() -> None:
    wired = await scripted("fine")
    refused = await wired.chat(mock_response="Exception: content_filter_policy")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "content_policy_violation")
    assert (await wired.chat(mock_response="Exception: mock_streaming_error")).status_code == 500
    *_, last = await events_of(wired, mock_response="Exception: mock_streaming_error")
    assert "error" in last


@pytest.mark.parametrize("script", [["Hello", {"error": {"status": 503, "message": "later"}}], ["Hello", {"cut": True}]])
async def test_a_script_that_breaks_breaks_a_buffered_answer_too(script: Any) -> None:
    wired = await scripted(script)
    assert (await wired.chat()).status_code >= 500
    (entry,) = await wired.ledger()
    assert entry["status"] == "failure"


FALLBACKS = {
    "fallbacks": [{"fast": ["safe"]}],
    "context_window_fallbacks": [{"fast": ["safe"]}],
    "content_policy_fallbacks": [{"fast": ["safe"]}],
}


@pytest.mark.parametrize(
    ("field", "status"),
    [
        ("mock_testing_fallbacks", 500),
        ("mock_testing_context_fallbacks", 400),
        ("mock_testing_content_policy_fallbacks", 400),
        ("mock_testing_rate_limit_error", 429),
    ],
)
async def test_fallbacks_can_be_rehearsed_without_hurting_a_deployment(field: str, status: int) -> None:
    asked: list[str] = []

    def answer(request: Any) -> Said:
        asked.append(request.url.split("/")[2])
        return Said(body={"choices": [{"message": {"content": "from afar"}}]})

    rows = [model("fast", "openai/gpt-4o-mini", "http://fast.test/v1"), model("safe", "openai/gpt-4o-mini", "http://safe.test/v1")]
    wired = await wire(answer, *rows, router_settings={"num_retries": 0, "allowed_fails": 0, **FALLBACKS})
    for _ in range(5):
        rehearsed = await wired.chat(**{field: True})
        assert (rehearsed.status_code, rehearsed.headers["x-litellm-attempted-fallbacks"]) == (200, "1")
    assert (await wired.chat(model="safe", **{field: True})).status_code == status
    assert (await wired.chat()).status_code == 200
    assert asked == ["safe.test"] * 5 + ["fast.test"]


async def test_a_caller_cannot_bench_a_deployment_with_a_mocked_error() -> None:
    rows = [model("fast", "openai/gpt-4o-mini", f"http://{name}.test/v1") for name in "ab"]
    wired = await wire(lambda _: Said(body={"choices": [{"message": {"content": "x"}}]}), *rows, router_settings={"allowed_fails": 0})
    for _ in range(10):
        assert (await wired.chat(mock_response="litellm.InternalServerError", num_retries=0)).status_code == 500
    assert (await wired.chat()).status_code == 200
