"""The functions and the front door: streaming, logging, least privilege. Asserted on the templates that `cdk synth` writes."""

import json
from dataclasses import fields

import pytest
from infra.variables import LEFT_TO_DEFAULT
from tests.support.assembly import Assembly, actions_of, as_list, text_of

from tollkeeper.settings import Settings

FUNCTION = "AWS::Lambda::Function"
METHOD = "AWS::ApiGateway::Method"
ALL = ["dev", "prod", "full", "private", "rehearsal"]


@pytest.fixture(params=["dev", "prod", "full", "private"])
def assembly(request, assemblies) -> Assembly:
    return assemblies[request.param]


def integration(assembly, path):
    """The integration of ANY on a path of the front door."""
    for method in assembly.all(METHOD, "gateway"):
        if _path(assembly, method) == path:
            return method.properties["Integration"]
    raise AssertionError(f"no method on {path}")


def _path(assembly, method):
    resources = {resource.id: resource.properties for resource in assembly.all("AWS::ApiGateway::Resource")}
    parts, reference = [], method.properties["ResourceId"]
    while reference.get("Ref") in resources:
        parts.append(resources[reference["Ref"]]["PathPart"])
        reference = resources[reference["Ref"]]["ParentId"]
    return "/" + "/".join(reversed(parts))


@pytest.mark.parametrize("path", ["/", "/{proxy+}", "/v1/{proxy+}"])
def test_every_llm_route_streams_for_fifteen_minutes(assembly, path):
    found = integration(assembly, path)
    assert found["ResponseTransferMode"] == "STREAM"
    assert found["TimeoutInMillis"] == 900_000
    assert "response-streaming-invocations" in text_of(found["Uri"])
    assert "Proxy" in text_of(found["Uri"])


@pytest.mark.parametrize("path", ["/key/{proxy+}", "/team/{proxy+}", "/v1/model/{proxy+}", "/ui", "/openapi.json"])
def test_management_answers_whole_within_what_api_gateway_waits(assembly, path):
    found = integration(assembly, path)
    assert found.get("ResponseTransferMode", "BUFFERED") == "BUFFERED"
    assert found["TimeoutInMillis"] <= 29_000
    assert "Keys" in text_of(found["Uri"])


def test_bytes_arrive_and_leave_as_they_are(assembly):
    """Uploads and audio, and exports to a caller who accepts anything."""
    assert assembly.one("AWS::ApiGateway::RestApi", "FrontDoor").properties["BinaryMediaTypes"] == ["*/*"]


