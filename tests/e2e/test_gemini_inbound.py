"""Google's Gemini API for our callers, over HTTP against the real program: passed through to Gemini, translated for any other make.

The official client (google-genai) runs in an environment of its own: tests/clients.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.clients.provider import RECORD, SUNNY, TEXT, config, provider
from tests.support.gateway import GatewayProcess, model
from tests.support.recordings import sse_data
from tests.support.upstream import Received, Reply, Upstream, as_json, as_sse, chunk, completion

Json = dict[str, Any]
ASK: Json = {"contents": [{"role": "user", "parts": [{"text": "Say hello"}]}]}
DECLARED = {"name": "get_weather", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING", "nullable": True}}}}
TOOLS: Json = {"tools": [{"functionDeclarations": [DECLARED]}]}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(provider) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    made = config(upstream.url)
    made["model_list"].append(model("safe", "gemini/gemini-2.5-flash", "http://127.0.0.1:9/v1beta"))
    made["router_settings"] = {"fallbacks": [{"safe": ["gpt"]}], "num_retries": 0}
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), made).start()
    yield process
    process.stop()


class Caller:
    def __init__(self, gateway: GatewayProcess, **key: Any) -> None:
        self._url = gateway.url
        self._headers = {"x-goog-api-key": gateway.new_key(**key)}

    def post(self, path: str, body: Any) -> httpx.Response:
        return httpx.post(self._url + path, json=body, headers=self._headers, timeout=20, trust_env=False)

    def get(self, path: str) -> Any:
        return httpx.get(self._url + path, headers=self._headers, timeout=20, trust_env=False).json()

    def generate(self, name: str, **more: Any) -> Json:
        answer = self.post(f"/v1beta/models/{name}:generateContent", {**ASK, **more})
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def stream(self, name: str, **more: Any) -> list[Json]:
        answer = self.post(f"/v1beta/models/{name}:streamGenerateContent?alt=sse", {**ASK, **more})
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [event for _, event in sse_data(answer.content)]


@pytest.fixture
def caller(gateway: GatewayProcess, upstream: Upstream) -> Caller:
    upstream.handler = provider
    return Caller(gateway)


def parts_of(answer: Json) -> list[Json]:
    found: list[Json] = answer["candidates"][0]["content"]["parts"]
    return found


@pytest.mark.parametrize("name", ["gemini", "gpt", "claude", "demo"])
def test_an_answer_of_any_make(caller: Caller, gateway: GatewayProcess, name: str) -> None:
    answer = caller.generate(name, systemInstruction={"parts": [{"text": "Be brief."}]}, generationConfig={"maxOutputTokens": 50})
    assert parts_of(answer)[0]["text"]
    assert answer["candidates"][0]["finishReason"] == "STOP"
    assert answer["modelVersion"] == name
    counts = answer["usageMetadata"]
    assert counts["totalTokenCount"] == counts["promptTokenCount"] + counts["candidatesTokenCount"]
    entry = gateway.ledger()[-1]
    assert (entry["call_type"], entry["model"], entry["status"]) == ("agenerate_content", name, "success")
    assert entry["input_tokens"] == counts["promptTokenCount"]


@pytest.mark.parametrize("name", ["gemini", "gpt", "claude"])
def test_a_stream_of_any_make(caller: Caller, gateway: GatewayProcess, name: str) -> None:
    events = caller.stream(name)
    assert "".join(part.get("text", "") for event in events for part in parts_of(event)) == TEXT
    assert events[-1]["candidates"][0]["finishReason"] == "STOP"
    assert events[-1]["usageMetadata"]["totalTokenCount"] == 21
    assert (gateway.ledger()[-1]["stream"], gateway.ledger()[-1]["output_tokens"]) == (True, 12)


@pytest.mark.parametrize("name", ["gemini", "gpt"])
def test_without_alt_sse_a_stream_is_one_array(caller: Caller, name: str) -> None:
    answer = caller.post(f"/v1beta/models/{name}:streamGenerateContent", ASK)
    assert answer.headers["content-type"].startswith("application/json")
    assert "".join(part.get("text", "") for event in answer.json() for part in parts_of(event)) == TEXT


@pytest.mark.parametrize("path", ["/v1beta", "/v1", ""])
def test_every_prefix_serves(caller: Caller, path: str) -> None:
    assert caller.post(f"{path}/models/gpt:generateContent", ASK).status_code == 200


@pytest.mark.parametrize("name", ["gemini", "gpt", "claude"])
def test_a_tool_is_called_and_answered(caller: Caller, name: str) -> None:
    turn = caller.generate(name, **TOOLS)["candidates"][0]["content"]
    (call,) = [part["functionCall"] for part in turn["parts"] if "functionCall" in part]
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Paris"})
    result = {"functionResponse": {"name": "get_weather", "response": {"result": "sunny-in-paris"}}}
    answer = caller.generate(name, contents=[*ASK["contents"], turn, {"role": "user", "parts": [result]}], **TOOLS)
    assert parts_of(answer)[0]["text"] == SUNNY


def test_what_only_google_knows_arrives_as_sent(caller: Caller, upstream: Upstream) -> None:
    sent = {
        "contents": [{"role": "user", "parts": [{"text": "x", "madeUp": 1.50}]}],
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "tools": [{"googleSearch": {}}, {"codeExecution": {}}],
        "generationConfig": {"thinkingConfig": {"thinkingBudget": 1024}, "topK": 3, "maxOutputTokens": 70, "newField": {"a": [1]}},
        "cachedContent": "cachedContents/abc",
    }
    caller.post("/v1beta/models/gemini:generateContent", {**sent, "tags": ["a"]})
    assert upstream.received[-1].json == sent
    assert upstream.received[-1].headers["x-goog-api-key"] == "sk-upstream"


def test_snake_case_is_the_same(caller: Caller, upstream: Upstream) -> None:
    caller.generate("gpt", generation_config={"max_output_tokens": 7, "top_p": 0.5}, system_instruction="Be brief.")
    sent = upstream.received[-1].json
    assert (sent.get("max_tokens") or sent.get("max_completion_tokens"), sent["top_p"]) == (7, 0.5)
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}


def test_the_whole_request_in_the_hubs_words(caller: Caller, upstream: Upstream) -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "aGk_-w"}}
    forced = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}}
    config_ = {
        "stopSequences": ["END"],
        "candidateCount": 1,
        "responseMimeType": "application/json",
        "responseSchema": DECLARED["parameters"],
    }
    contents = [{"role": "user", "parts": [{"text": "degrees?"}, image]}]
    answer = caller.generate(
        "gpt", contents=contents, generationConfig=config_, toolConfig=forced, tools=[{"functionDeclarations": [DECLARED]}]
    )
    sent = upstream.received[-1].json
    assert sent["messages"][0]["content"][1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk/+w"}}
    schema = {"type": "object", "properties": {"city": {"type": ["string", "null"]}}}
    assert sent["tools"] == [{"type": "function", "function": {"name": "get_weather", "parameters": schema}}]
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}
    assert sent["response_format"] == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    assert sent["stop"] == ["END"]
    assert answer["candidates"]


def test_thoughts_are_shown_to_who_asks_and_come_back_to_who_thought_them(caller: Caller, upstream: Upstream) -> None:
    thought = {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"}
    call = {"type": "tool_use", "id": "toolu_9", "name": "get_weather", "input": {}}
    usage = {"input_tokens": 9, "output_tokens": 12}

    def thinking(request: Received) -> Reply:
        body = {"id": "msg_1", "type": "message", "role": "assistant", "model": "c", "stop_reason": "tool_use", "stop_sequence": None}
        return as_json({**body, "content": [thought, call], "usage": usage})

    upstream.handler = thinking
    hidden = parts_of(caller.generate("claude", **TOOLS))
    assert [list(part) for part in hidden] == [["functionCall", "thoughtSignature"]]
    shown = parts_of(caller.generate("claude", **TOOLS, generationConfig={"thinkingConfig": {"includeThoughts": True}}))
    assert shown[0] == {"text": "Let me see.", "thought": True}
    result = {"functionResponse": {"name": "get_weather", "response": {"result": "sunny"}}}
    contents = [*ASK["contents"], {"role": "model", "parts": shown}, {"role": "user", "parts": [result]}]
    caller.generate("claude", contents=contents, **TOOLS)
    sent = upstream.received[-1].json["messages"]
    assert sent[1]["content"][0] == thought
    assert sent[2]["content"][0]["tool_use_id"] == "toolu_9"


def test_several_candidates(caller: Caller, upstream: Upstream) -> None:
    choices = [
        {"index": place, "message": {"role": "assistant", "content": text}, "finish_reason": "length"} for place, text in enumerate("ab")
    ]
    upstream.handler = lambda _: as_json(completion(choices=choices))
    answer = caller.generate("gpt", generationConfig={"candidateCount": 2})
    assert upstream.received[-1].json["n"] == 2
    assert [(each["index"], each["finishReason"], each["content"]["parts"][0]["text"]) for each in answer["candidates"]] == [
        (0, "MAX_TOKENS", "a"), (1, "MAX_TOKENS", "b"),
    ]  # fmt: skip


def test_a_stream_that_breaks_ends_with_googles_error(caller: Caller, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_sse(chunk({"role": "assistant", "content": "Half"}), done=False, cut=True)
    *said, last = caller.stream("gpt")
    assert parts_of(said[0])[0]["text"] == "Half"
    assert last["error"]["code"] >= 500
    assert not any(event.get("candidates", [{}])[0].get("finishReason") for event in said), "no false end"


def test_googles_errors_stay_googles(caller: Caller, upstream: Upstream) -> None:
    error = {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED", "details": []}
    upstream.handler = lambda _: as_json({"error": error}, 429)
    answer = caller.post("/v1beta/models/gemini:generateContent", ASK)
    assert (answer.status_code, answer.json()["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")


def test_a_fallback_to_another_make(caller: Caller) -> None:
    assert parts_of(caller.generate("safe"))[0]["text"] == TEXT
    assert "".join(part.get("text", "") for event in caller.stream("safe") for part in parts_of(event)) == TEXT


@pytest.mark.parametrize("name", ["gemini", "gpt"])
def test_a_hard_budgets_limit_goes_upstream_in_the_makes_own_words(gateway: GatewayProcess, upstream: Upstream, name: str) -> None:
    upstream.handler = provider
    answer = Caller(gateway, max_budget=0.005).post(
        f"/v1beta/models/{name}:generateContent", {**ASK, "generationConfig": {"maxOutputTokens": 10**6}}
    )
    assert answer.status_code == 200, answer.text
    paid = int(answer.headers["x-tollkeeper-max-tokens"])
    sent = upstream.received[-1].json
    found = sent["generationConfig"]["maxOutputTokens"] if name == "gemini" else sent.get("max_tokens") or sent["max_completion_tokens"]
    assert found == paid < 10**6


def test_tokens_are_counted_for_nothing(caller: Caller, gateway: GatewayProcess) -> None:
    before = len(gateway.ledger())
    whole = {"generateContentRequest": {**ASK, "systemInstruction": {"parts": [{"text": "Be brief."}]}}}
    assert caller.post("/v1beta/models/gemini:countTokens", ASK).json() == {"totalTokens": 42}
    assert caller.post("/v1beta/models/gpt:countTokens", whole).json()["totalTokens"] > 5
    assert len(gateway.ledger()) == before


def test_embeddings(caller: Caller) -> None:
    content = {"content": {"parts": [{"text": "a"}]}}
    assert caller.post("/v1beta/models/embedder:embedContent", content).json() == {"embedding": {"values": [0.25, -0.5, 1.0]}}
    assert len(caller.post("/v1beta/models/embedder:batchEmbedContents", {"requests": [content, content]}).json()["embeddings"]) == 2


def test_models_in_googles_shape(caller: Caller) -> None:
    page = caller.get("/v1beta/models?pageSize=2")
    rest = caller.get(f"/v1beta/models?pageToken={page['nextPageToken']}")
    names = [each["name"] for each in (*page["models"], *rest["models"])]
    assert len(page["models"]) == 2
    assert {"models/gpt", "models/gemini", "models/embedder"} <= set(names)
    assert caller.get("/v1beta/models/embedder")["supportedGenerationMethods"] == ["embedContent", "batchEmbedContents"]
    assert "generateContent" in caller.get("/v1beta/models/claude")["supportedGenerationMethods"]
    assert caller.get("/v1beta/models/nobody")["error"]["status"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "contents"),
        ({"contents": 5}, "contents"),
        ({"contents": [{"role": "alien", "parts": [{"text": "x"}]}]}, "contents"),
        ({"contents": [{"parts": 3}]}, "contents"),
        ({**ASK, "generationConfig": 3}, "generationConfig"),
        ({**ASK, "cachedContent": "cachedContents/abc"}, "cachedContent"),
        ({**ASK, "tools": [{"codeExecution": {}}]}, "tools"),
        ({"contents": [{"parts": [{"fileData": {"fileUri": "gs://b/o", "mimeType": "image/png"}}]}]}, "contents"),
    ],
)
def test_bad_input_is_told_in_googles_shape(caller: Caller, body: Json, field: str) -> None:
    answer = caller.post("/v1beta/models/gpt:generateContent", body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert error["details"][0]["metadata"]["field"] == field


def test_a_model_of_another_kind_names_where_it_can_be_called(caller: Caller) -> None:
    error = caller.post("/v1beta/models/embedder:generateContent", ASK).json()["error"]
    assert "/v1/embeddings" in error["message"]
    assert caller.post("/v1beta/models/gpt:embedContent", {"content": {"parts": [{"text": "a"}]}}).status_code == 400


def test_without_a_key(gateway: GatewayProcess) -> None:
    answer = httpx.post(f"{gateway.url}/v1beta/models/gpt:generateContent", json=ASK, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    key = gateway.new_key()
    assert httpx.post(f"{gateway.url}/v1beta/models/gpt:generateContent?key={key}", json=ASK, trust_env=False).status_code == 200


def test_json_mode(caller: Caller) -> None:
    answer = caller.generate(
        "gpt", contents=[{"parts": [{"text": "degrees as JSON"}]}], generationConfig={"responseMimeType": "application/json"}
    )
    assert json.loads(parts_of(answer)[0]["text"]) == json.loads(RECORD)
