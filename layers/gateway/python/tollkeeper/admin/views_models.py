"""Rows of models: what LiteLLM's clients read of a deployment and of a group of them."""

from collections.abc import Iterable
from typing import Any

from tollkeeper.admin.views import stamps
from tollkeeper.auth.records_models import ModelRecord
from tollkeeper.config.litellm_keys import SECRET_KEYS
from tollkeeper.config.snapshot import Deployment
from tollkeeper.money import FEMTO_PER_USD

_UNSHOWN = SECRET_KEYS | {"headers", "extra_headers"}
_PRICES = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_creation",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_request": "request",
}


def info_row(deployment: Deployment, record: ModelRecord | None) -> dict[str, Any]:
    """`record` None: gateway.yaml's. No credential and no reference to one is shown; the other parameters of a record are, as they were
    given.
    """
    params = {"model": f"{deployment.provider}/{deployment.model}", "rpm": deployment.rpm, "tpm": deployment.tpm}
    given = {"api_base": deployment.base_url or None, "weight": deployment.weight, "order": deployment.order}
    own = {name: value for name, value in record.litellm_params.items() if name not in _UNSHOWN} if record else {}
    return {
        "model_name": deployment.group,
        "litellm_params": {name: value for name, value in {**params, **given, **own}.items() if value is not None},
        "model_info": {
            **deployment.info,
            **(record.model_info if record else {}),
            "id": deployment.id,
            "db_model": record is not None,
            "blocked": bool(record and record.blocked),
            "key": deployment.model,
            "litellm_provider": deployment.provider,
            "mode": deployment.mode,
            "max_tokens": _output_limit(deployment),
            "max_input_tokens": deployment.max_input_tokens,
            "max_output_tokens": _output_limit(deployment),
            "access_groups": list(deployment.access_groups),
            **{column: _price(deployment, name) for column, name in _PRICES.items()},
            **(stamps(record) if record else {}),
        },
    }


def _output_limit(deployment: Deployment) -> int | None:
    """The configured one, else what is known of the model (catalog/models.py)."""
    known = deployment.info.get("max_output_tokens")
    return deployment.max_output_tokens or (known if isinstance(known, int) else None)


def group_rows(deployments: Iterable[Deployment]) -> list[dict[str, Any]]:
    """A group is as large as its largest deployment, as dear as its dearest, and as fast as all together."""
    groups: dict[str, list[Deployment]] = {}
    for deployment in deployments:
        groups.setdefault(deployment.group, []).append(deployment)
    return [_group(name, rows) for name, rows in groups.items()]


def _group(name: str, rows: list[Deployment]) -> dict[str, Any]:
    return {
        "model_group": name,
        "providers": sorted({row.provider for row in rows}),
        "max_input_tokens": _most(row.max_input_tokens for row in rows),
        "max_output_tokens": _most(_output_limit(row) for row in rows),
        "input_cost_per_token": _most(_price(row, "input") for row in rows),
        "output_cost_per_token": _most(_price(row, "output") for row in rows),
        "mode": rows[0].mode,
        "tpm": sum(row.tpm or 0 for row in rows) or None,
        "rpm": sum(row.rpm or 0 for row in rows) or None,
        **{name: any(row.info.get(name) for row in rows) for row in rows for name in row.info if name.startswith("supports_")},
    }


def _price(deployment: Deployment, name: str) -> float | None:
    rate = deployment.prices.rates.get(name) if deployment.prices else None
    return rate.price / FEMTO_PER_USD if rate else None


def _most(values: Iterable[Any]) -> Any:
    return max((value for value in values if value is not None), default=None)
