"""The way to the pools: signed, streamed, private, and kept awake. Asserted on the templates that `cdk synth` writes."""

import re

import pytest
from tests.support.assembly import Assembly, actions_of, as_list, text_of

from tollkeeper.providers.onprem import UPSTREAM_KEY

METHOD = "AWS::ApiGateway::Method"


@pytest.fixture(params=["full", "private"])
def assembly(request, assemblies) -> Assembly:
    return assemblies[request.param]


def test_it_exists_only_where_an_environment_lists_pools(assemblies):
    assert "onprem" not in assemblies["dev"].stacks
    assert "onprem" in assemblies["full"].stacks


def test_every_way_to_a_pool_is_signed_and_streams_for_fifteen_minutes(assembly):
    methods = assembly.all(METHOD, "onprem")
    assert methods
    for method in methods:
        integration = method.properties["Integration"]
        assert method.properties["AuthorizationType"] == "AWS_IAM"
        assert (integration["Type"], integration["ConnectionType"]) == ("HTTP_PROXY", "VPC_LINK")
        assert (integration["ResponseTransferMode"], integration["TimeoutInMillis"]) == ("STREAM", 900_000)
        assert integration["ConnectionId"] == {"Ref": assembly.one("AWS::ApiGatewayV2::VpcLink").id}
        assert integration["IntegrationTarget"] == {"Ref": assembly.one("AWS::ElasticLoadBalancingV2::LoadBalancer").id}


def test_the_upstream_key_travels_beside_the_signature(assembly):
    for method in assembly.all(METHOD, "onprem"):
        mapped = method.properties["Integration"]["RequestParameters"]
        assert mapped["integration.request.header.Authorization"] == f"method.request.header.{UPSTREAM_KEY}"


def test_only_who_calls_models_and_the_probe_may_call_it(assembly):
    (api,) = assembly.all("AWS::ApiGateway::RestApi", "onprem")
    for statement in api.properties["Policy"]["Statement"]:
        (callers,) = next(iter(statement["Condition"].values())).values()
        assert {text_of(caller).rstrip('"}]').rpartition("-")[2] for caller in callers} == {"proxy", "batches", "janitor", "probe"}
    assert {statement["Effect"] for statement in api.properties["Policy"]["Statement"]} == {"Allow", "Deny"}
    allowed = [
        resource
        for role, statement in assembly.statements()
        if "execute-api:Invoke" in actions_of(statement)
        for resource in as_list(statement["Resource"])
    ]
    assert allowed
    assert all(re.search(r"live/(GET|POST)/(vllm|ollama)/", text_of(resource)) for resource in allowed)


def test_the_load_balancer_is_internal_patient_and_reached_by_the_link_only(assembly):
    balancer = assembly.one("AWS::ElasticLoadBalancingV2::LoadBalancer").properties
    assert balancer["Scheme"] == "internal"
    assert {"Key": "idle_timeout.timeout_seconds", "Value": "900"} in balancer["LoadBalancerAttributes"]
    ingress = [row.properties for row in assembly.all("AWS::EC2::SecurityGroupIngress", "onprem")]
    assert [(row["FromPort"], "SourceSecurityGroupId" in row) for row in ingress] == [(80, True)]
    assert not any(
        "0.0.0.0/0" in text_of(group.properties.get("SecurityGroupIngress", "")) for group in assembly.all("AWS::EC2::SecurityGroup")
    )


def test_pools_are_addresses_in_any_zone_with_a_health_check_of_their_kind(assemblies):
    full = assemblies["full"]
    vllm = full.one("AWS::ElasticLoadBalancingV2::TargetGroup", "Vllm").properties
    assert vllm["TargetType"] == "ip"
    assert vllm["Targets"] == [{"AvailabilityZone": "all", "Id": address, "Port": 8000} for address in ("10.1.0.4", "10.1.0.5")]
    assert vllm["HealthCheckPath"] == "/health"
    ollama = full.one("AWS::ElasticLoadBalancingV2::TargetGroup", "Ollama").properties
    assert (ollama["Port"], ollama["HealthCheckPath"]) == (8434, "/api/version")


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [("/live/vllm/v1/chat/completions", "/v1/chat/completions"), ("/vllm/health", "/health"), ("/live/vllm/live/vllm/x", "/live/vllm/x")],
)
def test_the_server_sees_neither_stage_nor_pool(assembly, sent, arrives):
    rule = assembly.one("AWS::ElasticLoadBalancingV2::ListenerRule", "Vllm").properties
    (transform,) = rule["Transforms"]
    (rewrite,) = transform["UrlRewriteConfig"]["Rewrites"]
    assert re.sub(rewrite["Regex"], rewrite["Replace"].replace("$", "\\"), sent) == arrives


def test_a_schedule_keeps_the_link_awake_through_the_whole_way(assemblies):
    rule = assemblies["full"].one("AWS::Events::Rule", "Probe").properties
    assert rule["ScheduleExpression"] == "rate(5 minutes)"
    assert [text_of(target["Arn"]).rpartition("/live/")[2].rstrip('"]}') for target in rule["Targets"]] == [
        "GET/vllm/health",
        "GET/ollama/api/version",
    ]


def test_the_proxy_learns_the_addresses_in_the_form_it_reads(assemblies):
    proxy = assemblies["full"].one("AWS::Lambda::Function", "ProxyFunction")
    value = text_of(proxy.properties["Environment"]["Variables"]["TOLLKEEPER_ONPREM_POOLS"])
    assert "vllm=sigv4+https://" in value
    assert ",ollama=sigv4+https://" in value
    assert "TOLLKEEPER_ONPREM_POOLS" not in text_of(assemblies["dev"].one("AWS::Lambda::Function", "ProxyFunction").properties)


def test_an_existing_network_is_used_as_it_is(assemblies):
    private = assemblies["private"]
    assert private.all("AWS::EC2::VPC") == []
    assert private.one("AWS::ApiGatewayV2::VpcLink").properties["SubnetIds"] == ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    assert assemblies["full"].all("AWS::EC2::NatGateway") == []
