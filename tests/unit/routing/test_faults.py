"""What counts against a deployment, and what a caller can do without it counting."""

import pytest
from tests.support.routing import deployment

from tollkeeper.errors import (
    BadRequest,
    ContentPolicyViolation,
    ContextWindowExceeded,
    StoreUnavailable,
    TollkeeperError,
    UpstreamAuthFailed,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamQuotaExceeded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from tollkeeper.routing.faults import fault_of

ROW = deployment("g", "a")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UpstreamFailed("x", upstream_status=500), ("transient", "InternalServer")),
        (UpstreamFailed("x", upstream_status=502), ("transient", "BadGateway")),
        (UpstreamFailed("x", upstream_status=529), ("transient", "ServiceUnavailable")),
        (UpstreamUnreachable("x"), ("transient", "InternalServer")),
        (UpstreamProtocolError("x", upstream_status=200), ("transient", "InternalServer")),
        (UpstreamTimeout("x", upstream_status=504), ("transient", "Timeout")),
        (UpstreamTimeout("x"), ("transient", "Timeout")),
        (UpstreamRateLimited("x", upstream_status=429), ("rate_limited", "RateLimit")),
        (UpstreamAuthFailed("x", upstream_status=401), ("hard", "Authentication")),
        (UpstreamAuthFailed("no key is set"), ("hard", "Authentication")),
        (UpstreamAuthFailed("x", upstream_status=403), ("transient", "Authentication")),
        (UpstreamQuotaExceeded("x", upstream_status=402), ("hard", "RateLimit")),
        (UpstreamRejected("x", upstream_status=404, code="model_not_found"), ("hard", "NotFound")),
    ],
)
def test_the_providers_failures_count(error: TollkeeperError, expected: tuple[str, str]) -> None:
    fault = fault_of(error, ROW, waited=60)
    assert fault is not None
    assert (fault.fault_class, fault.kind) == expected


@pytest.mark.parametrize(
    "error",
    [
        UpstreamRejected("bad image", upstream_status=400),
        UpstreamRejected("no such response", upstream_status=404, param="previous_response_id"),
        ContextWindowExceeded("long", upstream_status=400),
        ContentPolicyViolation("rude", upstream_status=400),
        UpstreamRateLimited("our own budget for this deployment"),
        BadRequest("x"),
        StoreUnavailable("x"),
    ],
)
def test_what_is_about_the_request_or_ours_does_not(error: TollkeeperError) -> None:
    assert fault_of(error, ROW, waited=60) is None


def test_a_caller_in_a_hurry_cannot_bench_a_deployment() -> None:
    assert fault_of(UpstreamTimeout("x"), ROW, waited=0.1) is None
    assert fault_of(UpstreamTimeout("x"), ROW, waited=11) is not None
    assert fault_of(UpstreamTimeout("x"), deployment("g", "a", stream_timeout=2.0), waited=2) is not None, "its own limit"


def test_a_caller_who_invents_model_names_cannot_bench_a_pattern() -> None:
    assert fault_of(UpstreamRejected("x", upstream_status=404), deployment("openai/*", "a"), waited=1) is None


def test_the_time_the_upstream_asks_for_is_kept() -> None:
    fault = fault_of(UpstreamRateLimited("x", upstream_status=429, retry_after=17.5), ROW, waited=1)
    assert fault is not None
    assert fault.retry_after == 17.5
