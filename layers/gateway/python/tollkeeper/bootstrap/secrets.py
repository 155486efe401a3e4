"""Where secrets are: Secrets Manager, or encrypted files in the state folder for those an embedded installation was given."""

import secrets
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from tollkeeper.errors import OurError
from tollkeeper.settings import Settings

if TYPE_CHECKING:
    from tollkeeper.store.secret_files import SecretFiles
    from tollkeeper.store.secrets import SecretsManager

_KEPT_HERE = "kept/"
"""What the ids of secret files begin with."""


class SecretDesk:
    """Reads any secret (providers.credentials: SecretSource) and keeps those that are given at run time (admin.services: SecretKeeper).

    `kept_secret` makes a secret of the installation once (bootstrap.installation).
    """

    def __init__(self, settings: Settings, manager: "Callable[[], SecretsManager]", kept_secret: Callable[[str, str, str], str]) -> None:
        self._settings, self._make_manager, self._kept_secret = settings, manager, kept_secret

    async def get(self, secret_id: str, *, force: bool = False) -> dict[str, str] | str:
        """Raises NotFound, StoreUnavailable, and OurError where there is nothing to ask."""
        if self._embedded and secret_id.startswith(_KEPT_HERE):
            return await self._files.get(secret_id)
        if not self._settings.aws_region:
            raise OurError(f"secret:{secret_id} is configured, but this installation has no secret manager.")
        return await self._manager.get(secret_id, force=force)

    async def keep(self, name: str, text: str) -> str:
        """→ the id under which the text is the field `value`."""
        return await (self._files.keep(name, text) if self._embedded else self._manager.keep(name, text))

    async def drop(self, secret_id: str) -> None:
        await (self._files.drop(secret_id) if self._embedded else self._manager.drop(secret_id))

    def forget(self) -> None:
        """What was read is read anew."""
        if "_manager" in self.__dict__:
            self._manager.forget()

    @property
    def _embedded(self) -> bool:
        return self._settings.store == "sqlite"

    @cached_property
    def _manager(self) -> "SecretsManager":
        return self._make_manager()

    @cached_property
    def _files(self) -> "SecretFiles":
        from tollkeeper.store.secret_files import SecretFiles

        return SecretFiles(self._settings.state, self._key, _KEPT_HERE)

    def _key(self) -> str:
        return self._settings.salt or self._kept_secret(self._settings.state, "secrets_key", secrets.token_hex(32))
