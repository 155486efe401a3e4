"""Bedrock through the whole gateway: what is signed with which keys, checked against botocore's signer."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from tests.support.stores import StillClock
from tests.support.wiring import Said, ScriptedTransport, Wired, wire

from tollkeeper.config.compile import compile_config
from tollkeeper.errors import StoreUnavailable, UpstreamAuthFailed
from tollkeeper.providers.client import ProviderClient
from tollkeeper.providers.credentials import Credentials
from tollkeeper.providers.patience import Patience
from tollkeeper.providers.transport import OutboundRequest
from tollkeeper.store.aws import Credentials as Keys
from tollkeeper.store.aws import CredentialSource

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4},
}
MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn"}
PATIENCE = Patience(30, 30)
ASK = {"messages": [{"role": "user", "content": "Hi"}]}
ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIA{n}</AccessKeyId><SecretAccessKey>secret{n}</SecretAccessKey><SessionToken>session{n}</SessionToken>
<Expiration>{until}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


def bedrock(**params: Any) -> dict[str, Any]:
    given = {"model": f"bedrock/{CLAUDE}", "aws_region_name": "eu-west-1", **params}
    return {"model_name": "fast", "litellm_params": given}


def keys(**params: Any) -> dict[str, Any]:
    return bedrock(aws_access_key_id="os.environ/ACCESS", aws_secret_access_key="os.environ/SECRET", **params)


ENV = {"ACCESS": "AKIDEXAMPLE", "SECRET": "wJalrXUtnFEMI/K7MDENG", "TOKEN": "session-token"}


def answered(request: OutboundRequest) -> Said:
    return Said(body=MESSAGE if "claude" in request.url and request.url.endswith("/invoke") else ANSWER)


async def sent_by(row: dict[str, Any], env: dict[str, str]) -> OutboundRequest:
    wired = await wire(answered, row, env=env)
    answer = await wired.chat()
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "Hello"
    (sent,) = wired.transport.sent
    return sent


def botocores(sent: OutboundRequest, access: str, secret: str, token: str | None, service: str, region: str) -> str:
    """The signature botocore makes of the request that was sent, over the headers ours says it signed."""
    headers = dict(sent.headers or {})
    names = re.search(r"SignedHeaders=([^,]+)", headers["authorization"])
    assert names
    request = AWSRequest("POST", sent.url, data=sent.body, headers={name: headers[name] for name in names[1].split(";")})
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(BotoCredentials(access, secret, token), service, region)
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    scope = f"{headers['x-amz-date'][:8]}/{region}/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={names[1]}, Signature={signature}"


@pytest.mark.parametrize(
    ("model", "path", "region"),
    [
        (f"bedrock/{CLAUDE}", f"/model/{CLAUDE.replace(':', '%3A')}/converse", "eu-west-1"),
        ("bedrock/converse/amazon.nova-lite-v1:0", "/model/amazon.nova-lite-v1%3A0/converse", "eu-west-1"),
        ("bedrock/invoke/anthropic.claude-3-haiku-20240307-v1:0", "/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke", "eu-west-1"),
        ("bedrock/invoke/amazon.nova-lite-v1:0", "/model/amazon.nova-lite-v1%3A0/invoke", "eu-west-1"),
        (
            "bedrock/arn:aws:bedrock:ap-south-1:123456789012:application-inference-profile/abc",
            "/model/arn%3Aaws%3Abedrock%3Aap-south-1%3A123456789012%3Aapplication-inference-profile%2Fabc/converse",
            "ap-south-1",
        ),
        ("bedrock/us-west-2/meta.llama3-8b-instruct-v1:0", "/model/meta.llama3-8b-instruct-v1%3A0/converse", "us-west-2"),
    ],
)
async def test_a_request_is_signed_as_botocore_signs_it(model: str, path: str, region: str) -> None:
    row = keys(model=model, aws_session_token="os.environ/TOKEN")
    if region != "eu-west-1":
        del row["litellm_params"]["aws_region_name"]
    sent = await sent_by(row, ENV)
    assert urlsplit(sent.url).path == path
    assert urlsplit(sent.url).netloc == f"bedrock-runtime.{region}.amazonaws.com"
    headers = sent.headers or {}
    assert headers["x-amz-security-token"] == "session-token"
    assert headers["authorization"] == botocores(sent, ENV["ACCESS"], ENV["SECRET"], "session-token", "bedrock", region)


async def test_a_bedrock_api_key_is_a_bearer_token() -> None:
    sent = await sent_by(bedrock(), {"AWS_BEARER_TOKEN_BEDROCK": "bedrock-key"})
    assert (sent.headers or {})["authorization"] == "Bearer bedrock-key"
    sent = await sent_by(bedrock(api_key="os.environ/MINE"), {"MINE": "mine", "AWS_BEARER_TOKEN_BEDROCK": "other"})
    assert (sent.headers or {})["authorization"] == "Bearer mine"


async def test_keys_that_are_written_down_win_over_an_api_key_in_the_environment() -> None:
    sent = await sent_by(keys(), {**ENV, "AWS_BEARER_TOKEN_BEDROCK": "other"})
    assert (sent.headers or {})["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")


async def test_an_address_of_ones_own_is_signed_for_the_same_region() -> None:
    sent = await sent_by(keys(api_base="https://vpce-1.example"), ENV)
    assert sent.url.startswith("https://vpce-1.example/model/")
    assert (sent.headers or {})["host"] == "vpce-1.example"
    assert (sent.headers or {})["authorization"] == botocores(sent, ENV["ACCESS"], ENV["SECRET"], None, "bedrock", "eu-west-1")


async def test_half_a_key_pair_is_said() -> None:
    wired = await wire(answered, keys(num_retries=0), env={"ACCESS": "AKIDEXAMPLE"})
    answer = await wired.chat()
    assert answer.status_code == 401
    assert "aws_secret_access_key is not" in answer.json()["error"]["message"]
    assert wired.transport.sent == []


async def test_mantle_is_signed_under_its_own_name() -> None:
    row = keys(model="bedrock_mantle/openai.gpt-oss-20b")
    wired = await wire(lambda _: Said(404, {"error": {"message": "no"}}), row, env=ENV, router_settings={"num_retries": 0})
    await wired.chat()
    (sent,) = wired.transport.sent
    assert (sent.headers or {})["authorization"] == botocores(sent, ENV["ACCESS"], ENV["SECRET"], None, "bedrock-mantle", "eu-west-1")


class Machine:
    """This machine's own keys; `failing` while the source cannot be asked."""

    def __init__(self) -> None:
        self.current = Keys("ASIAOLD", "old", "t")
        self.next = self.current
        self.asked = 0
        self.failing = False

    async def get(self, *, refresh: bool = False) -> Keys:
        self.asked += refresh
        if self.failing:
            raise StoreUnavailable("AWS credentials: the container endpoint did not answer")
        self.current = self.next if refresh else self.current
        return self.current


