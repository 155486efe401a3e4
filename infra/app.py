"""`cdk -c env=<name> <command>`: the stacks of one environment. A setting that cannot be deployed ends the synth with one message."""

import json
import sys
from functools import partial
from pathlib import Path

from aws_cdk import App, Tags

from infra import bundling
from infra.constructs.layers import LayerFolder
from infra.constructs.nag import check
from infra.environments import gateway_yaml, load
from infra.settings import Environment, SettingsError
from infra.stacks.gateway import GatewayStack
from infra.stacks.names import stack_name
from infra.stacks.observability import ObservabilityStack
from infra.stacks.onprem import OnPremStack
from infra.stacks.state import StateStack
from infra.variables import PREFIX


def build(app: App, env: Environment, *, config: bytes, layer_folder: LayerFolder, endpoint: str = "") -> None:
    """`endpoint` is an emulator's address, "" for AWS."""
    state = StateStack(app, stack_name(env, "state"), env)
    on_prem = OnPremStack(app, stack_name(env, "onprem"), env, env.on_prem, state) if env.on_prem else None
    extra = {f"{PREFIX}AWS_ENDPOINT": endpoint} if endpoint else {}
    gateway = GatewayStack(
        app,
        stack_name(env, "gateway"),
        env=env,
        state=state,
        on_prem=on_prem,
        config=config,
        layer_folder=layer_folder,
        extra=extra,
    )
    ObservabilityStack(app, stack_name(env, "observability"), env=env, state=state, gateway=gateway, on_prem=on_prem)
    Tags.of(app).add("application", "tollkeeper")
    Tags.of(app).add("environment", env.name)
    check(app)


def check_pools(env: Environment, config: bytes) -> None:
    """Raises SettingsError for a deployment at `onprem://<pool>` whose pool the environment has not."""
    known = {pool.name for pool in env.on_prem.pools} if env.on_prem else set()
    bases = [str(row["base_url"]) for row in json.loads(config)["deployments"]]
    named = {base.removeprefix("onprem://").partition("/")[0] for base in bases if base.startswith("onprem://")}
    if missing := sorted(named - known):
        where = f"add it to on_prem.pools in infra/environments/{env.name}/settings.py"
        raise SettingsError(f"gateway.yaml names the on-prem pool {missing[0]}, which environment {env.name} has not: {where}")


def layer(target: bundling.Target, name: str) -> Path:
    if name == "gateway":
        return bundling.gateway_layer(target)
    return bundling.runtime_layer() if name == "runtime" else bundling.dependencies_layer(name, target)


def main() -> int:
    app = App()
    name, endpoint = (str(app.node.try_get_context(key) or "") for key in ("env", "endpoint"))
    try:
        env = load(name)
        config = bundling.compiled_config(Path(str(app.node.try_get_context("config") or gateway_yaml(name))))
        check_pools(env, config)
        build(app, env, config=config, layer_folder=partial(layer, bundling.target_of(env.packages_for)), endpoint=endpoint)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
