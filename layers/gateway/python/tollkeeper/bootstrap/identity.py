"""Who may call, wired: virtual keys, signed tokens where gateway.yaml switches them on, and AWS principals on Lambda."""

from collections.abc import Awaitable, Callable

from tollkeeper.auth.authenticate import Authenticator, Tokens
from tollkeeper.auth.iam import callers_of
from tollkeeper.auth.principal import Principal
from tollkeeper.auth.records import TeamRecord, UserRecord
from tollkeeper.auth.shelves import Shelves
from tollkeeper.auth.token_rules import TokenRules, rules_of
from tollkeeper.bootstrap.installation import Installation
from tollkeeper.errors import StoreUnavailable

_FETCH_SECONDS = 5.0
Register = Callable[[UserRecord | TeamRecord], Awaitable[None]]


class Newcomers:
    """Users and teams that a token brought (`user_id_upsert`, `team_id_upsert`). `register` is set where the directory may be written."""

    register: Register | None = None

    async def welcome(self, record: UserRecord | TeamRecord) -> None:
        if self.register is not None:
            await self.register(record)


def authenticator_of(installation: Installation, pepper: bytes, newcomers: Newcomers) -> Authenticator:
    """Raises ConfigError where tokens are switched on and nothing says whose."""
    settings, snapshot = installation.settings, installation.snapshot
    general, own = snapshot.settings.get("general_settings", {}), snapshot.settings.get("tollkeeper", {})
    rules = rules_of(general.get("litellm_jwtauth") or {}, installation.env) if general.get("enable_jwt_auth") else None
    return Authenticator(
        installation.store.directory,
        pepper,
        master_key=installation.master_key,
        clock=installation.clock,
        cache_seconds=settings.key_cache_seconds,
        key_header=snapshot.key_header,
        tokens=None if rules is None else lambda shelves: _LazyTokens(rules, shelves, installation, newcomers),
        iam_callers=callers_of(own.get("iam_callers") or ()),
    )


class _LazyTokens:
    """The JWT library is imported when the first token is met."""

    def __init__(self, rules: TokenRules, shelves: Shelves, installation: Installation, newcomers: Newcomers) -> None:
        self._rules, self._shelves, self._installation, self._newcomers = rules, shelves, installation, newcomers
        self._auth: Tokens | None = None

    async def principal(self, token: str, wanted_team: str | None = None) -> Principal:
        if self._auth is None:
            from tollkeeper.auth.jwks import TokenVerifier
            from tollkeeper.auth.tokens import TokenAuth

            rules = self._rules
            verifier = TokenVerifier(rules.issuers, self._fetch, self._installation.clock, ttl=rules.public_key_ttl)
            self._auth = TokenAuth(rules, verifier, self._shelves, self._newcomers.welcome)
        return await self._auth.principal(token, wanted_team)

    async def _fetch(self, url: str) -> bytes:
        try:
            status, _, body = await self._installation.http_send("GET", url, {"accept": "application/json"}, b"", _FETCH_SECONDS)
        except OSError:
            raise StoreUnavailable("The identity provider does not answer.") from None
        if status != 200:
            raise StoreUnavailable(f"The identity provider answers {status} for its keys.")
        return body