def client_of(transport: ScriptedTransport, machine: CredentialSource | None, clock: StillClock) -> ProviderClient:
    credentials = Credentials(ENV.get, clock)
    return ProviderClient(transport, credentials, clock, machine=None if machine is None else lambda: machine)


def deployment(row: dict[str, Any]) -> Any:
    return compile_config(str({"model_list": [row]}), env={}.get).deployments[0]


async def test_without_keys_the_machines_own_are_used_and_refreshed_once_when_they_are_refused() -> None:
    machine, clock = Machine(), StillClock()

    def aws(request: OutboundRequest) -> Said:
        fresh = "Credential=ASIANEW/" in (request.headers or {})["authorization"]
        return Said(body=ANSWER) if fresh else Said(403, {"message": "expired"}, headers={"x-amzn-errortype": "ExpiredTokenException"})

    transport = ScriptedTransport(aws)
    client = client_of(transport, machine, clock)
    with pytest.raises(UpstreamAuthFailed):
        await client.complete(deployment(bedrock()), "fast", ASK, PATIENCE)
    assert (len(transport.sent), machine.asked) == (1, 1), "the same keys are not tried twice"
    machine.next = Keys("ASIANEW", "new", "t")
    with pytest.raises(UpstreamAuthFailed):
        await client.complete(deployment(bedrock()), "fast", ASK, PATIENCE)
    assert machine.asked == 1, "a refusal that is about permissions must not ask for new keys each time"
    clock.advance(31)
    done = await client.complete(deployment(bedrock()), "fast", ASK, PATIENCE)
    assert done.body["choices"][0]["message"]["content"] == "Hello"


