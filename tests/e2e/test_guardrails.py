"""Guardrails through the real program: official clients at every endpoint, and a guardrail service on a socket."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from tests.clients.provider import MP3, config, provider
from tests.support.gateway import GatewayProcess
from tests.support.upstream import Received, Reply, Upstream, as_json

SECRET = "jo@example.com"
MASKED = "[EMAIL_REDACTED]"


class Seen:
    """What reached the provider, and what reached the guardrail service, which blocks whoever says `forbidden`."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.questions: list[dict[str, Any]] = []

    def __call__(self, request: Received) -> Reply:
        if request.path != "/beta/litellm_basic_guardrail_api":
            self.calls.append(request.body.decode(errors="replace"))
            return provider(request)
        self.questions.append(request.json)
        bad = any("forbidden" in text for text in request.json["texts"])
        return as_json({"action": "BLOCKED", "blocked_reason": "not here"} if bad else {"action": "NONE"})


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen()


@pytest.fixture(scope="module")
def gateway(seen: Seen, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with Upstream(seen) as upstream:
        masks = {"guardrail": "litellm_content_filter", "mode": "pre_call", "default_on": True}
        masks["patterns"] = [{"pattern_type": "prebuilt", "pattern_name": "email", "action": "MASK"}]
        answers = {"guardrail": "litellm_content_filter", "mode": "post_call", "blocked_words_file": "words.yaml"}
        service = {"guardrail": "generic_guardrail_api", "mode": ["during_call"], "api_base": upstream.url}
        rows = [("mail", masks), ("answers", answers), ("service", service)]
        made = config(upstream.url)
        made["guardrails"] = [{"guardrail_name": name, "litellm_params": params} for name, params in rows]
        folder = tmp_path_factory.mktemp("gateway")
        (folder / "words.yaml").write_text("blocked_words:\n  - {keyword: there, action: MASK}\n")
        process = GatewayProcess(folder, made).start()
        yield process
        process.stop()


MODELS = ["gpt", "claude", "gemini"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_the_openai_client(gateway: GatewayProcess, seen: Seen, name: str, stream: bool) -> None:
    key = gateway.new_key(guardrails=["answers"])
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as client:
        asked: list[Any] = [{"role": "user", "content": f"write to {SECRET}"}]
        if stream:
            chunks = client.chat.completions.create(model=name, messages=asked, stream=True)
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        else:
            text = client.chat.completions.create(model=name, messages=asked).choices[0].message.content or ""
        assert text == "Hello [KEYWORD_REDACTED]!"
        assert MASKED in seen.calls[-1]
        assert SECRET not in seen.calls[-1]
        if stream:
            with client.responses.stream(model=name, input=f"write to {SECRET}") as events:
                response = events.get_final_response()
        else:
            response = client.responses.create(model=name, input=f"write to {SECRET}")
        assert response.output_text == "Hello [KEYWORD_REDACTED]!"
        assert SECRET not in seen.calls[-1]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_the_anthropic_client(gateway: GatewayProcess, seen: Seen, name: str, stream: bool) -> None:
    key = gateway.new_key(guardrails=["answers", "service"])
    with anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=0) as client:
        asked: Any = {"model": name, "max_tokens": 50, "messages": [{"role": "user", "content": f"write to {SECRET}"}]}
        if stream:
            with client.messages.stream(**asked) as events:
                message = events.get_final_message()
        else:
            message = client.messages.create(**asked)
        assert "".join(block.text for block in message.content if block.type == "text") == "Hello [KEYWORD_REDACTED]!"
        assert SECRET not in seen.calls[-1]
        # The service reads what the first guardrail left.
        assert seen.questions[-1]["texts"] == [f"write to {MASKED}"]
        asked["messages"][0]["content"] = "forbidden"
        with pytest.raises(anthropic.BadRequestError) as refused:
            client.messages.create(**asked, stream=stream)
        body: Any = refused.value.body
        assert (body["type"], body["error"]["type"], body["error"]["message"]) == ("error", "invalid_request_error", "not here")


@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent"])
@pytest.mark.parametrize("name", MODELS)
def test_the_gemini_api(gateway: GatewayProcess, seen: Seen, name: str, method: str) -> None:
    key = gateway.new_key(guardrails=["answers"])
    body = {"contents": [{"role": "user", "parts": [{"text": f"write to {SECRET}"}]}]}
    answer = httpx.post(
        f"{gateway.url}/v1beta/models/{name}:{method}", json=body, params={"alt": "sse"}, headers={"x-goog-api-key": key}, timeout=30
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-litellm-applied-guardrails"] == "mail,answers"
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")] or [answer.json()]
    parts = [part for event in events for row in event.get("candidates", ()) for part in row.get("content", {}).get("parts", ())]
    assert "".join(part.get("text", "") for part in parts) == "Hello [KEYWORD_REDACTED]!"
    assert SECRET not in seen.calls[-1]


def test_other_endpoints_are_held_to_them(gateway: GatewayProcess, seen: Seen) -> None:
    key = gateway.new_key(guardrails=["service"])
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as client:
        client.embeddings.create(model="embedder", input=[f"from {SECRET}", "plain"])
        assert json.loads(seen.calls[-1])["input"] == [f"from {MASKED}", "plain"]
        client.images.generate(model="painter", prompt=f"portrait of {SECRET}")
        assert SECRET not in seen.calls[-1]
        client.audio.speech.create(model="speaker", voice="alloy", input=f"mail {SECRET}")
        assert SECRET not in seen.calls[-1]
        client.audio.transcriptions.create(model="whisper", file=("a.mp3", MP3), prompt=f"mail {SECRET}")
        assert (MASKED in seen.calls[-1], SECRET in seen.calls[-1]) == (True, False)
        client.completions.create(model="gpt", prompt=f"mail {SECRET}")
        assert SECRET not in seen.calls[-1]
        for refused in (
            lambda: client.embeddings.create(model="embedder", input="forbidden"),
            lambda: client.moderations.create(model="moderator", input="forbidden"),
            lambda: client.images.generate(model="painter", prompt="forbidden"),
            lambda: client.completions.create(model="gpt", prompt="forbidden"),
        ):
            with pytest.raises(openai.BadRequestError, match="not here"):
                refused()
    rerank = {"model": "reranker", "query": "forbidden", "documents": ["a"]}
    answer = httpx.post(f"{gateway.url}/v2/rerank", json=rerank, headers={"authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["message"]) == (400, "not here")
