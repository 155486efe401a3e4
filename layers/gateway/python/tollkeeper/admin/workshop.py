"""One model through the compiler of gateway.yaml, and credentials into the secret manager."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from tollkeeper.admin.parts import SecretKeeper
from tollkeeper.config.compile import compile_config
from tollkeeper.config.litellm_keys import CREDENTIAL_HEADER, SECRET_KEYS
from tollkeeper.config.snapshot import deployment_json
from tollkeeper.errors import BadRequest, ConfigError
from tollkeeper.settings import secret_env

_REFERENCES = ("os.environ/", "secret:")
_HEADERS = ("headers", "extra_headers")
_TRIAL = "secret:trial#value"
"""Stands for a credential while nobody knows yet whether the rest is any good."""
Credentials = Mapping[str, Mapping[str, Any]]
"""Name → parameters that models may share."""


def compiled(name: str, params: Mapping[str, Any], info: Mapping[str, Any], timeout: float, credentials: Credentials) -> str:
    """The deployment as JSON. Raises BadRequest with every finding, in the words of `tollkeeper config validate`."""
    document = {
        "model_list": [{"model_name": name, "litellm_params": dict(params), "model_info": dict(info)}],
        "litellm_settings": {"request_timeout": timeout},
        "credential_list": [{"credential_name": each, "credential_values": dict(values)} for each, values in credentials.items()],
    }
    try:
        # JSON is YAML; the compiler's findings then name lines nobody has seen, so only their words are kept.
        snapshot = compile_config(orjson.dumps(document).decode(), env=secret_env, name="model")
    except ConfigError as error:
        raise BadRequest("; ".join(error.findings) or error.message, param="litellm_params") from None
    if len(snapshot.deployments) != 1:
        raise BadRequest("Name one model here; a model of everything is for gateway.yaml.", param="litellm_params.model")
    return deployment_json(snapshot.deployments[0])


class Secrets:
    """The credentials of one record. `place` is where its secrets are kept: `models/<its id>`; `field` what a refusal names."""

    def __init__(self, keeper: SecretKeeper | None, kind: str, record_id: str, field: str) -> None:
        self._keeper, self._field = keeper, field
        self._place = f"{kind}/{hashlib.sha256(record_id.encode()).hexdigest()[:32]}"

    def on_trial(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters as they will be, nothing kept yet. Raises BadRequest where a credential could not be kept."""
        self._check_headers(params)
        literal = dict(_literal(params))
        if literal and self._keeper is None:
            message = "This installation keeps no secrets that are given here; write os.environ/NAME or secret:<id>#<field>."
            raise BadRequest(message, param=f"{self._field}.{min(literal)}")
        return {**params, **dict.fromkeys(literal, _TRIAL)}

    async def kept(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters with references in place of credentials, which are kept by now."""
        literal = dict(_literal(params))
        assert self._keeper is not None or not literal
        ids = {name: await self._keeper.keep(f"{self._place}/{name}", text) for name, text in literal.items()} if self._keeper else {}
        return {**params, **{name: f"secret:{secret_id}#value" for name, secret_id in ids.items()}}

    async def drop(self, old: Mapping[str, Any], new: Mapping[str, Any] | None = None) -> None:
        """Ends what `old` kept and `new` refers to no more."""
        for secret_id in self._own(old) - self._own(new or {}):
            if self._keeper is not None:
                await self._keeper.drop(secret_id)

    def _own(self, params: Mapping[str, Any]) -> set[str]:
        references = (value.removeprefix("secret:").partition("#")[0] for value in params.values() if is_reference(value))
        return {secret_id for secret_id in references if self._place in secret_id}

    def _check_headers(self, params: Mapping[str, Any]) -> None:
        for headers in _HEADERS:
            for name, value in (params.get(headers) or {}).items() if isinstance(params.get(headers), dict) else ():
                if CREDENTIAL_HEADER.search(name) and not is_reference(value):
                    raise BadRequest(
                        "A credential in a header would be stored in the clear; give it as api_key.", param=f"{self._field}.{headers}"
                    )


def is_reference(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(_REFERENCES)


def _literal(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in params.items():
        if name in SECRET_KEYS and value and not is_reference(value):
            yield name, value if isinstance(value, str) else orjson.dumps(value).decode()
