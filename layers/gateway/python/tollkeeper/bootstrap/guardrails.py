"""Guardrails, wired: each row of gateway.yaml with the check it is, and the check's way out.

A guardrail on AWS signs with the credentials in its row, else with those of this machine or function.
"""

from typing import Any

import orjson

from tollkeeper.bootstrap.installation import Installation
from tollkeeper.config.snapshot import Guardrail
from tollkeeper.dialects.base import Json
from tollkeeper.errors import TollkeeperError
from tollkeeper.guardrails.check import Check, CheckFailed, CredentialRefused
from tollkeeper.store.aws import Credentials, endpoint_of, sign


def guardrails_of(installation: Installation) -> dict[str, tuple[Guardrail, Check]]:
    """By name. Raises ConfigError for one that cannot be made."""
    rows = installation.snapshot.guardrails
    if not rows:
        return {}
    from tollkeeper.guardrails.kinds import Ways, make

    def ways(row: Guardrail) -> Ways:
        line = _Line(installation, row)
        return Ways(line.post, line.signed, line.credential, installation.env)

    return {row.name: (row, make(row, ways(row))) for row in rows}


class _Line:
    """One guardrail's way to its service."""

    def __init__(self, installation: Installation, row: Guardrail) -> None:
        self._installation, self._row = installation, row
        self._stale: set[str] = set()
        """Credentials that were refused: a secret that was rotated is read anew."""

    async def credential(self, name: str) -> str | None:
        found = self._row.credentials.get(name)
        try:
            fresh = name in self._stale
            self._stale.discard(name)
            return await self._installation.credentials.resolve(found, fresh=fresh) if found is not None else None
        except TollkeeperError as error:
            raise CheckFailed(f"its {name} cannot be read: {error.message}") from None

    async def post(self, url: str, body: Json, headers: Any) -> Any:
        return await self._sent(url, orjson.dumps(body), {"content-type": "application/json", **headers})

    async def signed(self, path: str, body: Json) -> Any:
        installation, data = self._installation, orjson.dumps(body)
        region = self._row.terms.get("aws_region_name") or installation.settings.aws_region
        url = (self._row.url or endpoint_of("bedrock-runtime", region)) + path
        headers = sign(
            "POST",
            url,
            {"content-type": "application/json"},
            data,
            service="bedrock",
            region=region,
            credentials=await self._aws_credentials(),
            now=installation.clock.now(),
        )
        return await self._sent(url, data, headers)

    async def _aws_credentials(self) -> Credentials:
        own = [await self.credential(name) for name in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")]
        if own[0] and own[1]:
            return Credentials(own[0], own[1], own[2] or "")
        try:
            return await self._installation.aws_credentials.get()
        except TollkeeperError as error:
            raise CheckFailed(f"there are no AWS credentials: {error.message}") from None

    async def _sent(self, url: str, body: bytes, headers: Any) -> Any:
        try:
            status, _, said = await self._installation.http_send("POST", url, headers, body, self._row.timeout)
        except OSError as error:
            raise CheckFailed(f"it cannot be reached ({type(error).__name__})") from None
        if status in {401, 403}:
            self._stale.update(self._row.credentials)
            raise CredentialRefused(f"it answered with HTTP {status}")
        if not 200 <= status < 300:
            raise CheckFailed(f"it answered with HTTP {status}")
        try:
            return orjson.loads(said)
        except orjson.JSONDecodeError:
            raise CheckFailed("it answered with no JSON") from None
