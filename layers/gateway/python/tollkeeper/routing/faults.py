"""What a failed try says about the deployment: nothing, trouble that may pass, or that it will not serve until somebody acts.

A caller must not be able to bench a deployment: what is about the request, what our own limits refused, and a wait that the caller
cut short count for nothing. https://docs.litellm.ai/docs/routing#cooldowns
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tollkeeper.config.snapshot import Deployment
from tollkeeper.errors import (
    ContentPolicyViolation,
    ContextWindowExceeded,
    TollkeeperError,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamQuotaExceeded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
)

FaultClass = Literal["transient", "rate_limited", "hard"]
Kind = Literal[
    "BadRequest", "Authentication", "Timeout", "RateLimit", "ContentPolicyViolation", "InternalServer", "ServiceUnavailable", "BadGateway",
    "NotFound",
]  # fmt: skip
"""LiteLLM's words, as in `TimeoutErrorRetries` and `TimeoutErrorAllowedFails`."""

FAIR_WAIT_SECONDS = 10.0
"""A deployment that was silent for less, and less than its own timeout, has not failed: somebody was impatient."""
_IMPATIENCE_SLACK = 0.95
_KIND_OF_STATUS: Mapping[int, Kind] = {502: "BadGateway", 503: "ServiceUnavailable", 529: "ServiceUnavailable"}


@dataclass(frozen=True, slots=True)
class Fault:
    """`retry_after` is seconds, where the upstream said so."""

    fault_class: FaultClass
    kind: Kind
    retry_after: float = 0.0


def kind_of(error: TollkeeperError) -> Kind | None:
    """None: no error class that LiteLLM's policies can name."""
    if isinstance(error, ContextWindowExceeded) or not isinstance(error, UpstreamError):
        return None
    if isinstance(error, UpstreamRejected):
        return _kind_of_rejection(error)
    if isinstance(error, UpstreamAuthFailed):
        return "Authentication"
    if isinstance(error, UpstreamRateLimited):
        return "RateLimit"
    if isinstance(error, UpstreamTimeout):
        return "Timeout"
    return _KIND_OF_STATUS.get(error.upstream_status or 0, "InternalServer")


def fault_of(error: TollkeeperError, deployment: Deployment, waited: float) -> Fault | None:
    """None: the error says nothing about the deployment. `waited` is how many seconds the try took."""
    kind = kind_of(error)
    if kind is None or not isinstance(error, UpstreamError):
        return None
    fault_class = _class_of(error, deployment, waited)
    return Fault(fault_class, kind, error.retry_after or 0.0) if fault_class else None


def is_missing(error: TollkeeperError, deployment: Deployment) -> bool:
    """The provider does not know the deployment's model. (Behind a pattern the caller chose it, and some 404s are about another field.)"""
    missing = isinstance(error, UpstreamRejected) and error.upstream_status == 404
    return missing and "*" not in deployment.group and error.param in {None, "model"}


def is_alive(error: TollkeeperError) -> bool:
    """Whether the upstream itself answered, and only the request was at fault."""
    return isinstance(error, UpstreamRejected) and error.upstream_status is not None


def same_credential(one: Deployment, other: Deployment) -> bool:
    """What is refused to the one is refused to the other."""
    if one.api_key is None and not one.auth.params:
        return False
    return (one.provider, one.base_url, one.api_key, one.auth) == (other.provider, other.base_url, other.api_key, other.auth)


def _kind_of_rejection(error: UpstreamRejected) -> Kind:
    if isinstance(error, ContentPolicyViolation):
        return "ContentPolicyViolation"
    return "NotFound" if error.upstream_status == 404 else "BadRequest"


def _class_of(error: UpstreamError, deployment: Deployment, waited: float) -> FaultClass | None:
    if isinstance(error, UpstreamRejected):
        return "hard" if is_missing(error, deployment) else None
    if isinstance(error, UpstreamRateLimited) and error.upstream_status is None:
        return None
    if isinstance(error, UpstreamTimeout) and error.upstream_status is None and _impatient(deployment, waited):
        return None
    # A 403 may be about one file or feature of the request, so it has to repeat itself.
    if isinstance(error, UpstreamQuotaExceeded) or (isinstance(error, UpstreamAuthFailed) and error.upstream_status != 403):
        return "hard"
    return "rate_limited" if isinstance(error, UpstreamRateLimited) else "transient"


def _impatient(deployment: Deployment, waited: float) -> bool:
    own = min(deployment.timeout, deployment.stream_timeout or deployment.timeout)
    return waited < min(own * _IMPATIENCE_SLACK, FAIR_WAIT_SECONDS)
