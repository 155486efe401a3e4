"""What a check is. A new kind is a class with `check`, and a row in kinds.py; one of your own is named in gateway.yaml as module:Class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tollkeeper.errors import CallerError, OurError

Side = Literal["request", "response"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`refused` None: it may pass, with `texts` in place of what was given, if they are not None. `details` go into the error."""

    refused: str | None = None
    texts: tuple[str, ...] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


PASS = Verdict()


@dataclass(frozen=True, slots=True)
class Asked:
    """Of the call whose texts are checked: nothing a check has to look up. `extra` is what the request has for this check."""

    call_id: str
    side: Side = "request"
    model: str = ""
    key_hash: str | None = None
    key_alias: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    customer_id: str | None = None
    organization_id: str | None = None
    tools: tuple[Any, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


class Check(Protocol):
    """One per configured guardrail, shared by all calls."""

    async def check(self, texts: Sequence[str], asked: Asked) -> Verdict:
        """As many texts come back as were given. Raises CheckFailed, also for an answer that makes no sense."""
        ...


class CheckFailed(Exception):
    """The check could not be made. The message is for an operator's log and holds no text of the call."""


class CredentialRefused(CheckFailed):
    """The service did not take the credential. Asked once more, the check has a fresh one."""


class GuardrailBlocked(CallerError):
    """400: a guardrail refused the request or the answer. No other deployment is asked."""


class GuardrailUnavailable(OurError):
    """503: a guardrail that must be asked gave no verdict."""

    status, type, retryable = 503, "service_unavailable", True
