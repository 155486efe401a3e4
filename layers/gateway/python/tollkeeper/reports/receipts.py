"""Signed cost receipts: what one call cost, in a form that whoever holds it can check without us (JWS, Ed25519; RFC 7515, RFC 9864).

The signing key follows from the installation's pepper, so that every process signs alike and nothing new has to be kept. Rotating the
pepper changes it: keep the public keys (`/reports/receipts/keys`) of receipts that are to be checked later.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import orjson

from tollkeeper.errors import BadRequest, OurError
from tollkeeper.store.table import Item

_CONTEXT = b"tollkeeper cost receipt, Ed25519"
_ALGORITHMS = ["Ed25519"]
_CLAIMS = (
    "request_id", "started_at", "call_type", "status", "model", "upstream_model", "provider", "deployment_id", "team_id", "user_id",
    "organization_id", "customer_id", "input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "reasoning_tokens",
    "price_version", "usage_at_least", "unconfirmed",
)  # fmt: skip


class Receipts:
    """Raises OurError where joserfc is not installed."""

    def __init__(self, pepper: bytes) -> None:
        seed = hmac.digest(pepper, _CONTEXT, hashlib.sha256)
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - 60 ms that only this needs
        except ImportError:
            raise OurError("Receipts need the joserfc and cryptography packages.") from None
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        self._public = {"kty": "OKP", "crv": "Ed25519", "x": _b64(public)}
        self._kid = hashlib.sha256(orjson.dumps(self._public, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
        self._private: dict[str, str | list[str]] = {**self._public, "d": _b64(seed)}

    def keys(self) -> dict[str, Any]:
        """The public key, as a JWK set."""
        return {"keys": [{**self._public, "kid": self._kid, "use": "sig", "alg": "Ed25519"}]}

    def sign(self, entry: Item, issued_at: int) -> str:
        """A compact JWS. `cost_nano_usd` is the exact amount; the key appears by the first characters of its hash."""
        from joserfc import jws  # noqa: PLC0415
        from joserfc.jwk import OKPKey  # noqa: PLC0415

        claims = {name: entry[name] for name in _CLAIMS if entry.get(name) not in {None, ""}}
        claims |= {"iss": "tollkeeper", "iat": issued_at, "cost_nano_usd": entry["cost"], "key": str(entry.get("key_hash", ""))[:12]}
        header = {"alg": "Ed25519", "kid": self._kid, "typ": "tollkeeper-receipt+jws"}
        return jws.serialize_compact(header, orjson.dumps(claims), OKPKey.import_key(self._private), algorithms=_ALGORITHMS)


def verify(receipt: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    """The claims of a receipt that one of the keys has signed. Raises BadRequest for any other."""
    try:
        from joserfc import jws  # noqa: PLC0415
        from joserfc.errors import JoseError  # noqa: PLC0415
        from joserfc.jwk import OKPKey  # noqa: PLC0415
    except ImportError:
        raise OurError("Receipts need the joserfc and cryptography packages.") from None
    for key in keys.get("keys", ()):
        if key.get("crv") != "Ed25519":
            continue
        try:
            found = jws.deserialize_compact(receipt.strip(), OKPKey.import_key(dict(key)), algorithms=_ALGORITHMS)
            claims = orjson.loads(found.payload)
        except (JoseError, ValueError, TypeError):
            continue
        if isinstance(claims, dict) and claims.get("iss") == "tollkeeper":
            return claims
    raise BadRequest("This is no receipt that one of these keys has signed.", param="receipt")


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
