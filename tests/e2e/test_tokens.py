"""Signed tokens at the real gateway, with an identity provider that changes its keys."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from tests.support.gateway import GatewayProcess, config_of, model
from tests.support.upstream import Received, Reply, Upstream, as_json, completion

ISSUER = "https://login.example.com"


class Login:
    """An identity provider, and the model's provider on the same socket."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "one"})

    def __call__(self, request: Received) -> Reply:
        if request.path == "/jwks":
            return as_json(KeySet([self.key]).as_dict(private=False))
        return as_json(completion())

    def token(self, **claims: Any) -> str:
        now = int(time.time())
        content = {"iss": ISSUER, "aud": "tollkeeper", "sub": "ann", "exp": now + 300, **claims}
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, content, self.key)


@pytest.fixture(scope="module")
def login() -> Login:
    return Login()


@pytest.fixture(scope="module")
def gateway(login: Login, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with Upstream(login) as upstream:
        rules = {
            "issuer": ISSUER,
            "audience": "tollkeeper",
            "jwks_url": f"{upstream.url}/jwks",
            "team_ids_jwt_field": "groups",
            "user_email_jwt_field": "email",
            "user_id_upsert": True,
            "admin_jwt_scope": "admin",
        }
        config = config_of(
            model("fast", "openai/gpt-4o-mini", f"{upstream.url}/v1"),
            general_settings={"enable_jwt_auth": True, "litellm_jwtauth": rules},
            tollkeeper={"iam_callers": [{"principal": "arn:aws:iam::1:role/r", "user_id": "r"}]},
        )
        process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config, env={"TOLLKEEPER_KEY_CACHE_SECONDS": "0"})
        yield process.start()
        process.stop()


def ask(gateway: GatewayProcess, token: str) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=token, max_retries=0) as client:
        client.chat.completions.create(model="fast", messages=[{"role": "user", "content": "x"}])


def test_a_token_is_booked_to_its_user_and_team_and_its_user_written_down(gateway: GatewayProcess, login: Login) -> None:
    gateway.admin("POST", "/team/new", {"team_id": "core", "models": ["fast"]})
    ask(gateway, login.token(groups=["unknown", "core"], email="ann@example.com"))
    entry = gateway.ledger()[-1]
    assert (entry["user_id"], entry["team_id"]) == ("ann", "core")
    assert gateway.admin("GET", "/v2/user/info", user_id="ann").json()["user_email"] == "ann@example.com"
    [written] = gateway.admin("GET", "/audit", table_name="user", object_id="ann").json()["audit_logs"]
    assert (written["action"], written["changed_by"]) == ("created", "token")


def test_a_team_without_budget_refuses_its_tokens(gateway: GatewayProcess, login: Login) -> None:
    gateway.admin("POST", "/team/new", {"team_id": "poor", "max_budget": 0})
    with pytest.raises(openai.APIStatusError) as refused:
        ask(gateway, login.token(groups=["poor"]))
    assert refused.value.response.json()["error"]["type"] == "budget_exceeded"


def test_the_providers_next_key_counts_at_once_and_its_last_one_no_more(gateway: GatewayProcess, login: Login) -> None:
    old = login.token()
    ask(gateway, old)
    login.key = RSAKey.generate_key(2048, {"kid": "two"})
    ask(gateway, login.token())
    with pytest.raises(openai.AuthenticationError):
        ask(gateway, old)


@pytest.mark.parametrize("claims", [{"aud": "other"}, {"exp": 1}, {"iss": "https://evil.example.com"}])
def test_a_token_that_does_not_pass_is_401_in_the_envelope(gateway: GatewayProcess, login: Login, claims: dict[str, Any]) -> None:
    with pytest.raises(openai.AuthenticationError) as refused:
        ask(gateway, login.token(**claims))
    assert refused.value.response.json()["error"]["code"] == "401"


def test_a_scope_makes_an_administrator(gateway: GatewayProcess, login: Login) -> None:
    for scope, status in (("openid admin", 200), ("openid", 403)):
        headers = {"authorization": f"Bearer {login.token(scope=scope, sub='boss')}"}
        answer = gateway.request("POST", "/key/generate", {"key_alias": "made-by-a-token"}, headers)
        assert answer.status_code == status, answer.text


def test_nobody_can_call_themselves_an_aws_principal(gateway: GatewayProcess) -> None:
    """The name under which API Gateway's proven caller travels is none that a server takes from the wire."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as wire:
        lines = ["GET /v1/models HTTP/1.1", "Host: x", ":aws-principal: arn:aws:iam::1:role/r", "Connection: close", "", ""]
        wire.sendall("\r\n".join(lines).encode())
        head = wire.makefile("rb").readline()
    assert head.split()[1] in (b"400", b"401"), head


def test_the_models_providers_credential_never_was_the_token(gateway: GatewayProcess, login: Login) -> None:
    assert json.dumps(login.token())[1:20] not in gateway.log()
