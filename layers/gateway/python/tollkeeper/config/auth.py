"""Where a deployment's credentials are: its api_key, and the parameters of schemes that take more than one (catalog/auth.py).

Nothing is read here: a name in the environment stays a name, because the machine that compiles is seldom the one that calls.
"""

import orjson

from tollkeeper.catalog.auth import SCHEMES, AuthParam
from tollkeeper.catalog.provider import Provider
from tollkeeper.config.findings import Findings, Path
from tollkeeper.config.references import References
from tollkeeper.config.schema import Params
from tollkeeper.config.snapshot import Auth, Secret

_REFERENCES = ("os.environ/", "secret:", "${")


class AuthReader:
    """One deployment's. `path` is that of its litellm_params."""

    def __init__(self, provider: Provider, params: Params, path: Path, references: References, findings: Findings) -> None:
        self._provider, self._params, self._path = provider, params, path
        self._references, self._findings = references, findings
        given = params.model_dump()
        self._given = {row.name: value for row in SCHEMES[provider.auth].params if (value := given.get(row.param))}

    def api_key(self) -> Secret | None:
        """Written parameters of another way to sign in win over a key that merely lies in the environment."""
        here = (*self._path, "api_key")
        if self._params.api_key:
            return self._references.secret(self._params.api_key, here)
        provider = self._provider
        if self._given or provider.auth in {"google", "none"} or provider.service == "sagemaker":
            return None
        found = [name for name in provider.key_env if self._references.value_of(name) is not None]
        if not found and not (provider.key_required and provider.key_env):
            return None
        if self._params.api_base and provider.key_required and provider.base_url and not self._same_host():
            problem = f"api_base is not {provider.name}'s own address, and would be sent the key in {provider.key_env[0]}"
            self._findings.warn(self._path, problem, "give this deployment its own api_key")
        return self._references.variable((found or list(provider.key_env))[0], here)

    def auth(self, region: str) -> Auth:
        provider = self._provider
        params = {row.name: where for row in SCHEMES[provider.auth].params if (where := self._where(row))}
        if provider.auth == "sigv4":
            params |= {"region": Secret("literal", region), "service": Secret("literal", provider.service)}
        if provider.key_header:
            header, prefix = provider.key_header
            params |= {"header": Secret("literal", header), "prefix": Secret("literal", prefix)}
        return Auth(provider.auth, params)

    def _where(self, row: AuthParam) -> Secret | None:
        value = self._given.get(row.name)
        if value is None:
            return self._variable(row)
        text = orjson.dumps(value).decode() if isinstance(value, dict) else str(value)
        # The path of a credentials file, like the name of a tenant, is no secret.
        secret = row.secret and not (row.name == "credentials" and not text.lstrip().startswith("{"))
        if secret or text.startswith(_REFERENCES):
            return self._references.secret(text, (*self._path, row.param))
        return Secret("literal", text)

    def _variable(self, row: AuthParam) -> Secret | None:
        """The first variable that is set here, else the first by name; none beside an explicit api_key, and no ready token beside a
        client that was written down.
        """
        if not row.env or self._params.api_key or (row.name == "token" and self._given):
            return None
        name = next((name for name in row.env if self._references.value_of(name) is not None), row.env[0])
        return self._references.variable(name, (*self._path, row.param))

    def _same_host(self) -> bool:
        return (self._params.api_base or "").split("/")[2:3] == self._provider.base_url.split("/")[2:3]
