"""A setting that cannot be deployed is said in one message, before anything is synthesized."""

import subprocess
from dataclasses import replace

import pytest
from infra.environments import FOLDER, load, names
from infra.settings import (
    Alarms,
    Api,
    Domain,
    Environment,
    Firewall,
    FunctionSize,
    Network,
    OnPrem,
    Pool,
    SettingsError,
    differences,
)

from tollkeeper.config.compile import compile_file
from tollkeeper.errors import ConfigError

GOOD = Environment(name="test", region="eu-central-1", alarms=Alarms())
ZONES = ("eu-central-1a", "eu-central-1b")
VLLM = Pool(name="vllm", kind="vllm", addresses=("10.0.0.1",))


def pools(*found: Pool, **network: object) -> OnPrem:
    return OnPrem(network=Network(**{"zones": ZONES, **network}), pools=found)


BAD = {
    "a pool without an address": ({"on_prem": pools(replace(VLLM, addresses=()))}, "on_prem.pools['vllm'].addresses is empty"),
    "a public address": ({"on_prem": pools(replace(VLLM, addresses=("8.8.8.8",)))}, "'8.8.8.8' is no private IPv4 address"),
    "no address at all": ({"on_prem": pools(replace(VLLM, addresses=("gpu-1",)))}, "'gpu-1' is no private IPv4 address"),
    "an unknown kind of pool": ({"on_prem": pools(replace(VLLM, kind="tgi"))}, "write one of vllm, ollama"),
    "the same pool twice": ({"on_prem": pools(VLLM, VLLM)}, "there are two named 'vllm'"),
    "one zone": ({"on_prem": pools(VLLM, zones=("a",))}, "needs two zones"),
    "half an existing VPC": ({"on_prem": pools(VLLM, vpc_id="vpc-1")}, "both vpc_id and subnet_ids"),
    "SnapStart with provisioned concurrency": (
        {"functions": {"proxy": FunctionSize(snap_start=True, provisioned=2)}},
        "functions['proxy'].snap_start does not go with provisioned concurrency",
    ),
    "SnapStart with a large disk": (
        {"functions": {"proxy": FunctionSize(snap_start=True, temporary_mb=1024)}},
        "snap_start takes 512 MB of temporary storage at most",
    ),
    "too long a function": ({"functions": {"proxy": FunctionSize(timeout=901)}}, "timeout 901"),
    "a size for a function that is none": ({"functions": {"proxi": FunctionSize()}}, "there is no function 'proxi'"),
    "a retention CloudWatch has not": ({"log_days": 31}, "log_days 31: write one of 1, 3, 5"),
    "one field in two secrets": ({"provider_secrets": {"a": ("KEY",), "b": ("KEY",)}}, "KEY is also in 'a'"),
    "no block of addresses": ({"api": Api(allowed_addresses=("203.0.113.300/24",))}, "write a CIDR block"),
    "a firewall on a private API": (
        {"api": Api(private_endpoints=("vpce-1",), firewall=Firewall())},
        "leave the firewall out",
    ),
    "a model by name": ({"model_arns": ("anthropic.claude-x",)}, "model_arns: 'anthropic.claude-x': write the ARN"),
    "a certificate by name": ({"api": Api(domain=Domain(name="a.example", certificate="a.example"))}, "write the ARN"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_deployed_is_said(case):
    changes, message = BAD[case]
    with pytest.raises(SettingsError, match="environment test: ") as error:
        replace(GOOD, **changes).checked()
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_all_findings_come_at_once():
    with pytest.raises(SettingsError) as error:
        replace(GOOD, log_days=31, packages_for="moon").checked()
    assert len(str(error.value).splitlines()) == 2


def test_an_environment_that_does_not_exist_names_those_that_do():
    with pytest.raises(SettingsError, match="there is no environment 'prd': write ENV=<one of dev, prod, rehearsal>"):
        load("prd")


@pytest.mark.parametrize("name", names())
def test_every_environment_in_the_repository_is_good(name):
    assert load(name).name == name


def test_two_environments_differ_in_settings_only():
    assert "api" in differences(load("dev"), load("prod"))
    for name in ("dev", "prod"):
        assert {path.name for path in (FOLDER / name).iterdir() if path.name != "__pycache__"} == {
            "__init__.py",
            "settings.py",
            "gateway.yaml",
        }


def synth(*context: str, infra_python) -> subprocess.CompletedProcess[str]:
    arguments = ",".join(f'"{key}": "{value}"' for key, _, value in (pair.partition("=") for pair in context))
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "CDK_CONTEXT_JSON": "{" + arguments + "}"}
    return subprocess.run(
        [str(infra_python), "-m", "infra.app"],
        cwd=FOLDER.parents[1],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_bad_gateway_yaml_fails_the_synth_with_the_words_of_make_dev(tmp_path, infra_python):
    bad = tmp_path / "gateway.yaml"
    bad.write_text("model_list:\n  - model_name: a\n    litellm_params: {model: opanai/gpt-4o}\n")
    done = synth("env=dev", f"config={bad}", infra_python=infra_python)
    assert done.returncode == 1
    with pytest.raises(ConfigError) as error:
        compile_file(bad, env=lambda _: None)
    assert str(error.value) in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_environment_fails_the_synth_with_one_line(infra_python):
    done = synth("env=prd", infra_python=infra_python)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "environment" in line]
    assert len(lines) == 1
    assert "Traceback" not in done.stderr


def test_a_pool_that_the_environment_has_not_fails_the_synth(tmp_path, infra_python):
    named = tmp_path / "gateway.yaml"
    named.write_text("model_list:\n  - model_name: a\n    litellm_params: {model: hosted_vllm/llama, api_base: onprem://gpu}\n")
    done = synth("env=dev", f"config={named}", infra_python=infra_python)
    assert done.returncode == 1
    assert "gateway.yaml names the on-prem pool gpu, which environment dev has not" in done.stderr
    assert "Traceback" not in done.stderr
