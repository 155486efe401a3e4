"""The AWS credential chain: environment keys, then the container endpoint, then, on laptops, botocore's session.

A Lambda function gets environment keys, a SnapStart function the container endpoint with a token
(https://docs.aws.amazon.com/lambda/latest/dg/snapstart-activate.html#snapstart-credentials). botocore is imported only if neither is there.
Provider credentials are another matter: see providers/credentials.py.
"""

import asyncio
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from tollkeeper.clock import Clock, from_iso, system
from tollkeeper.errors import StoreUnavailable
from tollkeeper.store.aws import Credentials, HttpSend

REFRESH_BEFORE = 300.0
"""Seconds before expiry at which new keys are fetched; while the old ones hold, a failed fetch is not an error."""
_RETRY_AFTER = 15.0
_TIMEOUT = 2.0
_BOTOCORE_LIFE = REFRESH_BEFORE + 300.0
_RELATIVE_HOST = "http://169.254.170.2"
# Plain HTTP only to the link-local endpoints and this machine: a token must not cross a network in the clear.
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
_PLAIN_HOSTS = frozenset(("169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost", "127.0.0.1", "::1"))


class CredentialChain:
    """`env` is settings.aws_env(). Raises StoreUnavailable, without the secret, when no source has keys."""

    def __init__(self, env: Mapping[str, str], send: HttpSend, *, clock: Clock = system) -> None:
        self._env = env
        self._send = send
        self._clock = clock
        self._lock = asyncio.Lock()
        self._environment = _from_env(env)
        self._current: Credentials | None = None
        self._next_try = 0.0
        self._laptop: Any = None

    async def get(self, *, refresh: bool = False) -> Credentials:
        if self._environment is not None:
            return self._environment
        current = self._current
        if current is not None and not refresh and self._fresh(current):
            return current
        async with self._lock:
            if self._current is not current and self._current is not None:
                return self._current
            try:
                self._current = await self._fetch()
            except StoreUnavailable:
                if refresh or current is None or current.expires is None or current.expires <= self._clock.now():
                    raise
                self._next_try = self._clock.now() + _RETRY_AFTER
                return current
            return self._current

    def _fresh(self, credentials: Credentials) -> bool:
        if credentials.expires is None:
            return True
        now = self._clock.now()
        return now < credentials.expires - REFRESH_BEFORE or (now < self._next_try and now < credentials.expires)

    async def _fetch(self) -> Credentials:
        if url := _container_url(self._env):
            return await self._from_container(url)
        return await asyncio.to_thread(self._from_botocore)

    async def _from_container(self, url: str) -> Credentials:
        token = _container_token(self._env)
        try:
            status, _, body = await self._send("GET", url, {"authorization": token} if token else {}, b"", _TIMEOUT)
        except OSError as error:
            raise StoreUnavailable("AWS credentials: the container endpoint did not answer") from error
        if status != 200:
            raise StoreUnavailable(f"AWS credentials: the container endpoint answered {status}")
        try:
            answer = orjson.loads(body)
            expires = from_iso(answer["Expiration"]) if answer.get("Expiration") else None
            return Credentials(answer["AccessKeyId"], answer["SecretAccessKey"], answer.get("Token") or "", expires)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StoreUnavailable("AWS credentials: the container endpoint's answer is not understood") from None

    def _from_botocore(self) -> Credentials:
        try:
            session: Any = importlib.import_module("botocore.session")
        except ImportError:
            raise StoreUnavailable("no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or install botocore") from None
        errors: Any = importlib.import_module("botocore.exceptions")
        try:
            # Kept, because it refreshes itself (SSO, assumed roles, instance metadata).
            self._laptop = self._laptop or session.Session().get_credentials()
            keys = self._laptop.get_frozen_credentials() if self._laptop else None
        except errors.BotoCoreError as error:
            raise StoreUnavailable(f"no AWS credentials: {type(error).__name__}") from error
        if keys is None:
            raise StoreUnavailable("no AWS credentials: neither the environment, nor a container endpoint, nor an AWS profile has any")
        return Credentials(keys.access_key, keys.secret_key, keys.token or "", self._clock.now() + _BOTOCORE_LIFE)


def _from_env(env: Mapping[str, str]) -> Credentials | None:
    access, secret = env.get("AWS_ACCESS_KEY_ID"), env.get("AWS_SECRET_ACCESS_KEY")
    return Credentials(access, secret, env.get("AWS_SESSION_TOKEN", "")) if access and secret else None


def _container_url(env: Mapping[str, str]) -> str:
    if relative := env.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        return _RELATIVE_HOST + relative
    url = env.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    parts = urlsplit(url)
    if url and parts.scheme != "https" and parts.hostname not in _PLAIN_HOSTS:
        raise StoreUnavailable("AWS credentials: AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor a local address")
    return url


def _container_token(env: Mapping[str, str]) -> str:
    """Read anew for each fetch: the file is rotated."""
    if path := env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise StoreUnavailable(f"AWS credentials: the token file cannot be read: {error.strerror}") from error
    return env.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
