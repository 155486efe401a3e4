"""Receipts that a key of AWS KMS signs, over a real socket, and answers that go without one."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.support.admin import MASTER
from tests.support.upstream import Received, Reply, Upstream, as_json

from tollkeeper.bootstrap.installation import Installation
from tollkeeper.bootstrap.management import local_app
from tollkeeper.config.compile import compile_file
from tollkeeper.config.load import ConfigError
from tollkeeper.reports.receipts import verify
from tollkeeper.settings import Settings

KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


class Kms:
    """Has one key, and says what it was asked."""

    def __init__(self, key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> None:
        self.key = key
        self.asked: list[str] = []
        self.refuses = False

    def answer(self, request: Received) -> Reply:
        operation = request.headers["x-amz-target"].removeprefix("TrentService.")
        self.asked.append(operation)
        assert "/eu-west-1/kms/aws4_request" in request.headers["authorization"]
        assert request.json["KeyId"] == KEY
        if self.refuses:
            return as_json({"__type": "AccessDeniedException", "message": "no"}, status=400)
        if operation == "GetPublicKey":
            der = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            return as_json({"KeyId": KEY, "PublicKey": base64.b64encode(der).decode()})
        assert isinstance(self.key, Ed25519PrivateKey)
        assert (request.json["SigningAlgorithm"], request.json["MessageType"]) == ("ED25519_SHA_512", "RAW")
        signed = self.key.sign(base64.b64decode(request.json["Message"]))
        return as_json({"KeyId": KEY, "Signature": base64.b64encode(signed).decode()})


@asynccontextmanager
async def gateway(folder: Path, kms: Kms, monkeypatch: pytest.MonkeyPatch, **receipts: Any) -> AsyncIterator[httpx.AsyncClient]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "AKIDEXAMPLE")
    terms = ", ".join(f"{name}: {value}" for name, value in receipts.items())
    (folder / "gateway.yaml").write_text(
        'model_list: [{model_name: m, litellm_params: {model: openai/gpt-4o, api_key: os.environ/NONE, mock_response: "hi"}}]\n'
        f"tollkeeper: {{receipts: {{{terms}}}}}\n"
    )
    with Upstream(kms.answer) as upstream:
        settings = Settings(master_key=MASTER, pepper="p", state=":memory:", aws_region="us-east-1", aws_endpoint=upstream.url)
        running = await Installation(settings, snapshot=compile_file(folder / "gateway.yaml", env=lambda _: None)).start()
        transport = httpx.ASGITransport(app=local_app(running))
        headers = {"authorization": f"Bearer {MASTER}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers) as client:
            yield client
        await running.stop()


async def test_a_key_of_kms_signs_and_anybody_can_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kms = Kms(Ed25519PrivateKey.generate())
    async with gateway(tmp_path, kms, monkeypatch, kms_key=f'"{KEY}"', send="always") as client:
        answers = [await client.post("/v1/chat/completions", json=CHAT) for _ in range(2)]
        keys = (await client.get("/reports/receipts/keys")).json()
        said = [verify(answer.headers["x-tollkeeper-receipt"], keys) for answer in answers]
        assert [claims["request_id"] for claims in said] == [answer.headers["x-request-id"] for answer in answers]
        assert kms.asked == ["GetPublicKey", "Sign", "Sign"]
        fetched = (await client.get(f"/reports/receipts/{said[0]['request_id']}")).json()["receipt"]
        assert verify(fetched, keys)["cost_nano_usd"] == said[0]["cost_nano_usd"]


async def test_an_answer_is_not_lost_with_its_receipt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kms = Kms(Ed25519PrivateKey.generate())
    kms.refuses = True
    async with gateway(tmp_path, kms, monkeypatch, kms_key=f'"{KEY}"', send="always") as client:
        answer = await client.post("/v1/chat/completions", json=CHAT)
        assert (answer.status_code, answer.headers.get("x-tollkeeper-receipt")) == (200, None)
        refused = await client.get(f"/reports/receipts/{answer.headers['x-request-id']}")
        assert (refused.status_code, "AccessDeniedException" in refused.text) == (503, True)


async def test_another_kind_of_key_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway(tmp_path, Kms(ec.generate_private_key(ec.SECP256R1())), monkeypatch, kms_key=f'"{KEY}"') as client:
        answer = await client.get("/reports/receipts/keys")
        assert (answer.status_code, "ECC_NIST_EDWARDS25519" in answer.text) == (503, True)


@pytest.mark.parametrize(("send", "asked", "signed"), [("off", "true", False), ("asked", "no", False), ("asked", "TRUE", True)])
async def test_who_gets_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, send: str, asked: str, signed: bool) -> None:
    kms = Kms(Ed25519PrivateKey.generate())
    async with gateway(tmp_path, kms, monkeypatch, send=send) as client:
        answer = await client.post("/v1/chat/completions", json=CHAT, headers={"x-tollkeeper-receipt": asked})
        assert ("x-tollkeeper-receipt" in answer.headers) == signed
        assert kms.asked == []


@pytest.mark.parametrize("receipts", ["{send: sometimes}", "{kms_key: alias/receipts}", "{sned: always}"])
def test_terms_that_make_no_sense_are_found_when_they_are_read(tmp_path: Path, receipts: str) -> None:
    (tmp_path / "gateway.yaml").write_text(f"model_list: []\ntollkeeper: {{receipts: {receipts}}}\n")
    with pytest.raises(ConfigError, match=r"tollkeeper\.receipts"):
        compile_file(tmp_path / "gateway.yaml", env=lambda _: None)
