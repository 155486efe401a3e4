"""`onprem://<pool>`: a plain URL on a laptop, a signed call of API Gateway on AWS."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from tests.support.stores import StillClock
from tests.support.upstream import Upstream, as_sse, text_stream

from tollkeeper.errors import ConfigError
from tollkeeper.providers.http1 import Http1Transport
from tollkeeper.providers.onprem import OnPremTransport, Pool, parse_pools
from tollkeeper.providers.transport import NeverSent, OutboundRequest, Transport, read_all
from tollkeeper.store.aws import Credentials, StaticCredentials

KEYS = StaticCredentials(Credentials("AKIDEXAMPLE", "secret", "session-token"))
REGION = "eu-central-1"


def over(below: Transport, **pools: Pool) -> OnPremTransport:
    return OnPremTransport(below, pools, credentials=KEYS, region=REGION, clock=StillClock())


@pytest.fixture
async def transport() -> AsyncIterator[Http1Transport]:
    made = Http1Transport()
    yield made
    await made.aclose()


def test_addresses_by_name():
    assert parse_pools("vllm=http://localhost:8000/, ollama=sigv4+https://a.execute-api.eu-central-1.amazonaws.com/live/ollama,") == {
        "vllm": Pool("http://localhost:8000"),
        "ollama": Pool("https://a.execute-api.eu-central-1.amazonaws.com/live/ollama", signed=True),
    }
    assert parse_pools("") == {}


@pytest.mark.parametrize("text", ["vllm", "vllm=localhost:8000", "=http://a", "vllm=ftp://a"])
def test_what_is_no_address_is_said(text):
    with pytest.raises(ConfigError, match="is no pool; write <name>=http://"):
        parse_pools(text)


def test_a_signed_pool_without_credentials_is_said_at_the_start():
    with pytest.raises(ConfigError, match="credentials and a region"):
        OnPremTransport(Http1Transport(), {"a": Pool("https://a", signed=True)}, credentials=None, region=REGION, clock=StillClock())


async def test_a_plain_pool_gets_the_request_as_it_is(transport):
    with Upstream(lambda _: as_sse(*text_stream("Hi"))) as server:
        request = OutboundRequest("onprem://vllm/v1/chat/completions?x=1", b"{}", {"authorization": "Bearer pool-key"})
        response = await over(transport, vllm=Pool(server.url)).send(request)
        body = await read_all(response)
    assert b"Hi" in body
    assert server.received[0].path == "/v1/chat/completions?x=1"
    assert server.received[0].headers["authorization"] == "Bearer pool-key"
    assert "x-amz-date" not in server.received[0].headers


async def test_a_signed_pool_gets_a_signature_api_gateway_accepts_and_the_key_beside_it(transport):
    with Upstream(lambda _: as_sse(*text_stream("Hi"))) as server:
        headers = {"Authorization": "Bearer pool-key", "content-type": "application/json", "x-trace": "1"}
        request = OutboundRequest("onprem://vllm/v1/chat/completions", b'{"model": "m"}', headers)
        assert b"Hi" in await read_all(await over(transport, vllm=Pool(f"{server.url}/live/vllm", signed=True)).send(request))
    received = server.received[0]
    assert received.path == "/live/vllm/v1/chat/completions"
    assert received.headers["x-upstream-authorization"] == "Bearer pool-key"
    assert received.headers["x-amz-security-token"] == "session-token"
    assert received.headers["x-trace"] == "1"
    assert received.body == b'{"model": "m"}'
    assert received.headers["authorization"] == expected_signature(server.url, received)


def expected_signature(url, received):
    """What botocore's signer makes of the request that arrived, over the headers ours says it signed."""
    names = received.headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    assert {"host", "x-amz-date", "x-amz-security-token", "x-upstream-authorization", "content-type"} == set(names)
    wanted = {name: received.headers[name] for name in names if name not in {"host", "x-amz-date", "x-amz-security-token"}}
    request = AWSRequest("POST", url + received.path, data=received.body, headers={**wanted, "host": urlsplit(url).netloc})
    request.context["timestamp"] = received.headers["x-amz-date"]
    signer = SigV4Auth(BotoCredentials("AKIDEXAMPLE", "secret", "session-token"), "execute-api", REGION)
    request.headers["X-Amz-Date"] = received.headers["x-amz-date"]
    request.headers["X-Amz-Security-Token"] = "session-token"
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    scope = f"{received.headers['x-amz-date'][:8]}/{REGION}/execute-api/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"


async def test_it_streams(transport):
    with Upstream(lambda _: as_sse(*text_stream("one", "two"), pauses=0.05)) as server:
        response = await over(transport, vllm=Pool(server.url, signed=True)).send(OutboundRequest("onprem://vllm/v1/chat/completions"))
        parts = [part async for part in response.chunks()]
        await response.aclose()
    assert len(parts) > 1


async def test_an_unknown_pool_was_never_sent_anywhere(transport):
    with pytest.raises(NeverSent, match=r"no on-prem pool gpu .* \(known: vllm\)"):
        await over(transport, vllm=Pool("http://127.0.0.1:9")).send(OutboundRequest("onprem://gpu/v1/models"))


async def test_every_other_url_goes_straight_through(transport):
    with Upstream(lambda _: as_sse(*text_stream("Hi"))) as server:
        await read_all(await over(transport).send(OutboundRequest(f"{server.url}/v1/models", headers={"authorization": "Bearer a"})))
    assert server.received[0].headers["authorization"] == "Bearer a"
