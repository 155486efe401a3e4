"""One dashboard and the alarms, all to one topic."""

from aws_cdk import Stack
from constructs import Construct

from infra.constructs.alarms import Alarming
from infra.constructs.dashboard import Dashboard
from infra.settings import Environment
from infra.stacks.gateway import GatewayStack
from infra.stacks.names import placed
from infra.stacks.onprem import OnPremStack
from infra.stacks.state import StateStack


class ObservabilityStack(Stack):
    def __init__(
        self, scope: Construct, id: str, *, env: Environment, state: StateStack, gateway: GatewayStack, on_prem: OnPremStack | None
    ) -> None:
        super().__init__(scope, id, env=placed(env), description=f"Tollkeeper {env.name}: dashboard and alarms")
        Dashboard(self, "Dashboard", env=env, state=state, gateway=gateway)
        Alarming(self, "Alarms", env=env, state=state, gateway=gateway, on_prem=on_prem)
