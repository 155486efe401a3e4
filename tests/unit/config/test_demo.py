from tests.support.config import compiled

from tollkeeper.config.demo import demo_config
from tollkeeper.config.snapshot import Secret


def test_the_demo_model_is_always_there_first_and_needs_nothing() -> None:
    (demo,) = compiled(demo_config(openai=False, anthropic=False, ollama=[], vllm=[])).deployments
    assert (demo.group, demo.mock_response, demo.api_key) == ("demo", {"demo": True}, None)
    assert demo.prices is not None


def test_what_was_found_is_offered() -> None:
    config = demo_config(openai=True, anthropic=True, ollama=["llama3:8b"], vllm=["Qwen/Qwen3-8B"])
    snapshot = compiled(config, {"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "y"})
    rows = {row.group: row for row in snapshot.deployments}
    assert list(rows) == ["demo", "openai/*", "anthropic/*", "ollama/llama3:8b", "hosted_vllm/Qwen/Qwen3-8B"]
    assert rows["openai/*"].api_key == Secret("env", "OPENAI_API_KEY")
    assert rows["ollama/llama3:8b"].model == "llama3:8b"
    assert rows["hosted_vllm/Qwen/Qwen3-8B"].base_url == "http://127.0.0.1:8000/v1"
    assert snapshot.warnings == ()
    assert snapshot.unsupported == ()


def test_local_models_are_free_and_not_unpriced() -> None:
    config = demo_config(openai=False, anthropic=False, ollama=["llama3"], vllm=["qwen"])
    local = compiled(config).deployments[1:]
    assert [row.prices and {name: rate.price for name, rate in row.prices.rates.items()} for row in local] == [
        {"input": 0, "output": 0}
    ] * 2
