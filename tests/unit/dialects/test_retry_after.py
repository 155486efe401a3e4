from typing import Any

import pytest

from tollkeeper.dialects.retry_after import retry_after

NOW = 1_700_000_000


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "0", "retry-after": "1"}, 1.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:30 GMT"}, 10.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:30 GMT", "date": "Tue, 14 Nov 2023 22:13:25 GMT"}, 5.0),
        ({"retry-after": "soon"}, None),
        ({"x-ratelimit-reset-requests": "21m36.001s"}, 1296.001),
        ({"x-ratelimit-reset-tokens": "12ms"}, 0.012),
        ({"x-ratelimit-reset-tokens": "6", "x-ratelimit-reset-requests": "2"}, 6.0),
        ({"anthropic-ratelimit-tokens-reset": "2023-11-14T22:13:24Z"}, 4.0),
        ({"x-ratelimit-reset": str((NOW + 30) * 1000)}, 30.0),
        ({"x-ratelimit-reset": str(NOW + 20)}, 20.0),
        ({"x-ratelimit-reset": str(NOW - 20)}, None),
        ({"x-ratelimit-reset": str(NOW + 20_000_000)}, None),
        ({}, None),
    ],
)
def test_headers(headers: dict[str, str], seconds: float | None) -> None:
    found = retry_after(headers, None, "", kind="", seen_at=NOW)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_the_limit_that_ran_out_is_the_one_to_wait_for() -> None:
    headers = {"x-ratelimit-reset-requests": "1h", "x-ratelimit-reset-tokens": "2s"}
    assert retry_after(headers, None, "", kind="tokens", seen_at=NOW) == 2.0
    assert retry_after(headers, None, "", kind="requests", seen_at=NOW) == 3600.0


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"error": {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}]}}, 37.0),
        ({"error": {"metadata": {"headers": {"X-RateLimit-Reset": str((NOW + 9) * 1000)}}}}, 9.0),
        ({"error": {"details": "nonsense"}}, None),
        ([1, 2], None),
    ],
)
def test_bodies(body: Any, seconds: float | None) -> None:
    assert retry_after({}, body, "", kind="", seen_at=NOW) == seconds


@pytest.mark.parametrize(
    ("message", "seconds"),
    [("Please try again in 4.24s.", 4.24), ("retry after 3 seconds", 3.0), ("try again in 6m0s", 360.0), ("try again in a while", None)],
)
def test_sentences(message: str, seconds: float | None) -> None:
    assert retry_after({}, None, message, kind="", seen_at=NOW) == (None if seconds is None else pytest.approx(seconds))
