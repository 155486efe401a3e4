"""The layers, from folders that infra/bundling.py makes."""

from collections.abc import Callable
from pathlib import Path

from aws_cdk import RemovalPolicy
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

LayerFolder = Callable[[str], Path]
"""`gateway`, `runtime`, `proxy` or `admin` → its folder. Tests hand in empty ones."""


class Layers(Construct):
    def __init__(self, scope: Construct, id: str, folder: LayerFolder) -> None:
        super().__init__(scope, id)
        self._folder = folder
        self._made: dict[str, lambda_.LayerVersion] = {}

    def of(self, *names: str) -> list[lambda_.ILayerVersion]:
        return [self._layer(name) for name in names]

    def _layer(self, name: str) -> lambda_.LayerVersion:
        if name not in self._made:
            self._made[name] = lambda_.LayerVersion(
                self,
                name.capitalize(),
                description=f"tollkeeper {name}",
                code=lambda_.Code.from_asset(str(self._folder(name))),
                compatible_runtimes=[lambda_.Runtime.PYTHON_3_13],
                compatible_architectures=[lambda_.Architecture.ARM_64],
                removal_policy=RemovalPolicy.DESTROY,
            )
        return self._made[name]
