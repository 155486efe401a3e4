"""The credential chain: which source wins, when keys are renewed, and what a failure says."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.stores import ScriptedSend, StillClock

from tollkeeper.clock import iso
from tollkeeper.errors import StoreUnavailable
from tollkeeper.store.credentials import CredentialChain

CONTAINER = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9001/creds", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "token-1"}


def keys(name: str, expires: float | None) -> tuple[int, dict[str, Any]]:
    answer = {"AccessKeyId": name, "SecretAccessKey": "s3cr3t", "Token": "t"}
    return 200, answer | ({"Expiration": iso(expires)} if expires else {})


async def test_environment_keys_win_and_ask_nobody() -> None:
    send = ScriptedSend([(500, {})])
    env = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK", "AWS_SESSION_TOKEN": "ST", **CONTAINER}
    found = await CredentialChain(env, send).get()
    assert (found.access_key, found.secret_key, found.token) == ("AK", "SK", "ST")
    assert await CredentialChain(env, send).get(refresh=True) == found
    assert send.requests == []


async def test_a_container_is_asked_with_its_token_and_the_answer_kept() -> None:
    clock = StillClock()
    send = ScriptedSend([keys("ONE", clock.now() + 3600)])
    chain = CredentialChain(CONTAINER, send, clock=clock)
    found = await asyncio.gather(*(chain.get() for _ in range(5)))
    assert {each.access_key for each in found} == {"ONE"}
    assert len(send.requests) == 1
    assert send.requests[0]["url"] == "http://127.0.0.1:9001/creds"
    assert send.requests[0]["headers"] == {"authorization": "token-1"}


async def test_a_relative_address_is_the_container_hosts() -> None:
    send = ScriptedSend([keys("ONE", None)])
    await CredentialChain({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x"}, send).get()
    assert send.requests[0]["url"] == "http://169.254.170.2/v2/x"
    assert send.requests[0]["headers"] == {}


async def test_the_token_file_is_read_for_each_fetch(tmp_path: Path) -> None:
    clock, token = StillClock(), tmp_path / "token"
    env = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://creds.example/", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token)}
    send = ScriptedSend([keys("ONE", clock.now() + 3600), keys("TWO", clock.now() + 7200)])
    chain = CredentialChain(env, send, clock=clock)
    token.write_text("first\n")
    await chain.get()
    token.write_text("second\n")
    clock.advance(3600 - 200)
    assert (await chain.get()).access_key == "TWO"
    assert [request["headers"]["authorization"] for request in send.requests] == ["first", "second"]
    token.unlink()
    with pytest.raises(StoreUnavailable, match="token file"):
        await chain.get(refresh=True)


async def test_keys_are_renewed_before_they_expire() -> None:
    clock = StillClock()
    send = ScriptedSend([keys("ONE", clock.now() + 3600), keys("TWO", clock.now() + 7200)])
    chain = CredentialChain(CONTAINER, send, clock=clock)
    assert (await chain.get()).access_key == "ONE"
    clock.advance(3000)
    assert (await chain.get()).access_key == "ONE"
    clock.advance(500)
    assert (await chain.get()).access_key == "TWO"


async def test_a_failed_renewal_is_no_error_while_the_old_keys_hold() -> None:
    clock = StillClock()
    send = ScriptedSend([keys("ONE", clock.now() + 3600), OSError("down")])
    chain = CredentialChain(CONTAINER, send, clock=clock)
    await chain.get()
    clock.advance(3500)
    for _ in range(10):
        assert (await chain.get()).access_key == "ONE"
    assert len(send.requests) == 2
    clock.advance(200)
    with pytest.raises(StoreUnavailable, match="did not answer"):
        await chain.get()


async def test_refresh_fetches_new_keys_now() -> None:
    clock = StillClock()
    send = ScriptedSend([keys("ONE", clock.now() + 3600), keys("TWO", clock.now() + 3600)])
    chain = CredentialChain(CONTAINER, send, clock=clock)
    await chain.get()
    assert (await chain.get(refresh=True)).access_key == "TWO"
    assert (await chain.get()).access_key == "TWO"


@pytest.mark.parametrize(
    "answer",
    [
        (403, {"message": "s3cr3t"}),
        (200, b"<html>s3cr3t"),
        (200, {"AccessKeyId": "s3cr3t"}),
        (200, ["s3cr3t"]),
        (200, {"AccessKeyId": "A", "SecretAccessKey": "s3cr3t", "Expiration": "never"}),
    ],
    ids=["status", "page", "incomplete", "list", "date"],
)
async def test_a_bad_answer_is_unavailable_and_keeps_the_secret(answer: tuple[int, Any]) -> None:
    with pytest.raises(StoreUnavailable) as failed:
        await CredentialChain(CONTAINER, ScriptedSend([answer])).get()
    assert "s3cr3t" not in failed.value.message


async def test_a_token_is_not_sent_over_plain_http_to_a_stranger() -> None:
    send = ScriptedSend([keys("ONE", None)])
    env = {**CONTAINER, "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://creds.example.com/"}
    with pytest.raises(StoreUnavailable, match="https"):
        await CredentialChain(env, send).get()
    assert send.requests == []


def run(code: str, env: Mapping[str, str], home: Path) -> str:
    base = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    isolated = {
        **base,
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(home / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "credentials"),
        **env,
    }
    result = subprocess.run([sys.executable, "-c", code], env=isolated, capture_output=True, text=True, timeout=60, check=True)
    return result.stdout.strip()


LAPTOP = """
import asyncio, sys
from tollkeeper.errors import StoreUnavailable
from tollkeeper.settings import aws_env
from tollkeeper.store.credentials import CredentialChain
async def main():
    chain = CredentialChain(aws_env(), None)
    try:
        print((await chain.get()).access_key, (await chain.get()).access_key)
    except StoreUnavailable as error:
        print(error.message)
    print("botocore" in sys.modules)
asyncio.run(main())
"""


def test_a_laptops_profile_is_found_by_botocore(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("[work]\naws_access_key_id = PROFILE\naws_secret_access_key = s\n")
    assert run(LAPTOP, {"AWS_PROFILE": "work"}, tmp_path).split() == ["PROFILE", "PROFILE", "True"]


def test_no_keys_anywhere_is_said_in_one_line(tmp_path: Path) -> None:
    message, imported = run(LAPTOP, {}, tmp_path).splitlines()
    assert message.startswith("no AWS credentials")
    assert imported == "True"


def test_botocore_is_not_imported_when_the_environment_has_keys(tmp_path: Path) -> None:
    found = run(LAPTOP, {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s"}, tmp_path)
    assert found.split() == ["ENV", "ENV", "False"]


async def test_keys_that_come_expired_are_not_believed_for_long() -> None:
    clock = StillClock()
    send = ScriptedSend([keys("OLD", clock.now() - 1), (200, orjson.dumps(keys("NEW", clock.now() + 3600)[1]))])
    chain = CredentialChain(CONTAINER, send, clock=clock)
    await chain.get()
    assert (await chain.get()).access_key == "NEW"


async def test_refresh_renews_keys_that_came_without_an_end() -> None:
    chain = CredentialChain(CONTAINER, ScriptedSend([keys("ONE", None), keys("TWO", None)]), clock=StillClock())
    assert (await chain.get()).access_key == "ONE"
    assert (await chain.get()).access_key == "ONE"
    assert (await chain.get(refresh=True)).access_key == "TWO"