@pytest.mark.parametrize("machine", [None, "failing"])
async def test_no_keys_anywhere_is_a_clear_refusal_that_names_the_provider(machine: str | None) -> None:
    source = Machine() if machine else None
    if source:
        source.failing = True
    transport = ScriptedTransport(answered)
    with pytest.raises(UpstreamAuthFailed, match="AWS credentials") as caught:
        await client_of(transport, source, StillClock()).complete(deployment(bedrock()), "fast", ASK, PATIENCE)
    assert caught.value.extra["provider"] == "bedrock"
    assert transport.sent == []


class Sts:
    """Gives out a role's keys for an hour; the newest ones work."""

    def __init__(self, clock: StillClock) -> None:
        self.clock = clock
        self.given: list[OutboundRequest] = []
        self.refuses = False

    def __call__(self, request: OutboundRequest) -> Said:
        if "sts." not in request.url:
            return Said(body=ANSWER)
        self.given.append(request)
        if self.refuses:
            error = (
                b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>is not authorized to perform</Message></Error></ErrorResponse>"
            )
            return Said(403, error)
        until = "2026-09-21T15:33:20Z"  # an hour after StillClock's start
        return Said(body=ASSUMED.format(n=len(self.given), until=until).encode())


async def role(sts: Sts, **params: Any) -> Wired:
    row = keys(aws_role_name="arn:aws:iam::123456789012:role/llm", aws_session_name="tk", **params)
    return await wire(sts, row, clock=sts.clock, env=ENV, router_settings={"num_retries": 0})


async def test_a_role_is_assumed_once_signed_with_the_given_keys_and_again_before_it_ends() -> None:
    clock = StillClock(1_790_001_200.0)
    sts = Sts(clock)
    wired = await role(sts, aws_external_id="ext-1")
    for _ in range(3):
        assert (await wired.chat()).status_code == 200
    (asked,) = sts.given
    assert asked.url == "https://sts.eu-west-1.amazonaws.com"
    form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
    assert form == {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": "arn:aws:iam::123456789012:role/llm",
        "RoleSessionName": "tk",
        "DurationSeconds": "3600",
        "ExternalId": "ext-1",
    }
    assert (asked.headers or {})["authorization"] == botocores(asked, ENV["ACCESS"], ENV["SECRET"], None, "sts", "eu-west-1")
    last = wired.transport.sent[-1]
    assert (last.headers or {})["authorization"] == botocores(last, "ASIA1", "secret1", "session1", "bedrock", "eu-west-1")
    clock.advance(3600 - 299)
    assert (await wired.chat()).status_code == 200
    assert len(sts.given) == 2


async def test_a_role_that_may_not_be_assumed_is_named_with_awss_reason() -> None:
    sts = Sts(StillClock())
    sts.refuses = True
    answer = await (await role(sts)).chat()
    assert answer.status_code == 401
    message = answer.json()["error"]["message"]
    assert "arn:aws:iam::123456789012:role/llm could not be assumed" in message
    assert "AccessDenied: is not authorized to perform" in message
    assert ENV["SECRET"] not in message
