"""Google Cloud access tokens without Google's SDK, from whatever kind of credentials file there is.

service_account      a JWT signed with its key, exchanged         https://developers.google.com/identity/protocols/oauth2/service-account
authorized_user      a refresh token (gcloud auth application-default login)
external_account     a token of another cloud or of an OIDC provider, exchanged; on Lambda, the function's own AWS identity
                     https://cloud.google.com/iam/docs/workload-identity-federation
no file              the metadata server, on Google's own machines https://cloud.google.com/compute/docs/access/authenticate-workloads
"""

import base64
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from tollkeeper.clock import Clock, from_iso
from tollkeeper.errors import StoreUnavailable, UpstreamAuthFailed, UpstreamError, UpstreamFailed
from tollkeeper.providers.tokens import Issuer, Token, token_of
from tollkeeper.store.aws import CredentialSource, sign

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
STS_URL = "https://sts.googleapis.com/v1/token"
METADATA_URL = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token"
_WHO = "Google"
_LIFETIME = 3600
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name
_MAX_FILE = 2**20

Info = Mapping[str, Any]


class GoogleTokens:
    """`machine` gives the AWS keys that a federated identity is proved with, and `region` the region it is proved in."""

    def __init__(self, issuer: Issuer, clock: Clock, machine: Callable[[], CredentialSource] | None, region: str) -> None:
        self._issuer = issuer
        self._clock = clock
        self._machine = machine
        self._region = region

    async def fetch(self, credentials: str | None) -> Token:
        """`credentials`: the JSON, the path of its file, or None. Raises UpstreamAuthFailed that says what is wrong with them."""
        if credentials is None:
            return await self._from_metadata()
        info = read_info(credentials)
        kinds = {
            "service_account": self._from_service_account,
            "authorized_user": self._from_refresh_token,
            "external_account": self._from_federation,
        }
        fetch = kinds.get(str(info.get("type")))
        if fetch is None:
            raise UpstreamAuthFailed(
                f"Google credentials of the type {info.get('type')!r} are not supported; use one of {', '.join(kinds)}."
            )
        try:
            return await fetch(info)
        except KeyError as missing:
            raise UpstreamAuthFailed(f"The Google credentials ({info['type']}) have no {missing.args[0]}.") from None

    async def _from_service_account(self, info: Info) -> Token:
        url, now = str(info.get("token_uri") or TOKEN_URL), self._clock.now()
        claims = {"iss": info["client_email"], "scope": SCOPE, "aud": url, "iat": int(now), "exp": int(now) + _LIFETIME}
        head = {"alg": "RS256", "typ": "JWT", **({"kid": info["private_key_id"]} if info.get("private_key_id") else {})}
        assertion = signed_jwt(head, claims, str(info["private_key"]))
        return await self._token(url, {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion})

    async def _from_refresh_token(self, info: Info) -> Token:
        names = ("client_id", "client_secret", "refresh_token")
        return await self._token(
            str(info.get("token_uri") or TOKEN_URL), {"grant_type": "refresh_token", **{name: info[name] for name in names}}
        )

    async def _from_federation(self, info: Info) -> Token:
        exchanged = await self._token(
            str(info.get("token_url") or STS_URL),
            {
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                "audience": info["audience"],
                "scope": SCOPE,
                "requested_token_type": _ACCESS_TOKEN,
                "subject_token_type": info["subject_token_type"],
                "subject_token": await self._subject_token(info),
            },
        )
        url = info.get("service_account_impersonation_url")
        return await self._impersonated(str(url), exchanged) if url else exchanged

    async def _impersonated(self, url: str, token: Token) -> Token:
        body = orjson.dumps({"scope": [SCOPE], "lifetime": f"{_LIFETIME}s"})
        answer = await self._issuer.ask_json(_WHO, url, body=body, headers={"authorization": f"Bearer {token.value}"})
        try:
            return Token(str(answer["accessToken"]), from_iso(answer["expireTime"]))
        except (KeyError, ValueError, TypeError):
            raise UpstreamFailed("Google answered without an access token.", upstream_status=200) from None

    async def _subject_token(self, info: Info) -> str:
        source = info["credential_source"]
        if str(source.get("environment_id", "")).startswith("aws"):
            return await self._aws_subject(source, info["audience"])
        if "file" in source:
            text = _read(str(source["file"]))
        elif "url" in source:
            asked = partial(self._issuer.ask, _WHO, str(source["url"]), method="GET", headers=source.get("headers") or {})
            text = (await asked()).decode("utf-8", "replace")
        else:
            raise UpstreamAuthFailed("Google's workload identity federation is supported from AWS, from a file and from a URL.")
        form = source.get("format") or {}
        return _field(text, str(form["subject_token_field_name"])) if form.get("type") == "json" else text.strip()

    async def _aws_subject(self, source: Info, audience: str) -> str:
        """A signed GetCallerIdentity that Google sends on: https://google.aip.dev/auth/4117"""
        if self._machine is None or not self._region:
            raise UpstreamAuthFailed("Google's workload identity federation needs AWS credentials and a region.")
        try:
            keys = await self._machine().get()
        except StoreUnavailable as error:
            raise UpstreamAuthFailed(error.message) from None
        region = self._region
        url = str(source["regional_cred_verification_url"]).replace("{region}", region)
        headers = {"x-goog-cloud-target-resource": audience}
        signed = sign("POST", url, headers, b"", service="sts", region=region, credentials=keys, now=self._clock.now())
        pairs = [{"key": name, "value": value} for name, value in sorted(signed.items())]
        return quote(orjson.dumps({"url": url, "method": "POST", "headers": pairs, "body": ""}).decode(), safe="")

    async def _from_metadata(self) -> Token:
        try:
            answer = await self._issuer.ask_json(_WHO, METADATA_URL, method="GET", headers={"metadata-flavor": "Google"})
        except UpstreamError:
            raise UpstreamAuthFailed(
                "No Google credentials: set vertex_credentials or GOOGLE_APPLICATION_CREDENTIALS (this machine has none of its own)."
            ) from None
        return token_of(_WHO, answer, self._clock.now())

    async def _token(self, url: str, form: Mapping[str, str]) -> Token:
        return token_of(_WHO, await self._issuer.ask_json(_WHO, url, form), self._clock.now())


