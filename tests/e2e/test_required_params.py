"""What requests must carry, and must not, by the configuration, the key and the team: through the real program, in LiteLLM's words."""

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from tests.support.gateway import GatewayProcess, config_of, model

ASK: Any = [{"role": "user", "content": "x"}]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    general = {
        "enforced_params": ["metadata.generation_name"],
        "service_account_settings": {"enforced_params": ["seed"]},
        "reject_clientside_metadata_tags": True,
    }
    config = config_of(model("demo", "openai/demo", "http://127.0.0.1:9/v1", mock_response="hi"), general_settings=general)
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config).start()
    yield process
    process.stop()


def refused(gateway: GatewayProcess, key: str, **fields: Any) -> str | None:
    """What is said against a chat with these fields; None: nothing."""
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as client:
        try:
            client.chat.completions.create(model="demo", messages=ASK, **fields)
        except openai.BadRequestError as error:
            return str(error.body["message"]) if isinstance(error.body, dict) else str(error)
    return None


NAMED: Any = {"metadata": {"generation_name": "g"}}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "BadRequest please pass param=metadata in request body. This is a required param"),
        ({"metadata": {"a": "b"}}, "BadRequest please pass param=[metadata][generation_name] in request body. This is a required param"),
        ({"metadata": {"generation_name": "g", "tags": "t"}}, "Client-side 'metadata.tags' not allowed in request."),
        (NAMED, None),
    ],
)
def test_for_everybody(gateway: GatewayProcess, fields: Any, said: str | None) -> None:
    found = refused(gateway, gateway.new_key(), **fields)
    assert (found or "").startswith(said) if said else found is None
    assert [entry["cost"] for entry in gateway.ledger() if entry["status"] == "failure" and entry["cost"]] == []


def test_for_a_key_a_team_and_service_accounts(gateway: GatewayProcess) -> None:
    team = gateway.admin("POST", "/team/new", {"metadata": {"enforced_params": ["top_p"]}}).json()["team_id"]
    for key, missing in (
        (gateway.new_key(enforced_params=["user"]), "user"),
        (gateway.new_key(metadata={"enforced_params": ["user"]}), "user"),
        (gateway.new_key(team_id=team), "top_p"),
        (gateway.admin("POST", "/key/service-account/generate", {"key_alias": "robot", "team_id": team}).json()["key"], "seed"),
    ):
        values = {"user": "u", "top_p": 1, "seed": 1}
        assert f"param={missing} " in str(refused(gateway, key, **NAMED, **{k: v for k, v in values.items() if k != missing}))
        assert refused(gateway, key, **NAMED, **values) is None


def test_in_anthropics_shape(gateway: GatewayProcess) -> None:
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.new_key(), max_retries=0) as client:
        with pytest.raises(anthropic.BadRequestError, match="param=metadata in request body"):
            client.messages.create(model="demo", max_tokens=5, messages=ASK)
        client.messages.create(model="demo", max_tokens=5, messages=ASK, metadata={"generation_name": "g"})  # type: ignore[typeddict-unknown-key]


def test_a_user_of_every_request(tmp_path: Any) -> None:
    settings = {"enforce_user_param": True}
    config = config_of(model("demo", "openai/demo", "http://127.0.0.1:9/v1", mock_response="hi"), general_settings=settings)
    gateway = GatewayProcess(tmp_path, config).start()
    try:
        key = gateway.new_key()
        assert refused(gateway, key) == "'user' param not passed in. 'enforce_user_param'=True"
        assert refused(gateway, key, user="u") is None
    finally:
        gateway.stop()
