"""Secrets Manager: what is parsed, how long it is kept, how it fails; the wire against moto's own."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.stores import KEYS, REGION, Answer, Engine, ScriptedSend, StillClock, engine, http_send, refusal

from tollkeeper.clock import system
from tollkeeper.errors import NotFound, StoreUnavailable
from tollkeeper.store.awsjson import AwsJson, AwsService
from tollkeeper.store.secrets import SecretsManager

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:providers/openai-AbCdEf"


def secret(text: str) -> Answer:
    return 200, {"SecretString": text}


def manager(*script: Answer) -> tuple[SecretsManager, ScriptedSend, StillClock]:
    send, clock = ScriptedSend(list(script)), StillClock()
    return SecretsManager(send, KEYS, REGION, clock=clock), send, clock


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (
            {"SecretString": '{"OPENAI_API_KEY": "sk-1", "port": 1, "on": true, "list": ["a"]}'},
            {"OPENAI_API_KEY": "sk-1", "port": "1", "on": "true", "list": '["a"]'},
        ),
        ({"SecretString": "sk-plain"}, "sk-plain"),
        ({"SecretString": "12345"}, "12345"),
        ({"SecretString": '"quoted"'}, '"quoted"'),
        ({"SecretString": ""}, ""),
        ({"SecretBinary": base64.b64encode(b'{"a": "b"}').decode()}, {"a": "b"}),
    ],
)
async def test_what_a_secret_may_be(answer: dict[str, Any], value: Any) -> None:
    secrets, send, _ = manager((200, answer))
    assert await secrets.get("providers") == value
    assert send.requests[0]["headers"]["x-amz-target"] == "secretsmanager.GetSecretValue"
    assert send.requests[0]["url"] == f"https://secretsmanager.{REGION}.amazonaws.com/"


async def test_a_value_is_kept_for_five_minutes() -> None:
    secrets, send, clock = manager(secret("one"), secret("two"))
    assert await secrets.get("s") == "one"
    clock.advance(299)
    assert await secrets.get("s") == "one"
    assert len(send.requests) == 1
    clock.advance(1)
    assert await secrets.get("s") == "two"


async def test_force_reads_anew() -> None:
    secrets, _, _ = manager(secret("one"), secret("two"))
    assert await secrets.get("s") == "one"
    assert await secrets.get("s", force=True) == "two"
    assert await secrets.get("s") == "two"


async def test_callers_at_the_same_time_share_one_read() -> None:
    secrets, send, _ = manager(secret("one"))
    assert await asyncio.gather(*(secrets.get("s") for _ in range(20))) == ["one"] * 20
    assert len(send.requests) == 1
    await asyncio.gather(secrets.get("s"), secrets.get("t"))
    assert len(send.requests) == 2


async def test_a_caller_who_leaves_does_not_take_the_value_from_the_others() -> None:
    secrets, send, _ = manager(secret("one"))
    first = asyncio.create_task(secrets.get("s"))
    second = asyncio.create_task(secrets.get("s"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "one"
    assert len(send.requests) == 1


async def test_an_outage_does_not_take_a_known_value_away() -> None:
    secrets, send, clock = manager(secret("one"), refusal("InternalServiceError", 500))
    await secrets.get("s")
    clock.advance(400)
    assert await secrets.get("s") == "one"
    asked = len(send.requests)
    assert await secrets.get("s") == "one"
    assert len(send.requests) == asked
    with pytest.raises(StoreUnavailable):
        await secrets.get("s", force=True)
    clock.advance(3600)
    with pytest.raises(StoreUnavailable):
        await secrets.get("s")


@pytest.mark.parametrize("code", ["AccessDeniedException", "DecryptionFailure", "InvalidRequestException"])
async def test_a_refusal_names_the_secret_without_the_account(code: str) -> None:
    secrets, send, _ = manager((400, {"__type": code, "Message": "User arn:aws:iam::123456789012 …"}))
    with pytest.raises(StoreUnavailable) as failed:
        await secrets.get(ARN)
    assert failed.value.message == f"secret 'providers/openai-AbCdEf' cannot be read: {code}"
    assert len(send.requests) == 1


async def test_a_secret_that_is_missing() -> None:
    secrets, *_ = manager((400, {"__type": "ResourceNotFoundException", "Message": "…"}))
    with pytest.raises(NotFound, match="'s'"):
        await secrets.get("s")


@pytest.mark.parametrize("answer", [{}, {"SecretBinary": "!"}, {"SecretBinary": base64.b64encode(b"\xff\xfe").decode()}])
async def test_a_secret_without_text(answer: dict[str, str]) -> None:
    secrets, *_ = manager((200, answer))
    with pytest.raises(StoreUnavailable, match="holds no text"):
        await secrets.get("s")


async def test_the_value_is_in_no_representation() -> None:
    secrets, *_ = manager(secret("sk-very-secret"))
    await secrets.get("s")
    assert "sk-very-secret" not in repr(vars(secrets))


@pytest.fixture
def moto(tmp_path: Path) -> Iterator[Engine]:
    with engine("moto", tmp_path) as running:
        yield running


async def test_against_an_emulator(moto: Engine) -> None:
    async with http_send() as send:
        aws = AwsJson(AwsService("secretsmanager", "secretsmanager", "1.1", "s"), send, KEYS, REGION, moto.endpoint)
        name = f"providers/{system.new_id()}"
        await aws.call("CreateSecret", {"Name": name, "SecretString": '{"K": "v"}'}, repeatable=True)
        secrets = SecretsManager(send, KEYS, REGION, moto.endpoint)
        assert await secrets.get(name) == {"K": "v"}
        with pytest.raises(NotFound):
            await secrets.get(f"{name}/other")


async def test_what_is_given_at_run_time_is_kept_overwritten_dropped_and_kept_again(moto: Engine) -> None:
    async with http_send() as send:
        secrets = SecretsManager(send, KEYS, REGION, moto.endpoint, prefix="tollkeeper/test/")
        name = f"models/{system.new_id()}/api_key"
        secret_id = await secrets.keep(name, "one")
        assert secret_id == f"tollkeeper/test/{name}"
        assert await secrets.get(secret_id) == {"value": "one"}
        assert await secrets.keep(name, "two") == secret_id
        assert await secrets.get(secret_id) == {"value": "two"}
        await secrets.drop(secret_id)
        await secrets.drop(secret_id)
        assert await secrets.keep(name, "three") == secret_id
        assert await secrets.get(secret_id) == {"value": "three"}


async def test_forgetting_reads_anew_and_still_bridges_an_outage() -> None:
    secrets, _, _ = manager(secret("one"), secret("two"), refusal("InternalServiceError", 500))
    assert await secrets.get("s") == "one"
    secrets.forget()
    assert await secrets.get("s") == "two"
    secrets.forget()
    assert await secrets.get("s") == "two"


async def test_a_secret_that_may_not_be_written_is_told() -> None:
    secrets, *_ = manager((400, {"__type": "AccessDeniedException", "Message": "User arn:aws:iam::123456789012 …"}))
    with pytest.raises(StoreUnavailable, match="AccessDeniedException"):
        await secrets.keep("m", "one")
