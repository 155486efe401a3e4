"""Where a call goes for each endpoint, and what it is charged, with a provider that is a function."""

import json
from typing import Any

import httpx
import orjson
import pytest
from tests.support.gateway import MASTER_KEY, model
from tests.support.upstream import completion, text_stream
from tests.support.wiring import Said, Wired, wire

from tollkeeper.errors import UpstreamUnreachable
from tollkeeper.providers.transport import OutboundRequest

PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001}
ASK = [{"role": "user", "content": "Say hello"}]
USAGE = {"input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "c", "content": [], "stop_reason": "end_turn", "usage": USAGE}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "g",
    "output": [],
    "usage": {"input_tokens": 3, "output_tokens": 4},
}


def event(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps({"type": kind, **fields}) + b"\n\n"


START = event("message_start", message={**MESSAGE, "usage": {**USAGE, "output_tokens": 1}})
TEXT = event("content_block_start", index=0, content_block={"type": "text", "text": ""}) + event(
    "content_block_delta", index=0, delta={"type": "text_delta", "text": "word " * 100}
)


async def post(wired: Wired, path: str, key: str = MASTER_KEY, **body: Any) -> httpx.Response:
    return await wired.client.post(path, json=body, headers={"authorization": f"Bearer {key}"})


def sent(wired: Wired) -> tuple[str, dict[str, Any]]:
    return wired.transport.sent[-1].url, json.loads(wired.transport.sent[-1].body)


@pytest.mark.parametrize(
    ("params", "url"),
    [
        ({"upstream": "openai/gpt-5", "api_base": "https://api.openai.com/v1"}, "https://api.openai.com/v1/responses"),
        ({"upstream": "openai/gpt-5", "api_base": "https://my.test/v1"}, "https://my.test/v1/chat/completions"),
        ({"upstream": "openai/responses/gpt-5", "api_base": "https://my.test/v1"}, "https://my.test/v1/responses"),
    ],
)
async def test_responses_are_native_where_the_provider_is_known_to_have_them(params: dict[str, str], url: str) -> None:
    def answer(request: OutboundRequest) -> Said:
        return Said(body=RESPONSE if request.url.endswith("/responses") else completion())

    wired = await wire(answer, model("fast", **params))
    assert (await post(wired, "/v1/responses", model="fast", input="x")).status_code == 200
    assert sent(wired)[0] == url


async def test_a_clamp_leaves_room_for_an_answer_beside_the_thoughts() -> None:
    wired = await wire(lambda _: Said(body=MESSAGE), model("claude", "anthropic/claude-sonnet-4-5", "https://a.test", model_info=PRICES))
    thinking = {"type": "enabled", "budget_tokens": 30_000}
    for budget, least in ((0.2, 1024), (0.02, None)):
        key = await wired.new_key(max_budget=budget)
        answer = await post(wired, "/v1/messages", key, model="claude", max_tokens=32_000, messages=ASK, thinking=thinking)
        assert answer.status_code == 200, answer.text
        body = sent(wired)[1]
        assert body["max_tokens"] < 30_000
        assert ("thinking" in body) == (least is not None)
        if least is not None:
            assert least <= body["thinking"]["budget_tokens"] < body["max_tokens"]


async def test_what_the_caller_wrote_is_not_mended() -> None:
    wired = await wire(lambda _: Said(body=MESSAGE), model("claude", "anthropic/claude-sonnet-4-5", "https://a.test", model_info=PRICES))
    thinking = {"type": "enabled", "budget_tokens": 2_000}
    key = await wired.new_key(max_budget=10)
    await post(wired, "/v1/messages", key, model="claude", max_tokens=1_000, messages=ASK, thinking=thinking)
    assert (sent(wired)[1]["thinking"], sent(wired)[1]["max_tokens"]) == (thinking, 1_000)


async def test_a_cut_message_is_charged_for_what_came_and_its_hold_ends() -> None:
    broken = UpstreamUnreachable("gone")
    rows = model("claude", "anthropic/claude-sonnet-4-5", "https://a.test", model_info=PRICES)
    wired = await wire(lambda _: Said(pieces=[START, TEXT, broken]), rows)
    key = await wired.new_key(max_budget=1, key_alias="k")
    answer = await post(wired, "/v1/messages", key, model="claude", max_tokens=1000, messages=ASK, stream=True)
    assert b"event: error" in answer.content
    (entry,) = await wired.ledger()
    assert (entry["status"], entry["usage_at_least"]) == ("cut", True)
    assert 100 <= entry["output_tokens"] <= 500
    assert entry["input_tokens"] == 10
    info = (await wired.admin("GET", f"/key/info?key={key}")).json()["info"]
    assert info["spend"] == pytest.approx(entry["cost"] / 1e9)


async def test_a_message_that_fails_before_content_goes_to_the_next_make() -> None:
    said = [b"data: " + orjson.dumps(item) + b"\n\n" for item in text_stream("Hello", " there")]

    def answer(request: OutboundRequest) -> Said:
        if "a.test" in request.url:
            return Said(pieces=[START, event("error", error={"type": "overloaded_error", "message": "Overloaded"})])
        return Said(pieces=[*said, b"data: [DONE]\n\n"])

    rows = [model("claude", "anthropic/claude-sonnet-4-5", "https://a.test"), model("spare", "openai/gpt-4o-mini", "https://b.test/v1")]
    wired = await wire(answer, *rows, router_settings={"fallbacks": [{"claude": ["spare"]}], "num_retries": 0})
    answered = await post(wired, "/v1/messages", model="claude", max_tokens=10, messages=ASK, stream=True)
    events = [json.loads(line[6:]) for line in answered.text.split("\n") if line.startswith("data: ")]
    assert "".join(item["delta"]["text"] for item in events if item["type"] == "content_block_delta") == "Hello there"
    assert (events[0]["message"]["model"], events[-1]["type"]) == ("claude", "message_stop")
    assert sent(wired)[1]["messages"] == ASK
    (entry,) = await wired.ledger()
    assert (entry["fallbacks"], entry["provider"], entry["output_tokens"]) == (1, "openai", 12)


async def test_only_deployments_that_serve_an_endpoint_are_tried() -> None:
    rows = [
        model("mixed", "openai/gpt-4o-mini", "https://chat.test/v1"),
        model("mixed", "openai/text-embedding-3-small", "https://embed.test/v1"),
    ]

    def answer(request: OutboundRequest) -> Said:
        row = {"object": "embedding", "index": 0, "embedding": [1.0]}
        return Said(
            body={"object": "list", "data": [row], "usage": {"prompt_tokens": 1, "total_tokens": 1}}
            if "embed" in request.url
            else completion()
        )

    wired = await wire(answer, *rows)
    for _ in range(8):
        assert (await post(wired, "/v1/embeddings", model="mixed", input="x")).status_code == 200
        assert sent(wired)[0].startswith("https://embed.test")
        assert (await post(wired, "/v1/chat/completions", model="mixed", messages=ASK)).status_code == 200
        assert sent(wired)[0].startswith("https://chat.test")
