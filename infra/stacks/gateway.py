"""The functions, the front door, and what starts functions without a caller."""

from collections.abc import Mapping

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.batches import batch_grants
from infra.bundling import function_folder
from infra.constructs.background import DeadLetters, every, read_ledger_stream
from infra.constructs.firewall import ApiFirewall
from infra.constructs.front_door import FrontDoor
from infra.constructs.function import GatewayFunction
from infra.constructs.layers import LayerFolder, Layers
from infra.constructs.nag import acknowledge
from infra.constructs.variables import variables
from infra.functions import Function, deployed
from infra.models import model_grants
from infra.receipts import receipt_grants
from infra.settings import Environment
from infra.signers import iam_signers
from infra.sinks import sink_grants
from infra.stacks.names import placed
from infra.stacks.onprem import OnPremStack
from infra.stacks.state import StateStack
from infra.variables import PREFIX


class GatewayStack(Stack):
    """`functions` by name. `extra` are variables that only this deployment knows (an emulator's address)."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        env: Environment,
        state: StateStack,
        on_prem: OnPremStack | None,
        config: bytes,
        layer_folder: LayerFolder,
        extra: Mapping[str, str],
    ) -> None:
        super().__init__(scope, id, env=placed(env), description=f"Tollkeeper {env.name}: functions and API")
        self._env, self._state, self._config, self._extra = env, state, config, extra
        self._models, self._sinks, self._batches = model_grants(env, config), sink_grants(config), batch_grants(env, config)
        self._receipts = receipt_grants(config)
        self._layers = Layers(self, "Layers", layer_folder)
        self.functions = {row.name: self._function(row) for row in deployed()}
        self.dead_letters = DeadLetters(self, "DeadLetters", state.key).queue
        self.front_door = FrontDoor(self, "FrontDoor", env=env, state=state)
        signers = iam_signers(config)
        self.signed_door = FrontDoor(self, "SignedDoor", env=env, state=state, signers=signers) if signers else None
        for function in self.functions.values():
            self._start(function)
        if on_prem:
            self._connect(on_prem)
        if env.api.firewall:
            stages = {door.node.id: door.api.deployment_stage.stage_arn for door in self._doors}
            ApiFirewall(self, "Firewall", settings=env.api.firewall, stages=stages, name=f"tollkeeper-{env.name}")
        CfnOutput(self, "Url", value=self.front_door.api.url)
        if self.signed_door:
            CfnOutput(self, "SignedUrl", value=self.signed_door.api.url)

    def _function(self, row: Function) -> GatewayFunction:
        streamed = row.streams and self._env.api.stream
        return GatewayFunction(
            self,
            row.name.capitalize(),
            row=row,
            env=self._env,
            state=self._state,
            code=function_folder(row.name, self._config),
            layers=self._layers.of("gateway", row.lock, *(["runtime"] if streamed else [])),
            variables={**variables(self._env, self._state, with_provider_secrets=row.has_provider_secrets), **self._extra},
            derived=[
                *(self._models if row.calls_models else ()),
                *(self._sinks if row.tells_sinks else ()),
                *(self._batches if row.runs_batches else ()),
                *(self._receipts if row.signs_receipts else ()),
            ],
        )

    def _connect(self, on_prem: OnPremStack) -> None:
        """Who calls models learns where the pools are, and may call them."""
        callers = [function for function in self.functions.values() if function.row.calls_models]
        for caller in callers:
            caller.function.add_environment(f"{PREFIX}ONPREM_POOLS", on_prem.addresses)
        allowed = iam.PolicyStatement(actions=["execute-api:Invoke"], resources=on_prem.invoke_arns())
        policy = iam.Policy(self, "ReachPools", statements=[allowed], roles=[caller.role for caller in callers])
        acknowledge(policy, dict.fromkeys(on_prem.wildcard_findings, "Every path of one pool, whose server has its own routes."))

    def _start(self, function: GatewayFunction) -> None:
        row = function.row
        if row.reads_ledger_stream:
            read_ledger_stream(function, self._state, self.dead_letters)
        if row.every:
            every(self, getattr(self._env, row.every), function, self.dead_letters)
        for door in self._doors:
            door.route(function)

    @property
    def _doors(self) -> list[FrontDoor]:
        return [door for door in (self.front_door, self.signed_door) if door]
