"""Management through the real program: what a change does to callers, and the command line."""

import time
from collections.abc import Iterator

import openai
import pytest
from tests.support.gateway import GatewayProcess, config_of, model
from tests.support.upstream import Upstream, as_json, completion


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(lambda _: as_json(completion())) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = config_of(model("fast", "openai/gpt-4o-mini", f"{upstream.url}/v1"))
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config, env={"TOLLKEEPER_KEY_CACHE_SECONDS": "0.2", "UP_KEY": "sk-up"})
    yield process.start()
    process.stop()


def test_a_model_added_at_runtime_is_callable_within_seconds_and_gone_after_deletion(gateway: GatewayProcess, upstream: Upstream) -> None:
    params = {"model": "openai/gpt-4o", "api_base": f"{upstream.url}/v1", "api_key": "os.environ/UP_KEY"}
    made = gateway.admin("POST", "/model/new", {"model_name": "added", "litellm_params": params, "model_info": {"id": "added-1"}})
    assert made.status_code == 200, made.text
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(), max_retries=0)
    time.sleep(0.3)
    assert client.chat.completions.create(model="added", messages=[{"role": "user", "content": "x"}]).model == "added"
    assert upstream.received[-1].headers["authorization"] == "Bearer sk-up"
    assert "added" in [row.id for row in client.models.list()]
    assert gateway.admin("POST", "/model/delete", {"id": "added-1"}).status_code == 200
    time.sleep(0.3)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="added", messages=[{"role": "user", "content": "x"}])
    client.close()


def test_a_regenerated_key_goes_on_and_the_old_text_stops(gateway: GatewayProcess) -> None:
    old = gateway.new_key(key_alias="turning", max_budget=5)
    answer = gateway.admin("POST", f"/key/{old}/regenerate", {})
    assert answer.status_code == 200, answer.text
    new = answer.json()["key"]
    time.sleep(0.3)
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=new, max_retries=0) as client:
        client.chat.completions.create(model="fast", messages=[{"role": "user", "content": "x"}])
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=old, max_retries=0) as client, pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model="fast", messages=[{"role": "user", "content": "x"}])


def test_credentials_given_at_run_time_are_used_changed_and_never_shown(gateway: GatewayProcess, upstream: Upstream) -> None:
    values = {"api_key": "sk-given-first", "api_base": f"{upstream.url}/v1"}
    body = {"credential_name": "shared", "credential_info": {}, "credential_values": values}
    assert gateway.admin("POST", "/credentials", body).status_code == 200
    params = {"model": "openai/gpt-4o", "litellm_credential_name": "shared"}
    made = gateway.admin("POST", "/model/new", {"model_name": "lent", "litellm_params": params, "model_info": {"id": "lent-1"}})
    assert made.status_code == 200, made.text
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(), max_retries=0) as client:
        for secret in ("sk-given-first", "sk-given-later"):
            patch = {"credential_values": {"api_key": secret}}
            assert gateway.admin("PATCH", "/credentials/shared", patch).status_code == 200
            time.sleep(0.3)
            client.chat.completions.create(model="lent", messages=[{"role": "user", "content": "x"}])
            assert upstream.received[-1].headers["authorization"] == f"Bearer {secret}"
    shown = gateway.admin("GET", "/credentials").text + gateway.admin("GET", "/model/info").text + gateway.admin("GET", "/audit").text
    stored = b"".join(path.read_bytes() for path in gateway.state.rglob("*") if path.is_file())
    assert b"sk-given" not in stored + shown.encode() + gateway.log().encode()


def test_a_fallback_set_at_run_time_is_taken(gateway: GatewayProcess, upstream: Upstream) -> None:
    params = {"model": "openai/gpt-4o", "api_base": "http://127.0.0.1:9/v1", "api_key": "sk-x", "max_retries": 0}
    gateway.admin("POST", "/model/new", {"model_name": "broken", "litellm_params": params, "model_info": {"id": "broken-1"}})
    assert gateway.admin("POST", "/fallback", {"model": "broken", "fallback_models": ["fast"]}).status_code == 200
    time.sleep(0.3)
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(), max_retries=0) as client:
        assert client.chat.completions.create(model="broken", messages=[{"role": "user", "content": "x"}]).choices
        gateway.admin("DELETE", "/fallback/broken")
        time.sleep(0.3)
        with pytest.raises(openai.APIError):
            client.chat.completions.create(model="broken", messages=[{"role": "user", "content": "x"}])
