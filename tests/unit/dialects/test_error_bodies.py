import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkeeper.dialects.base import Target
from tollkeeper.dialects.error_bodies import error_from_response, error_from_tree
from tollkeeper.errors import (
    ContentPolicyViolation,
    ContextWindowExceeded,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamQuotaExceeded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
)

TARGET = Target("m", "https://up.example/v1", "alias", provider="acme", created=1_700_000_000)


def error(status: int, body: Any, **headers: str) -> UpstreamError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return error_from_response(status, headers, raw, TARGET)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "said"}}, "said"),
        ({"error": "said"}, "said"),
        ({"error": ["said", "twice"]}, "said; twice"),
        ({"code": "Client specified an invalid argument", "error": "said"}, "said"),
        ({"message": "said", "type": "t", "code": "c"}, "said"),
        ({"detail": "said"}, "said"),
        ({"detail": [{"loc": ["body", "model"], "msg": "required"}]}, "body.model: required"),
        (
            {"object": "error", "message": {"detail": [{"loc": ["body", "x"], "msg": "Extra inputs are not permitted"}]}},
            "body.x: Extra inputs are not permitted",
        ),
        ([{"error": {"message": "said", "code": 400}}], "said"),
        (
            {"error": {"message": "Provider returned error", "metadata": {"raw": '{"error":{"message":"cause"}}'}}},
            "Provider returned error: cause",
        ),
        ({"error": {"message": "Provider returned error", "metadata": {"raw": "plain cause"}}}, "Provider returned error: plain cause"),
        (b"upstream connect error", "upstream connect error"),
        (b"<!DOCTYPE html><html><body>secret page</body></html>", "HTTP 400 with a web page instead of an error"),
        (b"", "HTTP 400 with an empty or unreadable body"),
        (b"\xff\xfe\x00binary", "HTTP 400 with an empty or unreadable body"),
        ({}, "HTTP 400"),
        ([], "HTTP 400"),
        (None, "HTTP 400"),
    ],
)
def test_the_message_is_found_wherever_it_is(body: Any, message: str) -> None:
    assert error(400, body).message == message


@pytest.mark.parametrize(
    ("status", "kind", "shown"),
    [
        (400, UpstreamRejected, 400),
        (401, UpstreamAuthFailed, 401),
        (402, UpstreamQuotaExceeded, 429),
        (403, UpstreamAuthFailed, 401),
        (404, UpstreamRejected, 404),
        (408, UpstreamTimeout, 408),
        (422, UpstreamRejected, 422),
        (429, UpstreamRateLimited, 429),
        (500, UpstreamFailed, 500),
        (503, UpstreamFailed, 503),
        (504, UpstreamTimeout, 408),
        (520, UpstreamFailed, 503),
        (529, UpstreamFailed, 503),
        (302, UpstreamProtocolError, 502),
    ],
)
def test_the_status_decides_when_nothing_else_does(status: int, kind: type[UpstreamError], shown: int) -> None:
    found = error(status, {"error": {"message": "no"}})
    assert type(found) is kind
    assert (found.status, found.upstream_status) == (shown, status)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "no", "code": "context_length_exceeded"}},
        {"error": {"message": "no", "type": "exceed_context_size_error", "n_ctx": 4096}},
        {"error": {"message": "This model's maximum context length is 8192 tokens."}},
        {"error": {"message": "prompt is too long: 213462 tokens > 200000 maximum"}},
        {"error": {"message": "input length and `max_tokens` exceed context limit: 199759 + 21333 > 200000"}},
        {"error": "This model's maximum prompt length is 131072 but the request contains 537812 tokens."},
        {"error": {"message": "the request exceeds the available context size, try increasing it"}},
        {"error": {"message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."}},
    ],
)
def test_a_prompt_that_does_not_fit(body: Any) -> None:
    assert type(error(400, body)) is ContextWindowExceeded


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "no", "code": "content_filter"}}),
        (400, {"error": {"message": "no", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
        (400, {"error": {"message": "Your request was rejected as a result of our safety system."}}),
        (400, {"error": {"message": "Content Exists Risk"}}),
        (403, {"code": "permission", "error": "Content violates usage guidelines."}),
    ],
)
def test_a_refusal_of_the_providers_safety_system(status: int, body: Any) -> None:
    assert type(error(status, body)) is ContentPolicyViolation


def test_a_failing_provider_is_no_context_error_whatever_it_says() -> None:
    assert type(error(500, {"error": {"message": "context window service down"}})) is UpstreamFailed


def test_out_of_credit_is_not_retried() -> None:
    quota = error(
        429, {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"}}
    )
    assert type(quota) is UpstreamQuotaExceeded
    assert not quota.retryable
    assert quota.retry_after is None
    assert type(error(400, {"error": {"message": "Your credit balance is too low to access the Anthropic API."}})) is UpstreamQuotaExceeded
    assert error(429, {"error": {"message": "slow down"}}).retryable


def test_a_wrong_key_under_400_is_still_a_wrong_key() -> None:
    found = error(
        400, {"code": "invalid-argument", "error": "Incorrect API key provided: xai-abcdef123456. Get one at https://console.x.ai."}
    )
    assert type(found) is UpstreamAuthFailed
    assert "abcdef123456" not in found.message
    assert found.message.startswith("acme refused the gateway's credential: Incorrect API key provided")


def test_a_rejection_keeps_type_code_and_param() -> None:
    found = error(400, {"error": {"message": "no", "type": "invalid_request_error", "code": 1500, "param": "tools"}})
    assert (found.type, found.code, found.param) == ("invalid_request_error", "1500", "tools")


def test_messages_are_bounded() -> None:
    assert len(error(400, {"error": {"message": "x" * 10_000}}).message) == 2_000
    assert len(error(400, b"y" * 10_000).message) == 300


def test_the_wait_is_read_for_errors_that_are_retried() -> None:
    assert error(429, {}, **{"retry-after": "3"}).retry_after == 3.0
    assert error(503, {}, **{"retry-after": "3"}).retry_after == 3.0
    assert error(400, {}, **{"retry-after": "3"}).retry_after is None


@pytest.mark.parametrize(
    ("tree", "kind", "status"),
    [
        ({"error": {"message": "x", "code": 502}}, UpstreamFailed, 502),
        ({"error": {"message": "x", "status_code": 400, "type": "invalid_request_error"}}, UpstreamRejected, 400),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, UpstreamFailed, 529),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}, UpstreamRateLimited, 429),
        ({"error": {"message": "x", "code": "rate_limit_exceeded"}}, UpstreamRateLimited, 429),
        ({"object": "error", "message": "x", "type": "BadRequestError", "code": 400}, UpstreamRejected, 400),
        ({"error": {"message": "unknown"}}, UpstreamFailed, 500),
    ],
)
def test_an_error_under_http_200_has_the_status_it_names(tree: Any, kind: type[UpstreamError], status: int) -> None:
    found = error_from_tree(tree, TARGET)
    assert type(found) is kind
    assert found.upstream_status == status


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "type", "code", "detail", "metadata", "raw", "status", "param", "details", "headers", "innererror"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.integers(100, 599), JSON)
def test_no_json_makes_it_raise(status: int, body: Any) -> None:
    found = error(status, body, **{"retry-after": "x"})
    assert found.message
    assert found.upstream_status == status


