"""Every error that may reach a caller, and whose fault it is.

    TollkeeperError
    ├── CallerError                 the request or its key: do not retry unchanged
    │   ├── BadRequest              400   malformed, missing or contradictory fields
    │   │   └── UnsupportedParams   400   the chosen provider cannot do it (see drop_params)
    │   ├── Unauthenticated         401   no key, unknown, expired, blocked
    │   ├── Forbidden               403   a good key that may not do this
    │   ├── NotFound                404
    │   ├── Conflict                409   somebody else changed it first
    │   ├── PayloadTooLarge         413
    │   ├── BudgetExceeded          422   (status is configurable, as in LiteLLM)
    │   └── RateLimited             429   ours, not the provider's
    ├── UpstreamError               the provider answered badly or not at all
    │   ├── UpstreamRejected        provider's 4xx: the same request would fail again
    │   │   ├── ContextWindowExceeded
    │   │   └── ContentPolicyViolation
    │   ├── UpstreamAuthFailed      provider refused our credential: try another deployment
    │   ├── UpstreamRateLimited     429
    │   │   └── UpstreamQuotaExceeded   our account there is out of credit: waiting does not help
    │   ├── UpstreamTimeout         408, or no answer in time
    │   ├── UpstreamUnreachable     no connection, or it closed before an answer
    │   ├── UpstreamFailed          provider's 5xx
    │   └── UpstreamProtocolError   an answer that is not in the dialect (HTML page, cut JSON)
    └── OurError                    503/500: ours
        ├── ConfigError             gateway.yaml; carries every finding at once
        ├── StoreUnavailable        503
        └── NoDeployment            429   every deployment of the group is cooling down

An error carries what a renderer needs (`edge/problems.py` is the only place that turns one into HTTP), never a stack trace,
a secret or a prompt. `type` and `code` follow LiteLLM's words where it has one.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class TollkeeperError(Exception):
    """`message` is for the caller. `extra` are further fields of the error object; `headers` go on the response."""

    status: int = 500
    type: str = "internal_server_error"
    fault: ClassVar[str] = "ours"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        type: str | None = None,  # noqa: A002 - the field's name in the envelope
        code: str | None = None,
        param: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.type = type or self.type
        self.status = status or self.status
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})


class CallerError(TollkeeperError):
    status, type, fault = 400, "invalid_request_error", "caller"


class BadRequest(CallerError):
    """400. `param` names the field at fault."""


class UnsupportedParams(BadRequest):
    """400: the model behind the alias does not take these parameters and drop_params is off."""


class Unauthenticated(CallerError):
    status, type = 401, "auth_error"


class Forbidden(CallerError):
    status, type = 403, "key_model_access_denied"


class NotFound(CallerError):
    status, type = 404, "not_found_error"


class Conflict(CallerError):
    status, type = 409, "conflict"


class PayloadTooLarge(CallerError):
    status = 413


class UnsupportedEncoding(CallerError):
    status = 415


class BudgetExceeded(CallerError):
    status, type = 422, "budget_exceeded"


class RateLimited(CallerError):
    status, type = 429, "throttling_error"


class UpstreamError(TollkeeperError):
    """The provider's part. `status` is what our caller gets; `upstream_status` what the provider said (None: nothing)."""

    status, type, fault, retryable = 502, "upstream_error", "upstream", True

    def __init__(self, message: str, *, upstream_status: int | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.upstream_status = upstream_status


class UpstreamRejected(UpstreamError):
    """A 4xx that is about the request; the provider's own status, type, code and param ride along."""

    status, type, retryable = 400, "invalid_request_error", False


class ContextWindowExceeded(UpstreamRejected):
    """The prompt does not fit: `context_window_fallbacks` apply."""


class ContentPolicyViolation(UpstreamRejected):
    """The provider's safety system refused: `content_policy_fallbacks` apply."""


class UpstreamAuthFailed(UpstreamError):
    """The provider refused our credential (401/403). Not the caller's key: the caller gets 401 with the provider named."""

    status, type = 401, "authentication_error"


class UpstreamRateLimited(UpstreamError):
    status, type = 429, "throttling_error"


class UpstreamQuotaExceeded(UpstreamRateLimited):
    """Our credit at the provider is used up (402, or 429 insufficient_quota): another deployment may serve, this one will not soon."""

    retryable = False


class UpstreamTimeout(UpstreamError):
    status, type = 408, "timeout_error"


class UpstreamUnreachable(UpstreamError):
    status, type = 500, "internal_server_error"


class UpstreamFailed(UpstreamError):
    status, type = 500, "internal_server_error"


class UpstreamProtocolError(UpstreamError):
    status, type = 502, "upstream_error"


class OurError(TollkeeperError):
    """Ours. The message says what is broken for an operator, without internals."""


class ConfigError(OurError):
    """gateway.yaml is wrong. `findings` has one line per mistake: path in the file, line, what is wrong, what to write."""

    def __init__(self, message: str, findings: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join((message, *findings)))
        self.findings = findings


class StoreUnavailable(OurError):
    status, type, retryable = 503, "service_unavailable", True


class NoDeployment(OurError):
    status, type, retryable = 429, "all_deployments_in_cooldown", True
