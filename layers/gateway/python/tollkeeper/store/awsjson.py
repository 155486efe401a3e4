"""One AWS service that speaks JSON over POST (DynamoDB, Secrets Manager): sign, send, and retry only what is safe.

What a failure says about the request decides what happens next:

    answered, refused            AwsRefused, for the caller of `call` to name
    certainly not carried out    throttled, no connection, expired keys: tried again
    perhaps carried out          timeout, connection lost, 5xx, cut answer: tried again only if the request is `repeatable`,
                                 else StoreUnavailable, for a write with code `write_outcome_unknown`

Tries and time are bounded: a request behind an API must fail while its caller is still there.
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import SystemRandom
from typing import Any

import orjson

from tollkeeper.clock import Clock, system
from tollkeeper.errors import StoreUnavailable
from tollkeeper.store.aws import CredentialSource, HttpSend, NotSent, endpoint_of, sign
from tollkeeper.store.table import OUTCOME_UNKNOWN

TRIES = 5
TOTAL_SECONDS = 6.0
TRY_SECONDS = 2.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.4
_WRITES = frozenset(("PutItem", "UpdateItem", "DeleteItem"))
_EXPIRED = frozenset(("ExpiredTokenException", "ExpiredToken"))
_NOT_CARRIED_OUT = frozenset(
    (
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "Throttling",
        "RequestLimitExceeded",
        "TransactionConflictException",
        "ReplicatedWriteConflictException",
        *_EXPIRED,
    )
)
# Not from a seed: two sandboxes restored from one snapshot would pause in step.
_random = SystemRandom()


@dataclass(frozen=True)
class AwsService:
    """How to address it: `target` prefixes the operation in X-Amz-Target, `subject` is how messages name it."""

    name: str
    target: str
    version: str
    subject: str


class AwsRefused(Exception):
    """The service answered with an error of its own. `perhaps_before`: an earlier try of this call may have been carried out."""

    def __init__(self, code: str, message: str, answer: Mapping[str, Any], *, perhaps_before: bool) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.answer = answer
        self.perhaps_before = perhaps_before


class _TryFailed(Exception):
    """`code` is AWS's, or the transport's error in one word. `perhaps`: the request may have been carried out."""

    def __init__(self, code: str, *, perhaps: bool) -> None:
        super().__init__(code)
        self.code = code
        self.perhaps = perhaps


class AwsJson:
    def __init__(
        self,
        service: AwsService,
        send: HttpSend,
        credentials: CredentialSource,
        region: str,
        endpoint: str | None = None,
        *,
        clock: Clock = system,
    ) -> None:
        self._service = service
        self._send = send
        self._credentials = credentials
        self._region = region
        self._url = (endpoint or endpoint_of(service.name, region)).rstrip("/") + "/"
        self._clock = clock
        self._content_type = f"application/x-amz-json-{service.version}"

    async def call(self, operation: str, payload: Mapping[str, Any], *, repeatable: bool) -> dict[str, Any]:
        """The answer. Raises AwsRefused, StoreUnavailable, and ValueError for a payload that is not JSON."""
        body = _encode(payload)
        give_up = self._clock.monotonic() + TOTAL_SECONDS
        perhaps, refresh = False, False
        for attempt in range(TRIES):
            try:
                return await self._try(operation, body, refresh=refresh, perhaps_before=perhaps)
            except _TryFailed as failure:
                perhaps, refresh = perhaps or failure.perhaps, failure.code in _EXPIRED
                pause = _random.uniform(0.5, 1) * min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt)
                last = attempt == TRIES - 1 or self._clock.monotonic() + pause > give_up
                if last or (failure.perhaps and not repeatable):
                    raise self._unavailable(failure.code, unknown=perhaps and operation in _WRITES) from failure
                await self._clock.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def refused(self, refusal: AwsRefused) -> StoreUnavailable:
        """The error for a refusal that no caller of ours can mend: missing rights, a missing table, a wrong key."""
        return self._unavailable(refusal.code, unknown=False)

    async def _try(self, operation: str, body: bytes, *, refresh: bool, perhaps_before: bool) -> dict[str, Any]:
        credentials = await self._credentials.get(refresh=refresh)
        headers = sign(
            "POST",
            self._url,
            {"content-type": self._content_type, "x-amz-target": f"{self._service.target}.{operation}"},
            body,
            service=self._service.name,
            region=self._region,
            credentials=credentials,
            now=self._clock.now(),
        )
        try:
            status, _, answer = await self._send("POST", self._url, headers, body, TRY_SECONDS)
        except (NotSent, ConnectionRefusedError) as error:
            raise _TryFailed("no connection", perhaps=False) from error
        except OSError as error:
            raise _TryFailed("timeout" if isinstance(error, TimeoutError) else "connection lost", perhaps=True) from error
        return _read(status, answer, perhaps_before=perhaps_before)

    def _unavailable(self, code: str, *, unknown: bool) -> StoreUnavailable:
        return StoreUnavailable(f"{self._service.subject} is not available: {code}", code=OUTCOME_UNKNOWN if unknown else None)


def _encode(payload: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(payload)
    except TypeError as error:
        raise ValueError(f"not JSON: {error}") from error


def _read(status: int, body: bytes, *, perhaps_before: bool) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if status == 200:
        if isinstance(answer, dict):
            return answer
        raise _TryFailed("cut answer", perhaps=True)
    answer = answer if isinstance(answer, dict) else {}
    code = str(answer.get("__type") or f"HTTP {status}").rpartition("#")[2]
    if code in _NOT_CARRIED_OUT or status == 429:
        raise _TryFailed(code, perhaps=False)
    if status >= 500:
        raise _TryFailed(code, perhaps=True)
    raise AwsRefused(code, str(answer.get("message") or answer.get("Message") or ""), answer, perhaps_before=perhaps_before)