def test_the_largest_body_fits_into_what_lambda_takes():
    """Base64 of it, and the headers in both of the event's maps. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
    longest_headers = 10_240
    assert Settings().max_request_bytes * 4 / 3 + 2 * longest_headers < 6 * 1024 * 1024


def test_an_emulator_gets_whole_answers_everywhere(assemblies):
    methods = assemblies["rehearsal"].all(METHOD)
    assert {method.properties["Integration"]["ResponseTransferMode"] for method in methods} == {"BUFFERED"}


def test_functions_are_arm_with_a_python_that_is_supported_and_traced(assembly):
    for function in assembly.all(FUNCTION):
        assert function.properties["Runtime"] == "python3.13"
        assert function.properties["Architectures"] == ["arm64"]
        assert function.properties["TracingConfig"] == {"Mode": "Active"}


def test_triggers_call_a_published_version_by_its_alias(assembly):
    aliases = {alias.id for alias in assembly.all("AWS::Lambda::Alias")}
    assert len(aliases) == len(assembly.all(FUNCTION))
    assert all(alias.properties["Name"] == "live" for alias in assembly.all("AWS::Lambda::Alias"))
    for method in assembly.all(METHOD, "gateway"):
        assert any(alias in text_of(method.properties["Integration"]["Uri"]) for alias in aliases)


def test_sizes_come_from_the_settings(assemblies):
    proxy = assemblies["prod"].one(FUNCTION, "ProxyFunction").properties
    assert (proxy["MemorySize"], proxy["Timeout"], proxy["ReservedConcurrentExecutions"]) == (512, 900, 500)
    full = assemblies["full"]
    assert full.one(FUNCTION, "ProxyFunction").properties["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    assert full.one("AWS::Lambda::Alias", "Keys").properties["ProvisionedConcurrencyConfig"] == {"ProvisionedConcurrentExecutions": 1}


def test_only_the_proxy_is_started_by_the_streaming_runtime(assembly):
    wrapped = {function.id: "AWS_LAMBDA_EXEC_WRAPPER" in variables(function) for function in assembly.all(FUNCTION)}
    assert [name for name, has in wrapped.items() if has] == [assembly.one(FUNCTION, "ProxyFunction").id]
    assert assembly.one(FUNCTION, "ProxyFunction").properties["Handler"] == "handler.app"


def variables(function):
    return function.properties["Environment"]["Variables"]


@pytest.mark.parametrize("name", ALL)
def test_the_variables_are_the_fields_of_settings(assemblies, name):
    known = {field.name for field in fields(Settings)}
    for function in assemblies[name].all(FUNCTION):
        given = {key.removeprefix("TOLLKEEPER_").lower() for key in variables(function) if key.startswith("TOLLKEEPER_")}
        assert given <= known, given - known
    proxy = assemblies[name].one(FUNCTION, "ProxyFunction")
    given = {key.removeprefix("TOLLKEEPER_").lower() for key in variables(proxy) if key.startswith("TOLLKEEPER_")}
    assert known - given <= set(LEFT_TO_DEFAULT), (
        "a new setting: set it in infra/constructs/variables.py, or say in infra/variables.py why not"
    )
    assert set(LEFT_TO_DEFAULT) <= known


def test_every_value_a_variable_takes_is_one_the_program_parses(assemblies, monkeypatch):
    for key, value in variables(assemblies["dev"].one(FUNCTION, "ProxyFunction")).items():
        monkeypatch.setenv(key, value if isinstance(value, str) else "secret:arn#field")
    settings = Settings.from_env()
    assert (settings.store, settings.environment, settings.config) == ("dynamodb", "dev", "gateway.json")


def test_logs_are_kept_for_a_while_and_hold_no_body_and_no_header(assembly):
    assert all(group.properties["RetentionInDays"] for group in assembly.all("AWS::Logs::LogGroup"))
    for stage in assembly.all("AWS::ApiGateway::Stage"):
        logged = json.loads(stage.properties["AccessLogSetting"]["Format"])
        assert not [name for name in logged.values() if "header" in name.lower() or "body" in name.lower() or "authorizer" in name.lower()]
        settings = stage.properties["MethodSettings"]
        assert [row["DataTraceEnabled"] for row in settings] == [False]
        assert all(row["ThrottlingRateLimit"] > 0 and row["ThrottlingBurstLimit"] > 0 for row in settings)


def test_each_function_has_a_role_of_its_own(assembly):
    roles = [text_of(function.properties["Role"]) for function in assembly.all(FUNCTION)]
    assert len(set(roles)) == len(roles)
    for role in assembly.all("AWS::IAM::Role", "gateway"):
        assert "ManagedPolicyArns" not in role.properties


@pytest.mark.parametrize("name", ALL)
def test_no_permission_is_for_everything_but_what_takes_no_resource(assemblies, name):
    for role, statement in assemblies[name].statements():
        assert all("*" not in action for action in actions_of(statement) if not action.startswith("kms:")), (role, statement)
        if "*" in as_list(statement["Resource"]):
            # By the service authorization reference these take no resource.
            free = {"xray:PutTraceSegments", "xray:PutTelemetryRecords", "dynamodb:ListStreams", "bedrock:ListModelInvocationJobs"}
            assert set(actions_of(statement)) <= free, role


def may(assembly, function, table):
    """The DynamoDB actions a function has on a table."""
    return {
        action
        for role, statement in assembly.statements()
        if function in role
        for resource in as_list(statement["Resource"])
        if f"Tables{table}" in text_of(resource) and "index" not in text_of(resource)
        for action in actions_of(statement)
        if action.startswith("dynamodb:")
    }


def test_the_proxy_reads_the_directory_and_cannot_write_it(assembly):
    assert may(assembly, "ProxyRole", "Directory") == {"dynamodb:GetItem", "dynamodb:Query"}
    assert may(assembly, "ProxyRole", "Ledger") == {"dynamodb:PutItem", "dynamodb:Query"}
    assert "dynamodb:UpdateItem" in may(assembly, "ProxyRole", "Counters")


def test_the_management_function_cannot_read_provider_secrets(assembly):
    for role, statement in assembly.statements():
        if "KeysRole" in role and "secretsmanager:GetSecretValue" in actions_of(statement):
            assert "SecretsProvider" not in text_of(statement["Resource"])
    assert not any("PROVIDER_SECRETS" in key for key in variables(assembly.one(FUNCTION, "KeysFunction")))


def test_the_firewall_lets_long_prompts_and_code_through(assemblies):
    acl = assemblies["full"].one("AWS::WAFv2::WebACL").properties
    rules = {rule["Name"]: rule for rule in acl["Rules"]}
    overrides = text_of(rules["AWSManagedRulesCommonRuleSet"]["Statement"])
    for rule in ("SizeRestrictions_BODY", "CrossSiteScripting_BODY", "GenericRFI_BODY"):
        assert rule in overrides
    assert rules["Rate"]["Statement"]["RateBasedStatement"]["Limit"] == 500
    assert len(assemblies["full"].all("AWS::WAFv2::WebACLAssociation")) == len(assemblies["full"].all("AWS::ApiGateway::Stage", "gateway"))
    assert assemblies["dev"].all("AWS::WAFv2::WebACL") == []


def test_a_domain_of_ones_own_closes_the_other_door(assemblies):
    full = assemblies["full"]
    assert full.one("AWS::ApiGateway::RestApi", "FrontDoor").properties["DisableExecuteApiEndpoint"] is True
    domain = full.one("AWS::ApiGateway::DomainName").properties
    assert (domain["DomainName"], domain["SecurityPolicy"]) == ("llm.example.com", "TLS_1_2")
    assert full.one("AWS::ApiGateway::BasePathMapping").properties["BasePath"] == "gateway"


def test_who_comes_from_elsewhere_is_denied(assemblies):
    full = assemblies["full"].one("AWS::ApiGateway::RestApi", "FrontDoor").properties
    denials = [row for row in full["Policy"]["Statement"] if row["Effect"] == "Deny"]
    assert [row["Condition"] for row in denials] == [{"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}] or [
        row["Condition"] for row in denials
    ] == [{"NotIpAddress": {"aws:SourceIp": ["203.0.113.0/24"]}}]


def test_a_private_api_answers_only_through_its_endpoints(assemblies):
    private = assemblies["private"].one("AWS::ApiGateway::RestApi", "FrontDoor").properties
    assert private["EndpointConfiguration"]["Types"] == ["PRIVATE"]
    assert "vpce-0123456789abcdef0" in text_of(private["Policy"])
    assert assemblies["dev"].one("AWS::ApiGateway::RestApi", "FrontDoor").properties["EndpointConfiguration"]["Types"] == ["REGIONAL"]


def test_what_api_gateway_itself_refuses_reads_like_the_llm_api(assembly):
    for answer in assembly.all("AWS::ApiGateway::GatewayResponse"):
        body = answer.properties["ResponseTemplates"]["application/json"].replace("$context.error.messageString", '"text"')
        assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("name", ALL)
def test_no_validator_has_a_finding(assemblies, name):
    assert assemblies[name].findings == []
