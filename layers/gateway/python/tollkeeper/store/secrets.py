"""Provider credentials and our own keys, read from AWS Secrets Manager and kept for five minutes.

A rotation is seen at the latest after `KEEP_SECONDS`, or at once by `force` when an upstream has answered 401.
If Secrets Manager cannot be reached, a value once read stays good for `STALE_SECONDS`: an outage there need not be one here.
Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
"""

import asyncio
import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any

import orjson

from tollkeeper.clock import Clock, system
from tollkeeper.errors import NotFound, StoreUnavailable
from tollkeeper.store.aws import CredentialSource, HttpSend
from tollkeeper.store.awsjson import AwsJson, AwsRefused, AwsService

Secret = dict[str, str] | str
KEEP_SECONDS = 300.0
STALE_SECONDS = 3600.0
_TRY_AGAIN_SECONDS = 15.0


@dataclass(slots=True)
class _Kept:
    value: Secret = field(repr=False)
    read: float
    until: float


class SecretsManager:
    """Values never appear in a message or a repr. `prefix` is of the names of secrets that are kept here."""

    def __init__(
        self,
        send: HttpSend,
        credentials: CredentialSource,
        region: str,
        endpoint: str | None = None,
        *,
        clock: Clock = system,
        prefix: str = "tollkeeper/",
    ) -> None:
        self._aws = AwsJson(
            AwsService("secretsmanager", "secretsmanager", "1.1", "Secrets Manager"), send, credentials, region, endpoint, clock=clock
        )
        self._clock, self._prefix = clock, prefix
        self._kept: dict[str, _Kept] = {}
        self._reading: dict[str, asyncio.Task[Secret]] = {}

    async def get(self, secret_id: str, *, force: bool = False) -> Secret:
        """The fields of a JSON secret, or the text of any other. `force` reads anew; callers at the same time share one read.

        Raises NotFound, and StoreUnavailable if the secret cannot be read.
        """
        kept = self._kept.get(secret_id)
        if kept and not force and self._clock.now() < kept.until:
            return kept.value
        try:
            return await self._shared_read(secret_id)
        except StoreUnavailable:
            now = self._clock.now()
            if kept is None or force or now >= kept.read + STALE_SECONDS:
                raise
            kept.until = now + _TRY_AGAIN_SECONDS
            return kept.value

    async def keep(self, name: str, text: str) -> str:
        """Makes or overwrites the secret of that name; its text is the field `value` of the id that is answered. Raises StoreUnavailable.

        One that is waiting for its deletion is brought back first.
        """
        secret_id, payload = self._prefix + name, {"SecretString": orjson.dumps({"value": text}).decode()}
        token = hashlib.sha256(payload["SecretString"].encode() + secrets.token_bytes(16)).hexdigest()
        try:
            await self._aws.call("CreateSecret", {"Name": secret_id, "ClientRequestToken": token, **payload}, repeatable=True)
        except AwsRefused as refusal:
            if refusal.code not in ("ResourceExistsException", "InvalidRequestException"):
                raise self._aws.refused(refusal) from refusal
            await self._asked("RestoreSecret", {"SecretId": secret_id}, missing_ok=True)
            await self._asked("PutSecretValue", {"SecretId": secret_id, "ClientRequestToken": token, **payload})
        self._kept.pop(secret_id, None)
        return secret_id

    async def drop(self, secret_id: str) -> None:
        """It can be brought back for a week. Does nothing where there is none."""
        await self._asked("DeleteSecret", {"SecretId": secret_id, "RecoveryWindowInDays": 7}, missing_ok=True)
        self._kept.pop(secret_id, None)

    def forget(self) -> None:
        """What was read is read anew."""
        for kept in self._kept.values():
            kept.until = float("-inf")

    async def _asked(self, operation: str, payload: dict[str, Any], *, missing_ok: bool = False) -> None:
        try:
            await self._aws.call(operation, payload, repeatable=True)
        except AwsRefused as refusal:
            if not (missing_ok and refusal.code in ("ResourceNotFoundException", "InvalidRequestException")):
                raise self._aws.refused(refusal) from refusal

    async def _shared_read(self, secret_id: str) -> Secret:
        task = self._reading.get(secret_id)
        if task is None:
            task = self._reading[secret_id] = asyncio.create_task(self._read(secret_id))
            task.add_done_callback(lambda _: self._reading.pop(secret_id, None))
        # One caller's cancellation must not take the value from the others.
        return await asyncio.shield(task)

    async def _read(self, secret_id: str) -> Secret:
        try:
            answer = await self._aws.call("GetSecretValue", {"SecretId": secret_id}, repeatable=True)
        except AwsRefused as refusal:
            if refusal.code == "ResourceNotFoundException":
                raise NotFound(f"there is no secret {_short(secret_id)}") from None
            raise StoreUnavailable(f"secret {_short(secret_id)} cannot be read: {refusal.code}") from refusal
        value = _parse(secret_id, answer)
        now = self._clock.now()
        self._kept[secret_id] = _Kept(value, now, now + KEEP_SECONDS)
        return value


def _parse(secret_id: str, answer: dict[str, Any]) -> Secret:
    text = answer.get("SecretString")
    if text is None:
        try:
            text = base64.b64decode(answer["SecretBinary"], validate=True).decode()
        except (KeyError, binascii.Error, UnicodeDecodeError):
            raise StoreUnavailable(f"secret {_short(secret_id)} holds no text") from None
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError:
        return str(text)
    if not isinstance(fields, dict):
        return str(text)
    return {name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in fields.items()}


def _short(secret_id: str) -> str:
    """The name without the account number that an ARN carries."""
    return repr(secret_id.rpartition(":")[2])
