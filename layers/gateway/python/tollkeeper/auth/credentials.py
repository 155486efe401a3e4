"""Where a caller may put its key: every place LiteLLM looks, so that no SDK needs to be told.

In this order: the configured header, x-litellm-api-key, Authorization, api-key (Azure), x-api-key (Anthropic), x-goog-api-key (Google),
Ocp-Apim-Subscription-Key (Azure API Management), `?key=` (Google). The first that is not empty counts
(https://docs.litellm.ai/docs/proxy/virtual_keys).
"""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping

from tollkeeper.auth.keys import PREFIX

RawHeaders = Iterable[tuple[bytes, bytes]]
"""ASGI's `scope["headers"]`: names are lower case."""

_NAMES = (b"x-litellm-api-key", b"authorization", b"api-key", b"x-api-key", b"x-goog-api-key", b"ocp-apim-subscription-key")
_SECRET = frozenset({"cookie", "proxy-authorization", "x-amz-security-token"})
_SIGNED = re.compile(r"Credential=Bearer\s+([^/\s,]+)")


class KeyFinder:
    """`custom_header` is general_settings.litellm_key_header_name."""

    def __init__(self, custom_header: str | None = None) -> None:
        custom = (custom_header.lower().encode("latin-1"),) if custom_header else ()
        self._order = tuple(dict.fromkeys((*custom, *_NAMES)))
        self._wanted = frozenset(self._order)

    def find(self, headers: RawHeaders | Mapping[str, str], query: Mapping[str, str] | None = None) -> str | None:
        """The key as the caller wrote it, without its scheme; None if there is none."""
        pairs = _raw(headers) if isinstance(headers, Mapping) else headers
        found = {name: value for name, value in pairs if name in self._wanted}
        for name in self._order:
            if name in found and (key := _bare(found[name].decode("latin-1").strip())):
                return key
        return (query.get("key") if query else None) or None

    def without(self, headers: Mapping[str, str]) -> dict[str, str]:
        """A request's headers but for those that may hold a secret, to be kept. Names are lower case."""
        return {name: value for name, value in headers.items() if name.encode() not in self._wanted and name not in _SECRET}


def _raw(headers: Mapping[str, str]) -> RawHeaders:
    return ((name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers.items())


def _bare(value: str) -> str:
    """`Bearer k`, `Basic k`, `AWS4-HMAC-SHA256 Credential=Bearer k/…` or `k` → `k`."""
    scheme, _, rest = value.partition(" ")
    match scheme.lower():
        case "bearer":
            return rest.strip()
        case "basic":
            return _basic(rest.strip())
        case "aws4-hmac-sha256":
            signed = _SIGNED.search(rest)
            return signed[1] if signed else value
    return value


def _basic(text: str) -> str:
    """The half of `user:password` in base 64 that is a key, else the text itself (some SDKs send the bare key)."""
    try:
        decoded = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return text
    user, _, password = decoded.partition(":")
    return next((part for part in (password, user) if part.startswith(PREFIX)), text)
