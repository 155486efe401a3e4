"""Virtual keys: how one is made, and the only form in which it is kept.

A key is a secret of 128 bits, shown once. What is stored is HMAC-SHA256 under a pepper that the database does not hold,
so a copy of the table neither authenticates nor can be searched for a guessed key. What is put under the pepper is the key's SHA-256 in
hex: that is what LiteLLM stores, so that keys made there can be brought over without anybody having to change theirs.
"""

import hashlib
import hmac
import secrets

PREFIX = "sk-"
MIN_LENGTH = 16
MAX_LENGTH = 512


def new_key() -> str:
    """`sk-` and 22 URL-safe characters, the shape of LiteLLM's keys (https://docs.litellm.ai/docs/proxy/virtual_keys)."""
    return PREFIX + secrets.token_urlsafe(16)


def hash_key(pepper: bytes, key: str) -> str:
    """64 hex digits: the key's name everywhere except in the caller's hands."""
    return hmac.digest(pepper, hashlib.sha256(key.encode()).hexdigest().encode(), "sha256").hex()


def key_name(key: str) -> str:
    """What may be shown of a key: `sk-...` and its last four characters."""
    return f"{PREFIX}...{key[-4:]}"


def is_key(text: str) -> bool:
    """Whether this could be a virtual key at all; anything else is refused without asking the store."""
    return text.startswith(PREFIX) and MIN_LENGTH <= len(text) <= MAX_LENGTH


def check_custom_key(text: str) -> str:
    """A key text an administrator brings. Raises ValueError, which never repeats the text."""
    if not text.startswith(PREFIX):
        raise ValueError(f"a key must start with {PREFIX}")
    if not MIN_LENGTH <= len(text) <= MAX_LENGTH:
        raise ValueError(f"a key must have {MIN_LENGTH} to {MAX_LENGTH} characters")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("a key must be printable ASCII without spaces, because it travels in a header")
    return text


def same_secret(left: str, right: str) -> bool:
    """Equality in a time that does not depend on where the two differ."""
    return hmac.compare_digest(left.encode(), right.encode())
