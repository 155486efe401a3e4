"""An Ed25519 key of AWS KMS (key spec ECC_NIST_EDWARDS25519): it signs there, and never leaves it.

https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
"""

import base64
from typing import Any

from tollkeeper.clock import Clock, system
from tollkeeper.errors import StoreUnavailable
from tollkeeper.store.aws import CredentialSource, HttpSend
from tollkeeper.store.awsjson import AwsJson, AwsRefused, AwsService

_SPKI = bytes.fromhex("302a300506032b6570032100")
"""What a DER public key begins with if it is an Ed25519 key (RFC 8410); its 32 bytes follow."""


class KmsSigner:
    """`key` is a key's ARN. Raises StoreUnavailable."""

    def __init__(
        self,
        key: str,
        send: HttpSend,
        credentials: CredentialSource,
        region: str,
        endpoint: str | None = None,
        *,
        clock: Clock = system,
    ) -> None:
        self._key = key
        self._public = b""
        # A key is where its ARN says.
        place = key.split(":")[3] if key.startswith("arn:") else region
        self._aws = AwsJson(
            AwsService("kms", "TrentService", "1.1", "the KMS key of receipts"), send, credentials, place, endpoint, clock=clock
        )

    async def public(self) -> bytes:
        if not self._public:
            der = base64.b64decode((await self._call("GetPublicKey", {}))["PublicKey"])
            if len(der) != len(_SPKI) + 32 or not der.startswith(_SPKI):
                raise StoreUnavailable("the KMS key of receipts is no Ed25519 key: its spec must be ECC_NIST_EDWARDS25519")
            self._public = der[len(_SPKI) :]
        return self._public

    async def sign(self, data: bytes) -> bytes:
        asked = {"Message": base64.b64encode(data).decode(), "MessageType": "RAW", "SigningAlgorithm": "ED25519_SHA_512"}
        return base64.b64decode((await self._call("Sign", asked))["Signature"])

    async def _call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._aws.call(operation, {"KeyId": self._key, **request}, repeatable=True)
        except AwsRefused as refusal:
            raise self._aws.refused(refusal) from refusal
