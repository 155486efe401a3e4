"""Synthesizes environments into a folder, without layers' contents: `.venv-infra/bin/python -m tests.infra.variants <folder>`.

One process for all of them, because the CDK takes seconds to start. Run by conftest.py.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from aws_cdk import App
from infra.app import build
from infra.environments import gateway_yaml, load
from infra.settings import Api, Domain, Environment, Firewall, FunctionSize, Network, OnPrem, Pool

from infra import bundling

ROOT = Path(__file__).parents[2]


def variants() -> dict[str, Environment]:
    dev, prod = load("dev"), load("prod")
    domain = Domain(name="llm.example.com", certificate="arn:aws:acm:eu-central-1:123456789012:certificate/1", base_path="gateway")
    pools = (
        Pool(name="vllm", kind="vllm", addresses=("10.1.0.4", "10.1.0.5")),
        Pool(name="ollama", kind="ollama", addresses=("10.1.0.9",), port=8434),
    )
    zones = ("eu-central-1a", "eu-central-1b")
    existing = Network(zones=zones, vpc_id="vpc-0123456789abcdef0", subnet_ids=("subnet-0123456789abcdef0", "subnet-0123456789abcdef1"))
    return {
        "dev": dev,
        "prod": prod,
        "rehearsal": load("rehearsal"),
        "full": replace(
            prod,
            own_key=True,
            model_arns=("arn:aws:sagemaker:eu-central-1:123456789012:endpoint/added-later",),
            api=Api(firewall=Firewall(requests_per_5_minutes=500), domain=domain, allowed_addresses=("203.0.113.0/24",)),
            functions={"proxy": FunctionSize(memory=1024, timeout=900, snap_start=True), "keys": FunctionSize(provisioned=1)},
            on_prem=OnPrem(network=Network(zones=zones), pools=pools),
        ),
        "private": replace(
            dev,
            api=Api(private_endpoints=("vpce-0123456789abcdef0",), allowed_addresses=("10.0.0.0/8",)),
            on_prem=OnPrem(network=existing, pools=pools[:1]),
        ),
    }


def empty_layer(folder: Path, name: str) -> Path:
    made = folder / "layers" / name
    made.mkdir(parents=True, exist_ok=True)
    (made / "name").write_text(name)
    return made


def config_of(variant: str, env: Environment) -> Path:
    """`full` has models on AWS too."""
    return Path(__file__).with_name("aws.yaml") if variant == "full" else gateway_yaml(env.name)


def main(folder: Path) -> None:
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    for name, env in variants().items():
        app = App(outdir=str(folder / name), context=context)
        config = bundling.compiled_config(config_of(name, env))
        build(app, env, config=config, layer_folder=lambda layer: empty_layer(folder, layer))
        app.synth()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
