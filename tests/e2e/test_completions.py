"""Text completions, and the paths by which older clients and Azure's ask for chat, through official clients."""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from tests.support.gateway import MASTER_KEY, GatewayProcess, config_of, model
from tests.support.upstream import Received, Reply, Upstream, as_json, as_sse, completion, text_stream

USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.000002}


def written(text: str, finish: str | None = "stop", **changes: Any) -> dict[str, Any]:
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
    return {"id": "cmpl-1", "object": "text_completion", "created": 1700000000, "model": "up", "choices": [choice], **changes}


def provider(request: Received) -> Reply:
    streamed = request.json.get("stream")
    if request.path.endswith("/chat/completions"):
        return as_sse(*text_stream("Hello", " there")) if streamed else as_json(completion("Hello there"))
    if streamed:
        return as_sse(written("Once", None), written(" upon", None), written("", "length"), written("", choices=[], usage=USAGE))
    return as_json(written("Once upon", usage=USAGE))


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(provider) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = config_of(
        model("writer", "openai/gpt-3.5-turbo-instruct", f"{upstream.url}/v1", model_info=PRICES),
        model("base", "openai/my-base-model", f"{upstream.url}/v1", model_info={**PRICES, "mode": "completion"}),
        model("chatty", "openai/gpt-4o-mini", f"{upstream.url}/v1"),
        model("vendor/nested", "openai/gpt-4o-mini", f"{upstream.url}/v1"),
        model("claude", "anthropic/claude-sonnet-4-5", upstream.url),
        router_settings={"num_retries": 0},
    )
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config).start()
    yield process
    process.stop()


@pytest.fixture
def client(gateway: GatewayProcess, upstream: Upstream) -> Iterator[openai.OpenAI]:
    upstream.handler = provider
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(), max_retries=0) as made:
        yield made


@pytest.mark.parametrize("name", ["writer", "base"])
def test_a_completion_model_is_asked_as_it_came(client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream, name: str) -> None:
    answer = client.completions.create(model=name, prompt="Once", max_tokens=9, suffix="end", echo=True, logprobs=2)
    assert (answer.choices[0].text, answer.model, answer.object) == ("Once upon", name, "text_completion")
    assert upstream.received[-1].path == "/v1/completions"
    sent = upstream.received[-1].json
    assert {key: sent[key] for key in ("prompt", "max_tokens", "suffix", "echo", "logprobs")} == {
        "prompt": "Once", "max_tokens": 9, "suffix": "end", "echo": True, "logprobs": 2,
    }  # fmt: skip
    entry = gateway.ledger()[-1]
    assert (entry["call_type"], entry["input_tokens"], entry["output_tokens"], entry["cost"]) == ("atext_completion", 5, 7, 19_000)


@pytest.mark.parametrize("asked", [False, True])
def test_a_completion_models_stream(client: openai.OpenAI, gateway: GatewayProcess, asked: bool) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if asked else {}
    chunks = list(client.completions.create(model="writer", prompt="Once", stream=True, **options))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "Once upon"
    assert {chunk.model for chunk in chunks} == {"writer"}
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == ([12] if asked else [])
    assert gateway.ledger()[-1]["output_tokens"] == 7


def test_a_cut_stream_is_an_error_event_and_booked(client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_sse(written("Once", None), done=False)
    with pytest.raises(openai.APIError, match="before the answer was finished"):
        list(client.completions.create(model="writer", prompt="Once", stream=True))
    entry = gateway.ledger()[-1]
    assert (entry["status"], entry["output_tokens"] > 0) == ("cut", True)


@pytest.mark.parametrize("prompt", ["Say hello", ["Say hello"]])
def test_a_chat_model_is_asked_by_chat(client: openai.OpenAI, upstream: Upstream, prompt: Any) -> None:
    answer = client.completions.create(model="chatty", prompt=prompt, max_tokens=9, stop=["x"])
    assert (answer.choices[0].text, answer.object, answer.choices[0].finish_reason) == ("Hello there", "text_completion", "stop")
    assert answer.usage is not None
    assert answer.usage.total_tokens == 21
    sent = upstream.received[-1].json
    assert (sent["messages"], sent["max_tokens"], sent["stop"]) == ([{"role": "user", "content": "Say hello"}], 9, ["x"])
    assert "prompt" not in sent


def test_a_chat_models_stream_is_one_of_completions(client: openai.OpenAI) -> None:
    chunks = list(client.completions.create(model="chatty", prompt="Hi", stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "Hello there"
    assert {chunk.object for chunk in chunks} == {"text_completion"}
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"echo": True}, "echo"),
        ({"suffix": "x"}, "suffix"),
        ({"logprobs": 3}, "logprobs"),
        ({"model": None}, "model"),
    ],
)
def test_what_a_chat_cannot_do_is_refused_by_name(gateway: GatewayProcess, change: dict[str, Any], named: str) -> None:
    body = {"model": "chatty", "prompt": "x", **change}
    answer = httpx.post(f"{gateway.url}/v1/completions", json=body, headers={"authorization": f"Bearer {MASTER_KEY}"}, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, named)


def test_a_hard_budget_pays_for_every_prompt_of_a_batch(gateway: GatewayProcess, upstream: Upstream) -> None:
    key = gateway.new_key(max_budget=0.01)
    upstream.handler = provider
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as client:
        client.completions.create(model="writer", prompt=["a"] * 50, max_tokens=1000)
    # 50 answers at two millionths of a dollar a token: a cent pays for 100 tokens each at the very most.
    assert upstream.received[-1].json["max_tokens"] <= 100


def test_chat_of_a_completion_model_names_its_endpoint(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="/v1/completions"):
        client.chat.completions.create(model="writer", messages=[{"role": "user", "content": "x"}])


# Paths


def test_azures_client_is_served(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = provider
    azure = openai.AzureOpenAI(azure_endpoint=gateway.url, api_key=gateway.new_key(), api_version="2024-10-21", max_retries=0)
    with azure as client:
        answer = client.chat.completions.create(model="chatty", messages=[{"role": "user", "content": "x"}])
        words = [
            chunk.choices[0].delta.content or ""
            for chunk in client.chat.completions.create(model="chatty", messages=[{"role": "user", "content": "x"}], stream=True)
        ]
        text = client.completions.create(model="writer", prompt="x")
    assert (answer.choices[0].message.content, "".join(words), text.choices[0].text) == ("Hello there", "Hello there", "Once upon")


@pytest.mark.parametrize("path", ["/engines/vendor/nested", "/v1/engines/vendor/nested", "/openai/deployments/vendor/nested"])
def test_the_model_in_the_path_counts(gateway: GatewayProcess, path: str) -> None:
    answer = httpx.post(
        f"{gateway.url}{path}/chat/completions",
        json={"model": "another", "messages": [{"role": "user", "content": "x"}]},
        headers={"api-key": MASTER_KEY},
        trust_env=False,
    )
    assert (answer.status_code, answer.json()["model"]) == (200, "vendor/nested")
