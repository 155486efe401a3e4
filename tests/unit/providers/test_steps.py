"""Answers that take more than one request: what the client sends, when, with which credential, and what the ledger then knows."""

from typing import Any

import orjson
from tests.support.gateway import MASTER_KEY
from tests.support.stores import StillClock
from tests.support.wiring import Said, Wired, wire

from tollkeeper.providers.transport import OutboundRequest

PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.000002}
ROW = {"model_name": "fast", "litellm_params": {"model": "replicate/acme/chat", "api_key": "r8-key"}, "model_info": PRICES}
HOST = "https://api.replicate.com/v1"
URLS = {"get": f"{HOST}/predictions/p1", "stream": "https://stream.replicate.com/v1/files/x"}


class Patient(StillClock):
    """Sleeping is remembered, not done."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Replicate:
    """Finishes at the third question."""

    def __init__(self, end: dict[str, Any] | None = None) -> None:
        self.asked = 0
        self.end = end or {"status": "succeeded", "output": ["Hel", "lo"], "metrics": {"input_token_count": 5, "output_token_count": 2}}

    def __call__(self, request: OutboundRequest) -> Said:
        if request.url == URLS["stream"]:
            return Said(pieces=[b"event: output\ndata: Hello\n\n", b"event: done\ndata: {}\n\n"])
        self.asked += 1
        said: dict[str, Any] = {"status": "starting"} if self.asked < 3 else self.end
        return Said(201 if request.method == "POST" else 200, {"id": "p1", "urls": URLS, **said})


async def test_a_prediction_is_waited_for_and_billed() -> None:
    clock = Patient()
    wired = await wire(Replicate(), ROW, clock=clock)
    answer = await wired.chat()
    assert answer.json()["choices"][0]["message"]["content"] == "Hello"
    assert [(sent.method, sent.url) for sent in wired.transport.sent] == [
        ("POST", f"{HOST}/models/acme/chat/predictions"),
        ("GET", URLS["get"]),
        ("GET", URLS["get"]),
    ]
    assert all((sent.headers or {})["authorization"] == "Bearer r8-key" for sent in wired.transport.sent)
    assert clock.slept == [0.5, 1.0]
    (entry,) = await wired.ledger()
    assert entry["cost"] == 5 * 1_000 + 2 * 2_000


async def test_a_stream_on_another_host_gets_no_credential() -> None:
    wired = await wire(Replicate(), ROW, clock=Patient())
    answer = await wired.chat(stream=True)
    assert '"content":"Hello"' in answer.text
    assert answer.text.rstrip().endswith("[DONE]")
    made, streamed = wired.transport.sent
    assert orjson.loads(made.body)["stream"] is True
    assert streamed.url == URLS["stream"]
    assert "authorization" not in {name.lower() for name in streamed.headers or {}}


async def test_a_prediction_that_failed_is_the_providers_fault() -> None:
    wired = await wire(
        Replicate({"status": "failed", "error": "CUDA out of memory"}), ROW, clock=Patient(), router_settings={"num_retries": 0}
    )
    answer = await wired.chat()
    assert answer.status_code == 500
    assert "CUDA out of memory" in answer.json()["error"]["message"]


def titan(request: OutboundRequest) -> Said:
    text = orjson.loads(request.body)["inputText"]
    if text == "bad":
        return Said(400, {"message": "Malformed input request"}, headers={"x-amzn-errortype": "ValidationException"})
    return Said(body={"embedding": [float(text)], "inputTextTokenCount": 3})


async def embed(wired: Wired, *texts: str) -> Any:
    body = {"model": "embed", "input": list(texts)}
    return await wired.client.post("/v1/embeddings", json=body, headers={"authorization": f"Bearer {MASTER_KEY}"})


TITAN = {
    "model_name": "embed",
    "litellm_params": {"model": "bedrock/amazon.titan-embed-text-v2:0", "aws_region_name": "eu-west-1", "api_key": "k"},
    "model_info": PRICES,
}


async def test_texts_that_go_one_by_one_are_one_call_and_one_bill() -> None:
    wired = await wire(titan, TITAN)
    answer = (await embed(wired, "1", "2", "3")).json()
    assert [row["embedding"] for row in answer["data"]] == [[1.0], [2.0], [3.0]]
    assert answer["usage"] == {"prompt_tokens": 9, "total_tokens": 9}
    assert len(wired.transport.sent) == 3
    assert len(await wired.ledger()) == 1


async def test_one_that_is_refused_refuses_them_all() -> None:
    wired = await wire(titan, TITAN, router_settings={"num_retries": 0})
    answer = await embed(wired, "1", "bad")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "Malformed input request"
