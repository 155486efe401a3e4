"""Signed cost receipts: what one call cost, in a form that whoever holds it can check without us (JWS, Ed25519; RFC 7515, RFC 9864).

The key is one of AWS KMS, which never leaves it, or follows from the installation's pepper, so that every process signs alike and
nothing new has to be kept. Rotating the pepper changes it: keep the public keys (`/reports/receipts/keys`) of receipts that are to be
checked later.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from tollkeeper.errors import BadRequest, OurError
from tollkeeper.store.table import Item

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_CONTEXT = b"tollkeeper cost receipt, Ed25519"
_CLAIMS = (
    "request_id", "started_at", "call_type", "status", "model", "upstream_model", "provider", "deployment_id", "team_id", "user_id",
    "organization_id", "customer_id", "input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "reasoning_tokens",
    "service_tier", "price_version", "usage_at_least", "unconfirmed",
)  # fmt: skip


class Signer(Protocol):
    """An Ed25519 key. Raises OurError."""

    async def public(self) -> bytes:
        """Its 32 bytes."""
        ...

    async def sign(self, data: bytes) -> bytes: ...


class PepperSigner:
    """A signature is a tenth of a millisecond. Raises OurError where the cryptography package is not installed."""

    def __init__(self, pepper: bytes) -> None:
        self._seed = hmac.digest(pepper, _CONTEXT, hashlib.sha256)

    @cached_property
    def _key(self) -> "Ed25519PrivateKey":
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - 60 ms that only this needs
        except ImportError:
            raise OurError("Receipts need the cryptography package.") from None
        return Ed25519PrivateKey.from_private_bytes(self._seed)

    async def public(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    async def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)


class Receipts:
    """One per process."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._head = ""

    async def keys(self) -> dict[str, Any]:
        """The public key, as a JWK set."""
        public = _jwk(await self._signer.public())
        return {"keys": [{**public, "kid": _kid(public), "use": "sig", "alg": "Ed25519"}]}

    async def sign(self, entry: Item, issued_at: int) -> str:
        """A compact JWS. `cost_nano_usd` is the exact amount; the key appears by the first characters of its hash."""
        if not self._head:
            kid = _kid(_jwk(await self._signer.public()))
            self._head = _b64(orjson.dumps({"alg": "Ed25519", "kid": kid, "typ": "tollkeeper-receipt+jws"}))
        claims = {name: entry[name] for name in _CLAIMS if entry.get(name) not in {None, "", False}}
        claims |= {"iss": "tollkeeper", "iat": issued_at, "cost_nano_usd": entry["cost"], "key": str(entry.get("key_hash", ""))[:12]}
        if not entry.get("priced"):
            # Nobody knows the price: the cost is 0 for that reason only.
            claims["priced"] = False
        signed = f"{self._head}.{_b64(orjson.dumps(claims))}"
        return f"{signed}.{_b64(await self._signer.sign(signed.encode()))}"


def verify(receipt: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    """The claims of a receipt that one of the keys has signed. Raises BadRequest for any other."""
    try:
        from joserfc import jws  # noqa: PLC0415
        from joserfc.errors import JoseError  # noqa: PLC0415
        from joserfc.jwk import OKPKey  # noqa: PLC0415
    except ImportError:
        raise OurError("Receipts need the joserfc and cryptography packages.") from None
    for key in keys.get("keys", ()):
        if not isinstance(key, dict) or key.get("crv") != "Ed25519":
            continue
        try:
            found = jws.deserialize_compact(receipt.strip(), OKPKey.import_key(dict(key)), algorithms=["Ed25519"])
            claims = orjson.loads(found.payload)
        except (JoseError, ValueError, TypeError):
            continue
        if isinstance(claims, dict) and claims.get("iss") == "tollkeeper":
            return claims
    raise BadRequest("This is no receipt that one of these keys has signed.", param="receipt")


def _jwk(public: bytes) -> dict[str, str]:
    return {"kty": "OKP", "crv": "Ed25519", "x": _b64(public)}


def _kid(public: Mapping[str, str]) -> str:
    return hashlib.sha256(orjson.dumps(public, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
