"""Secrets of an embedded installation: one encrypted file each, in the state folder.

AES-256-GCM, under a key made of TOLLKEEPER_SALT or kept beside the files (mode 0600): a copy of the database holds no credential, and one
of the folder without the key, or with the salt elsewhere, none that can be read. A file is replaced whole, so that a reader in another
process sees the old text or the new one. https://csrc.nist.gov/pubs/sp/800/38/d/final
"""

import asyncio
import hashlib
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tollkeeper.errors import NotFound, StoreUnavailable

_NONCE_BYTES = 12


class SecretFiles:
    """`key` gives the installation's secret text when one is first needed; `prefix` begins every id. Folder `:memory:` keeps nothing beyond
    the process.
    """

    def __init__(self, folder: str, key: Callable[[], str], prefix: str) -> None:
        self._folder = None if folder == ":memory:" else Path(folder) / "secrets"
        self._key, self._prefix = key, prefix
        self._memory: dict[str, bytes] = {}

    async def get(self, secret_id: str, *, force: bool = False) -> dict[str, str] | str:
        """The fields. Raises NotFound, StoreUnavailable. Always reads anew: another process may have written."""
        return await asyncio.to_thread(self._get, secret_id)

    async def keep(self, name: str, text: str) -> str:
        """The id of the secret; its text is the field `value`. Raises StoreUnavailable."""
        secret_id = self._prefix + name
        await asyncio.to_thread(self._put, secret_id, orjson.dumps({"value": text}))
        return secret_id

    async def drop(self, secret_id: str) -> None:
        await asyncio.to_thread(self._drop, secret_id)

    def _get(self, secret_id: str) -> dict[str, str]:
        try:
            sealed = self._memory[secret_id] if self._folder is None else self._path(secret_id).read_bytes()
            fields: dict[str, str] = orjson.loads(self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], secret_id.encode()))
            return fields
        except (KeyError, FileNotFoundError):
            raise NotFound(f"there is no secret {secret_id!r}") from None
        except InvalidTag:
            raise StoreUnavailable(f"secret {secret_id!r} was written under another key (TOLLKEEPER_SALT)") from None
        except OSError as error:
            raise StoreUnavailable(f"secret {secret_id!r} cannot be read: {error.strerror}") from error

    def _put(self, secret_id: str, text: bytes) -> None:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, text, secret_id.encode())
        if self._folder is None:
            self._memory[secret_id] = sealed
            return
        path = self._path(secret_id)
        fresh = path.with_name(f".{path.name}.{nonce.hex()}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.touch(mode=0o600)
            fresh.write_bytes(sealed)
            fresh.replace(path)
        except OSError as error:
            raise StoreUnavailable(f"secret {secret_id!r} cannot be kept: {error.strerror}") from error

    def _drop(self, secret_id: str) -> None:
        self._memory.pop(secret_id, None)
        if self._folder is not None:
            self._path(secret_id).unlink(missing_ok=True)

    def _path(self, secret_id: str) -> Path:
        assert self._folder is not None
        return self._folder / hashlib.sha256(secret_id.encode()).hexdigest()

    @cached_property
    def _cipher(self) -> AESGCM:
        return AESGCM(hashlib.scrypt(self._key().encode(), salt=b"tollkeeper secrets", n=2**14, r=8, p=1, dklen=32))
