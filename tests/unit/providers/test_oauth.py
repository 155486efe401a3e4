"""Tokens for Azure, Databricks and watsonx, and the cache that keeps them."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
from tests.support.stores import StillClock
from tests.support.upstream import completion
from tests.support.wiring import Said, wire

from tollkeeper.errors import UpstreamFailed, UpstreamTimeout
from tollkeeper.providers.tokens import Token, TokenCache
from tollkeeper.providers.transport import NeverSent, OutboundRequest

AZURE = {"model": "azure/gpt-4o", "api_base": "https://res.openai.azure.com", "api_version": "2024-10-21"}
CLIENT = {"tenant_id": "my-tenant", "client_id": "os.environ/CID", "client_secret": "os.environ/CS"}
BRICKS = {"model": "databricks/dbrx", "api_base": "https://adb-1.azuredatabricks.net/serving-endpoints"}
WATSONX = {"model": "watsonx/ibm/granite-4-h-small", "api_base": "https://us-south.ml.cloud.ibm.com", "project_id": "p-1"}
ENTRA = "https://login.microsoftonline.com/my-tenant/oauth2/v2.0/token"


class Provider:
    """Token endpoint and model in one."""

    def __init__(self) -> None:
        self.asked: list[OutboundRequest] = []
        self.refuses: Said | None = None

    def __call__(self, request: OutboundRequest) -> Said:
        if "/chat" in request.url:
            return Said(body=completion())
        self.asked.append(request)
        return self.refuses or Said(body={"access_token": f"token-{len(self.asked)}", "expires_in": 3599})

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.asked[-1].body.decode()).items()}


async def called(provider: Provider, env: dict[str, str], **params: Any) -> Any:
    row = {"model_name": "fast", "litellm_params": params}
    return await wire(provider, row, env=env, router_settings={"num_retries": 0})


async def test_azures_client_credentials_become_a_token_once() -> None:
    provider = Provider()
    wired = await called(
        provider, {"CID": "client", "CS": "s3cret", "AZURE_API_KEY": "unused", "AZURE_AD_TOKEN": "unused"}, **AZURE, **CLIENT
    )
    for _ in range(3):
        assert (await wired.chat()).status_code == 200
    (asked,) = provider.asked
    assert asked.url == ENTRA
    assert provider.form == {
        "grant_type": "client_credentials",
        "client_id": "client",
        "client_secret": "s3cret",
        "scope": "https://cognitiveservices.azure.com/.default",
    }
    headers = wired.transport.sent[-1].headers
    assert headers["authorization"] == "Bearer token-1"
    assert "api-key" not in headers


async def test_azures_ways_in_by_the_environment() -> None:
    provider = Provider()
    wired = await called(provider, {"AZURE_API_KEY": "k", "AZURE_TENANT_ID": "my-tenant"}, **AZURE)
    await wired.chat()
    assert wired.transport.sent[-1].headers["api-key"] == "k"
    names = {"AZURE_TENANT_ID": "my-tenant", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"}
    wired = await called(provider, names, **AZURE)
    await wired.chat()
    assert (wired.transport.sent[-1].headers["authorization"], provider.asked[-1].url) == ("Bearer token-1", ENTRA)
    wired = await called(provider, {}, **AZURE, azure_ad_token="ready-made")
    await wired.chat()
    assert wired.transport.sent[-1].headers["authorization"] == "Bearer ready-made"
    wired = await called(provider, {}, **AZURE)
    answer = await wired.chat()
    assert (answer.status_code, len(wired.transport.sent)) == (401, 0)
    assert "AZURE_API_KEY is not set" in answer.json()["error"]["message"]


async def test_what_entra_refuses_is_said_with_its_reason_and_not_with_the_secret() -> None:
    provider = Provider()
    provider.refuses = Said(
        401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided.\r\nTrace"}
    )
    wired = await called(provider, {"CID": "client", "CS": "s3cret"}, **AZURE, **CLIENT)
    answer = await wired.chat()
    assert answer.status_code == 401
    assert "Microsoft Entra gave no token: invalid_client: AADSTS7000215: Invalid client secret" in answer.json()["error"]["message"]
    assert "s3cret" not in answer.text
    assert "Trace" not in answer.text


async def test_databricks_signs_in_with_basic_auth_at_the_workspace() -> None:
    provider = Provider()
    wired = await called(provider, {"DATABRICKS_CLIENT_ID": "cid", "DATABRICKS_CLIENT_SECRET": "cs"}, **BRICKS)
    assert (await wired.chat()).status_code == 200
    (asked,) = provider.asked
    assert asked.url == "https://adb-1.azuredatabricks.net/oidc/v1/token"
    assert asked.headers["authorization"] == "Basic " + base64.b64encode(b"cid:cs").decode()
    assert provider.form == {"grant_type": "client_credentials", "scope": "all-apis"}
    assert wired.transport.sent[-1].headers["authorization"] == "Bearer token-1"
    wired = await called(provider, {"DATABRICKS_API_KEY": "dapi"}, **BRICKS)
    await wired.chat()
    assert wired.transport.sent[-1].headers["authorization"] == "Bearer dapi"


async def test_watsonxs_api_key_is_exchanged_and_never_sent_to_the_model() -> None:
    provider = Provider()
    wired = await called(provider, {"WATSONX_APIKEY": "ibm-key"}, **WATSONX)
    assert (await wired.chat()).status_code == 200
    assert provider.asked[0].url == "https://iam.cloud.ibm.com/identity/token"
    assert provider.form == {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": "ibm-key"}
    sent = wired.transport.sent[-1]
    assert sent.headers["authorization"] == "Bearer token-1"
    assert b"ibm-key" not in sent.body
    assert b'"project_id":"p-1"' in sent.body


async def test_a_token_that_could_not_be_had_costs_nothing() -> None:
    provider = Provider()

    def dead(request: OutboundRequest) -> Said:
        raise UpstreamTimeout("Timeout: the provider did not answer in time.")

    wired = await called(provider, {"WATSONX_APIKEY": "ibm-key"}, **WATSONX)
    wired.transport.answer = dead
    answer = await wired.chat()
    assert answer.status_code >= 500
    assert sum(entry.get("cost", 0) for entry in await wired.ledger()) == 0


# The cache


class Counting:
    def __init__(self, clock: StillClock, life: float = 3600) -> None:
        self.clock, self.life = clock, life
        self.fetched = 0
        self.error: Exception | None = None

    async def __call__(self) -> Token:
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        self.fetched += 1
        return Token(f"t{self.fetched}", self.clock.now() + self.life)


async def test_calls_that_come_at_once_share_one_fetch() -> None:
    clock = StillClock()
    cache, fetch = TokenCache[Token](clock), Counting(clock)
    values = await asyncio.gather(*(cache.get("a", fetch) for _ in range(20)))
    assert ({token.value for token in values}, fetch.fetched) == ({"t1"}, 1)
    await cache.get("b", fetch)
    assert fetch.fetched == 2


async def test_a_short_token_lives_half_its_life_and_a_long_one_until_five_minutes_before_its_end() -> None:
    for life, used in ((60.0, 30.0), (3600.0, 3300.0)):
        clock = StillClock()
        cache, fetch = TokenCache[Token](clock), Counting(clock, life)
        await cache.get("a", fetch)
        clock.advance(used - 1)
        assert (await cache.get("a", fetch)).value == "t1"
        clock.advance(1)
        assert (await cache.get("a", fetch)).value == "t2"


@pytest.mark.parametrize("error", [NeverSent("no"), UpstreamFailed("503")])
async def test_while_the_old_one_holds_a_failed_fetch_is_no_error_and_is_not_repeated_for_each_call(error: Exception) -> None:
    clock = StillClock()
    cache, fetch = TokenCache[Token](clock), Counting(clock)
    await cache.get("a", fetch)
    clock.advance(3400)
    fetch.error = error
    tried = 0

    async def counted() -> Token:
        nonlocal tried
        tried += 1
        return await fetch()

    for _ in range(5):
        assert (await cache.get("a", counted)).value == "t1"
    assert tried == 1
    clock.advance(200)
    with pytest.raises(type(error)):
        await cache.get("a", counted)


async def test_a_cancelled_caller_does_not_leave_the_others_waiting() -> None:
    clock = StillClock()
    cache, fetch = TokenCache[Token](clock), Counting(clock)
    started = asyncio.Event()

    async def slow() -> Token:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    first = asyncio.create_task(cache.get("a", slow))
    await started.wait()
    second: Callable[[], Awaitable[Token]] = fetch
    waiting = asyncio.create_task(cache.get("a", second))
    await asyncio.sleep(0)
    first.cancel()
    assert (await waiting).value == "t1"