@given(st.integers(300, 599), st.binary(max_size=60))
def test_no_bytes_make_it_raise(status: int, body: bytes) -> None:
    assert error(status, body).message


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "too many tokens: total number of tokens in the prompt cannot exceed 128000 - received 200000"),
        (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 12000 `inputs` tokens"),
        (400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
        (400, "The input (5000 tokens) is longer than the model's context length (4096 tokens)."),
        (400, "so generating 10 tokens requires a sequence length of 5000, but the maximum supported sequence length is just 4096!"),
        (400, "the number of input tokens 5000 cannot exceed the total tokens limit 4096 for this model"),
        (400, "Range of input length should be [1, 30720]"),
        (400, "Invalid request: Your request exceeded model token limit: 8192"),
        (400, "Input length 140000 exceeds the maximum length 131072"),
        (413, "Request too large for model `llama-3` on tokens per minute (TPM): Limit 6000, Requested 7000"),
        (400, "Your input exceeds the context window of this model. Please adjust your input and try again."),
        (400, "Trying to keep the first 5000 tokens when context the overflows. The model is loaded with context length of only 4096"),
    ],
)
def test_every_houses_words_for_a_prompt_that_does_not_fit(status: int, message: str) -> None:
    found = error(status, {"error": {"message": message}})
    assert type(found) is ContextWindowExceeded
    assert not found.retryable


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"}}),
        (400, {"error": {"code": "InputTextSensitiveContentDetected", "message": "no"}}),
        (400, {"error": {"code": "1301", "message": "no"}}),
        (400, {"error": {"type": "content_filter", "message": "The request was rejected because it was considered high risk"}}),
        (400, {"error": {"message": "Input data may contain inappropriate content."}}),
        (403, {"error": {"code": 403, "message": "Input flagged", "metadata": {"reasons": ["violence"]}}}),
    ],
)
def test_every_houses_words_for_what_it_will_not_say(status: int, body: Any) -> None:
    assert type(error(status, body)) is ContentPolicyViolation


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, {"error": {"code": "1113", "message": "no balance"}}),
        (400, {"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."}),
        (403, {"code": "x", "error": "Your team has either used all available credits or reached its monthly spending limit."}),
        (400, {"error": {"message": "You have reached your specified API usage limits. You will regain access on 2026-01-01."}}),
        (429, {"error": {"type": "exceeded_current_quota_error", "message": "Your account is suspended"}}),
    ],
)
def test_an_account_without_money_is_not_worth_waiting_for(status: int, body: Any) -> None:
    found = error(status, body)
    assert type(found) is UpstreamQuotaExceeded
    assert not found.retryable