def read_info(credentials: str) -> dict[str, Any]:
    """The JSON of a credentials file, given as itself or as the path of the file. Raises UpstreamAuthFailed."""
    text = credentials if credentials.lstrip().startswith("{") else _read(credentials)
    try:
        info = orjson.loads(text)
    except orjson.JSONDecodeError:
        info = None
    if not isinstance(info, dict):
        raise UpstreamAuthFailed("The Google credentials are not a JSON object.")
    return info


def signed_jwt(head: Mapping[str, Any], claims: Mapping[str, Any], private_key: str) -> str:
    """RS256 over both (RFC 7515). `private_key` is PEM. Raises UpstreamAuthFailed for a key that is none."""
    text = b".".join(_encoded(orjson.dumps(part)) for part in (head, claims))
    return b".".join((text, _encoded(rs256(text, private_key)))).decode()


def rs256(text: bytes, private_key: str) -> bytes:
    """RSASSA-PKCS1-v1_5 with SHA-256, by the `cryptography` package: it is imported for service accounts only, once in a process."""
    try:
        hashes: Any = import_module("cryptography.hazmat.primitives.hashes")
        padding: Any = import_module("cryptography.hazmat.primitives.asymmetric.padding")
        serialization: Any = import_module("cryptography.hazmat.primitives.serialization")
    except ImportError:
        raise UpstreamAuthFailed("A Google service account needs the package cryptography, which is not installed here.") from None
    try:
        key = serialization.load_pem_private_key(private_key.encode(), password=None)
        return bytes(key.sign(text, padding.PKCS1v15(), hashes.SHA256()))
    except (ValueError, TypeError, AttributeError):
        raise UpstreamAuthFailed("The Google service account's private_key is not an RSA key in PEM form.") from None


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _read(path: str) -> str:
    """Anew for each token: files are rotated."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            return file.read(_MAX_FILE)
    except (OSError, UnicodeDecodeError, ValueError):
        raise UpstreamAuthFailed("The Google credentials are neither JSON nor the path of a file that can be read.") from None


def _field(text: str, name: str) -> str:
    try:
        return str(orjson.loads(text)[name])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise UpstreamAuthFailed(f"The source of the Google subject token has no {name}.") from None
