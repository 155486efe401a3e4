"""Provider credentials, resolved at first use and never before: environment variables, or the fields of Secrets Manager secrets.

`os.environ/NAME` in gateway.yaml means the variable NAME or, where the operator has configured secrets (TOLLKEEPER_PROVIDER_SECRETS), the
field NAME of one of them; so one config serves the laptop and Lambda. A value is believed for `ttl` seconds; an upstream 401 makes the
client ask for a fresh one, once, which is how a secret rotated at noon is picked up.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import Secret
from tollkeeper.errors import OurError


class SecretSource(Protocol):
    """A secret manager: id → its text, or its fields when the text is a JSON object. `force` skips its cache."""

    async def get(self, secret_id: str, *, force: bool = False) -> dict[str, str] | str: ...


class Credentials:
    """Resolves `Secret` references. Values never appear in an error or a log."""

    def __init__(
        self,
        env: Callable[[str], str | None],
        clock: Clock,
        *,
        secrets: SecretSource | None = None,
        secret_ids: Sequence[str] = (),
        ttl: float = 300.0,
    ) -> None:
        self._env = env
        self._clock = clock
        self._secrets = secrets
        self._secret_ids = tuple(secret_ids)
        self._ttl = ttl
        self._known: dict[Secret, tuple[str | None, float]] = {}

    async def resolve(self, secret: Secret, *, fresh: bool = False) -> str | None:
        """The value, or None if it is set nowhere. Raises StoreUnavailable if the secret manager cannot be asked."""
        if not fresh and (known := self._known.get(secret)) and known[1] > self._clock.monotonic():
            return known[0]
        value = await self._look_up(secret, fresh=fresh)
        self._known[secret] = (value, self._clock.monotonic() + self._ttl)
        return value

    def forget(self) -> None:
        """Every value is looked up anew at its next use."""
        self._known.clear()

    async def _look_up(self, secret: Secret, *, fresh: bool) -> str | None:
        if secret.source == "literal":
            return secret.value
        if secret.source == "aws":
            secret_id, _, field = secret.value.partition("#")
            return await self._from_manager(secret_id, field, fresh=fresh)
        if (value := self._env(secret.value)) is not None:
            return value
        for secret_id in self._secret_ids:
            if (value := await self._from_manager(secret_id, secret.value, fresh=fresh)) is not None:
                return value
        return None

    async def _from_manager(self, secret_id: str, field: str, *, fresh: bool) -> str | None:
        if self._secrets is None:
            raise OurError(f"secret:{secret_id} is configured, but this installation has no secret manager.")
        found = await self._secrets.get(secret_id, force=fresh)
        if isinstance(found, str):
            return found if not field else None
        return found.get(field)
