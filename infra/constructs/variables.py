"""The TOLLKEEPER_* variables a function gets."""

from infra.settings import Environment
from infra.stacks.state import StateStack
from infra.variables import CONFIG, PREFIX


def variables(env: Environment, state: StateStack, *, with_provider_secrets: bool) -> dict[str, str]:
    own = state.secrets.own
    values = {
        "config": CONFIG,
        "environment": env.name,
        "store": "dynamodb",
        **{f"{name}_table": table.table_name for name, table in state.tables.items()},
        "objects_bucket": state.buckets["files"].bucket_name,
        "exports_bucket": state.buckets["exports"].bucket_name,
        "master_key": f"secret:{own['master-key']}#master_key",
        "pepper": f"secret:{own['pepper']}#pepper",
    }
    if with_provider_secrets:
        values["provider_secrets"] = ",".join(state.secrets.providers.values())
    return {PREFIX + name.upper(): value for name, value in {**values, **env.variables}.items()}
