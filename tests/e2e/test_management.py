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
