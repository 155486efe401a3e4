"""One model through the compiler of gateway.yaml, and its credentials into the secret manager."""

from collections.abc import Mapping
from typing import Any

import orjson

from tollkeeper.admin.services import KeepSecret
from tollkeeper.config.compile import compile_config
from tollkeeper.config.litellm_keys import CREDENTIAL_HEADER, SECRET_KEYS
from tollkeeper.config.snapshot import deployment_json
from tollkeeper.errors import BadRequest, ConfigError
from tollkeeper.settings import secret_env

_REFERENCES = ("os.environ/", "secret:")
_HEADERS = ("headers", "extra_headers")


def compiled(name: str, params: Mapping[str, Any], info: Mapping[str, Any], timeout: float) -> str:
    """The deployment as JSON. Raises BadRequest with every finding, in the words of `tollkeeper config validate`."""
    document = {
        "model_list": [{"model_name": name, "litellm_params": dict(params), "model_info": dict(info)}],
        "litellm_settings": {"request_timeout": timeout},
    }
    try:
        # JSON is YAML; the compiler's findings then name lines nobody has seen, so only their words are kept.
        snapshot = compile_config(orjson.dumps(document).decode(), env=secret_env, name="model")
    except ConfigError as error:
        raise BadRequest("; ".join(error.findings) or error.message, param="litellm_params") from None
    if len(snapshot.deployments) != 1:
        raise BadRequest("Name one model here; a model of everything is for gateway.yaml.", param="litellm_params.model")
    return deployment_json(snapshot.deployments[0])


async def with_kept_secrets(params: Mapping[str, Any], model_id: str, keep: KeepSecret | None) -> dict[str, Any]:
    """The parameters with references in place of credentials. Raises BadRequest where there is nowhere to keep one."""
    for headers in _HEADERS:
        for name, value in (params.get(headers) or {}).items() if isinstance(params.get(headers), dict) else ():
            if CREDENTIAL_HEADER.search(name) and not _is_reference(value):
                raise BadRequest(
                    "A credential in a header would be stored in the clear; give it as api_key.", param=f"litellm_params.{headers}"
                )
    literal = {name: str(value) for name, value in params.items() if name in SECRET_KEYS and value and not _is_reference(value)}
    if not literal:
        return dict(params)
    if keep is None:
        message = "This installation keeps no secrets that are given here; write os.environ/NAME or secret:<id>#<field>."
        raise BadRequest(message, param=f"litellm_params.{min(literal)}")
    secret_id = await keep(f"models/{model_id}", literal)
    return {**params, **{name: f"secret:{secret_id}#{name}" for name in literal}}


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(_REFERENCES)
