"""Raw provider APIs through the real program, and the endpoints of pass_through_endpoints."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from tests.support.gateway import GatewayProcess, config_of, model
from tests.support.upstream import Received, Reply, Upstream, as_json, as_sse, completion, text_stream

PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001}
COST = 9 * 1_000 + 12 * 10_000
ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 12},
}
GEMINI = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "hello"}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 12, "totalTokenCount": 21},
    "modelVersion": "gemini-2.5-flash",
}
CONVERSE = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hello"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 9, "outputTokens": 12, "totalTokens": 21},
}
AWS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret", "aws_region_name": "eu-central-1"}
MESSAGE_EVENTS = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None, "usage": {"input_tokens": 9, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 12}},
    {"type": "message_stop"},
]


def events(rows: list[dict[str, Any]]) -> Reply:
    pieces = [f"event: {row['type']}\ndata: {json.dumps(row)}\n\n".encode() for row in rows]
    return Reply(200, {"content-type": "text/event-stream", "x-provider": "kept"}, pieces)


def provider(request: Received) -> Reply:
    path = request.path.partition("?")[0]
    if path.endswith("/chat/completions"):
        return as_sse(*text_stream("Hel", "lo")) if request.json.get("stream") else as_json(completion("hello", secret="kept"))
    if path.endswith("/messages"):
        return events(MESSAGE_EVENTS) if request.json.get("stream") else as_json(MESSAGE)
    if ":generateContent" in path:
        return as_json(GEMINI)
    if ":streamGenerateContent" in path:
        return Reply(
            200, {"content-type": "application/json"}, [b"[", json.dumps(GEMINI).encode(), b"\n,", json.dumps(GEMINI).encode(), b"]"]
        )
    if path.endswith("/converse"):
        return as_json(CONVERSE)
    if path.endswith("/teapot"):
        return Reply(418, {"content-type": "text/plain", "x-tea": "green"}, [b"short and stout"])
    return as_json({"path": request.path, "method": request.method, "got": request.body.decode()})


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(provider) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    endpoints = [
        {"path": "/v1/custom", "target": f"{upstream.url}/target", "headers": {"Authorization": "bearer os.environ/CUSTOM_KEY", "x-n": 1}},
        {
            "path": "/tree",
            "target": f"{upstream.url}/root",
            "include_subpath": True,
            "cost_per_request": 0.25,
            "methods": ["POST", "GET"],
            "default_query_params": {"v": "1", "w": "2"},
        },
        {"path": "/open", "target": f"{upstream.url}/open", "auth": False},
    ]
    config = config_of(
        model("fast", "openai/gpt-4o-mini", f"{upstream.url}/v1", model_info=PRICES),
        model("claude", "anthropic/claude-sonnet-5", upstream.url, model_info=PRICES),
        model("flash", "gemini/gemini-2.5-flash", f"{upstream.url}/v1beta", model_info=PRICES),
        model("nova", "bedrock/amazon.nova-lite-v1:0", upstream.url, api_key=None, model_info=PRICES, **AWS),
        general_settings={"pass_through_endpoints": endpoints},
    )
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config, {"CUSTOM_KEY": "custom-secret"}).start()
    yield process
    process.stop()


@pytest.fixture
def http(gateway: GatewayProcess, upstream: Upstream) -> Iterator[httpx.Client]:
    upstream.handler = provider
    with client_of(gateway) as made:
        yield made


def client_of(gateway: GatewayProcess, **key: Any) -> httpx.Client:
    return httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {gateway.new_key(**key)}"}, timeout=20, trust_env=False)


def last(gateway: GatewayProcess) -> dict[str, Any]:
    return gateway.ledger()[-1]


@pytest.mark.parametrize("path", ["/openai/v1/chat/completions", "/openai/chat/completions"])
def test_the_openai_api_raw(http: httpx.Client, gateway: GatewayProcess, upstream: Upstream, path: str) -> None:
    sent = b'{ "model":"gpt-4o-mini",  "messages":[{"role":"user","content":"hi"}], "unknown": 1 }'
    answer = http.post(path, content=sent, headers={"content-type": "application/json", "openai-beta": "x=1", "cookie": "a=b"})
    assert answer.json() == completion("hello", secret="kept")
    seen = upstream.received[-1]
    assert (seen.path, seen.body) == ("/v1/chat/completions", sent)
    assert (seen.headers["authorization"], seen.headers["openai-beta"]) == ("Bearer sk-upstream", "x=1")
    assert "cookie" not in seen.headers
    entry = last(gateway)
    assert (entry["call_type"], entry["provider"], entry["model"]) == ("pass_through_endpoint", "openai", "gpt-4o-mini")
    assert entry["cost"] == COST
    assert entry["call_id"] == answer.headers["x-litellm-call-id"]


def test_a_stream_passes_unchanged_and_is_metered(http: httpx.Client, gateway: GatewayProcess) -> None:
    want = b"".join(piece for piece in as_sse(*text_stream("Hel", "lo")).pieces)
    with http.stream("POST", "/openai/v1/chat/completions", json={**ASK, "stream": True}) as answer:
        assert answer.read() == want
    assert (last(gateway)["cost"], last(gateway)["stream"]) == (COST, True)


def test_the_official_clients_at_the_raw_apis(http: httpx.Client, gateway: GatewayProcess) -> None:
    key = http.headers["authorization"].removeprefix("Bearer ")
    with anthropic.Anthropic(base_url=f"{gateway.url}/anthropic", api_key=key) as client:
        ask: Any = {"model": "claude-sonnet-5", "max_tokens": 20, "messages": ASK["messages"]}
        assert client.messages.create(**ask).content[0].text == "hello"  # type: ignore[union-attr]
        assert last(gateway)["cost"] == COST
        with client.messages.stream(**ask) as stream:
            assert stream.get_final_text() == "hello"
        assert last(gateway)["cost"] == COST
    with openai.OpenAI(base_url=f"{gateway.url}/openai/v1", api_key=key) as other:
        assert other.chat.completions.create(**ASK).choices[0].message.content == "hello"


def test_gemini_raw_with_the_key_in_the_query(http: httpx.Client, gateway: GatewayProcess, upstream: Upstream) -> None:
    key = http.headers["authorization"].removeprefix("Bearer ")
    url = f"{gateway.url}/gemini/v1beta/models/gemini-2.5-flash:generateContent?key={key}&alt=json"
    answer = httpx.post(url, json={"contents": [{"parts": [{"text": "hi"}]}]}, trust_env=False)
    assert answer.json() == GEMINI
    assert upstream.received[-1].path == "/v1beta/models/gemini-2.5-flash:generateContent?alt=json"
    assert upstream.received[-1].headers["x-goog-api-key"] == "sk-upstream"
    assert last(gateway)["cost"] == COST


def test_gemini_raw_as_an_array(http: httpx.Client, gateway: GatewayProcess) -> None:
    answer = http.post("/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent", json={"contents": [{"parts": [{"text": "hi"}]}]})
    assert answer.json() == [GEMINI, GEMINI]
    assert last(gateway)["cost"] == COST


def test_bedrock_raw_is_signed(http: httpx.Client, gateway: GatewayProcess, upstream: Upstream) -> None:
    asked = {"messages": [{"role": "user", "content": [{"text": "hi"}]}], "inferenceConfig": {"maxTokens": 20}}
    assert http.post("/bedrock/model/amazon.nova-lite-v1%3A0/converse", json=asked).json() == CONVERSE
    seen = upstream.received[-1]
    assert seen.path == "/model/amazon.nova-lite-v1%3A0/converse"
    assert seen.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert (last(gateway)["cost"], last(gateway)["provider"]) == (COST, "bedrock")


def test_status_headers_and_body_are_the_providers(http: httpx.Client, gateway: GatewayProcess) -> None:
    answer = http.get("/openai/v1/teapot")
    assert (answer.status_code, answer.text, answer.headers["x-tea"]) == (418, "short and stout", "green")
    assert (last(gateway)["status"], last(gateway)["http_status"], last(gateway)["cost"]) == ("failure", 418, 0)
    assert http.get("/openai/v1/arn%3Aaws%3Ax%2Fy/z%20z").json()["path"] == "/v1/arn%3Aaws%3Ax%2Fy/z%20z"
    assert http.put("/openai/v1/things/1?a=1&a=2", content=b"raw").json() == {"path": "/v1/things/1?a=1&a=2", "method": "PUT", "got": "raw"}


def test_a_hard_budget_holds_here_too(gateway: GatewayProcess, upstream: Upstream) -> None:
    with client_of(gateway, max_budget=0.002) as poor:
        answer = poor.post("/openai/v1/chat/completions", json=ASK)
        assert answer.status_code == 200
        assert "max_tokens" in upstream.received[-1].json  # what is held is what is asked for
        refused = poor.post("/openai/v1/assistants", json={"model": "gpt-4o-mini"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "cost_unknown")
        assert poor.get("/openai/v1/models").status_code == 200
        for _ in range(20):
            answer = poor.post("/openai/v1/chat/completions", json={**ASK, "max_tokens": 20})
        assert (answer.status_code, answer.json()["error"]["type"]) == (422, "budget_exceeded")
    with client_of(gateway, max_budget=0.002) as poor:
        answer = poor.post(
            "/gemini/v1beta/models/gemini-2.5-flash:generateContent",
            json={"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"temperature": 0}},
        )
        assert answer.status_code == 200
        sent = upstream.received[-1].json["generationConfig"]
        assert sent["temperature"] == 0
        assert 0 < sent["maxOutputTokens"] < 200


def test_a_key_is_held_to_its_models_and_routes(gateway: GatewayProcess) -> None:
    with client_of(gateway, models=["fast"]) as limited:
        assert limited.post("/openai/v1/chat/completions", json=ASK).status_code == 200
        assert limited.post("/openai/v1/chat/completions", json={**ASK, "model": "gpt-5"}).status_code == 403
        assert limited.post("/anthropic/v1/messages", json={"model": "claude-sonnet-5"}).status_code == 403
    with client_of(gateway, allowed_routes=["/v1/embeddings"]) as limited:
        assert limited.post("/openai/v1/chat/completions", json=ASK).status_code == 403
    assert httpx.post(f"{gateway.url}/openai/v1/chat/completions", json=ASK, trust_env=False).status_code == 401


def test_what_cannot_be_passed_is_said(http: httpx.Client) -> None:
    broken = http.post("/openai/v1/chat/completions", content=b"{", headers={"content-type": "application/json"})
    assert (broken.status_code, broken.json()["error"]["param"]) == (400, "request_body")
    nowhere = http.post("/hosted_vllm/v1/chat/completions", json=ASK)
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "provider_not_configured")
    no_key = http.post("/mistral/v1/chat/completions", json=ASK)
    assert (no_key.status_code, no_key.json()["error"]["type"]) == (401, "authentication_error")
    assert "MISTRAL_API_KEY" in no_key.json()["error"]["message"]
    assert http.post("/nobody/v1/chat/completions", json=ASK).status_code == 404


def test_a_configured_endpoint_with_headers_of_its_own(http: httpx.Client, gateway: GatewayProcess, upstream: Upstream) -> None:
    answer = http.post("/v1/custom", json={"a": 1}, headers={"x-mine": "stays here"})
    assert answer.json()["path"] == "/target"
    seen = upstream.received[-1].headers
    assert (seen["authorization"], seen["x-n"]) == ("bearer custom-secret", "1")
    assert "x-mine" not in seen
    assert last(gateway)["cost"] == 0
    assert "custom-secret" not in gateway.log()


def test_a_configured_endpoint_with_subpaths_and_a_price(http: httpx.Client, gateway: GatewayProcess) -> None:
    assert http.post("/tree/a/b?w=3", json={}).json()["path"] == "/root/a/b?v=1&w=3"
    assert last(gateway)["cost"] == 250_000_000
    assert http.put("/tree/a").status_code == 405
    with client_of(gateway, max_budget=0.3) as poor:
        assert poor.post("/tree", json={}).status_code == 200
        assert poor.post("/tree", json={}).status_code == 422


def test_a_configured_endpoint_that_is_open(gateway: GatewayProcess) -> None:
    assert httpx.get(f"{gateway.url}/open", trust_env=False).json()["path"] == "/open"
    assert httpx.get(f"{gateway.url}/v1/custom", trust_env=False).status_code == 401


def test_a_caller_who_leaves_is_booked_for_what_came(http: httpx.Client, gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = lambda request: as_sse(*text_stream(*["word " * 40] * 200), pauses=0.02)
    with http.stream("POST", "/openai/v1/chat/completions", json={**ASK, "stream": True}) as answer:
        for _ in answer.iter_bytes():
            break
    for _ in range(200):
        if (entry := last(gateway))["status"] == "cancelled":
            break
        upstream.gone.wait(0.05)
    assert entry["status"] == "cancelled"
    assert entry["cost"] > 0
    assert entry["usage_at_least"]


def test_a_raw_call_stays_where_the_team_must_stay(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = provider
    with client_of(gateway, metadata={"require": {"residency": "house"}}) as http:
        seen = len(upstream.received)
        answer = http.post("/openai/v1/chat/completions", json={"model": "gpt-4o-mini", "messages": []})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "requirement_not_met")
        assert "residency=house (the key)" in answer.json()["error"]["message"]
        assert len(upstream.received) == seen
