"""The breaker in the whole gateway: HTTP in, a provider that is a function, one store. (tests/contract/test_breaker_faults.py has the ways
of failing.)"""

import inspect
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from tests.support.gateway import model
from tests.support.wiring import Said, wire

from tollkeeper.pipeline import Gateway
from tollkeeper.providers.transport import OutboundRequest

pytestmark = pytest.mark.skipif("health" not in inspect.signature(Gateway).parameters, reason="the pipeline has no health yet")

ANSWER = {
    "id": "x", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}  # fmt: skip
REQUESTS = 2_000


def three(**sections: Any) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    return tuple(model("fast", "openai/m", f"https://{name}.test/v1", model_info={"id": name}) for name in "abc"), sections


def dying(seed: int, share: float) -> Iterator[bool]:
    luck = Random(seed)
    while True:
        yield luck.random() < share


async def test_one_of_three_dies_and_recovers_and_no_caller_notices() -> None:
    sick, wasted, sent = dying(5, 0.9), 0, {"a": 0, "b": 0, "c": 0}
    time_of_day = 0

    def answer(request: OutboundRequest) -> Said:
        nonlocal wasted
        name = request.url.removeprefix("https://")[0]
        sent[name] += 1
        if name == "a" and 100 <= time_of_day < 350 and next(sick):
            wasted += 1
            return Said(500, {"error": {"message": "boom"}})
        return Said(body=ANSWER)

    rows, sections = three()
    wired = await wire(answer, *rows, **sections)
    statuses = []
    for number in range(REQUESTS):
        wired.clock.advance(0.25)
        time_of_day = number // 4
        statuses.append((await wired.chat()).status_code)
    await wired.running.stop()
    print(f"{statuses.count(200) / REQUESTS:.2%} of {REQUESTS} answered, {wasted} calls wasted, sent {sent}")
    assert statuses.count(200) == REQUESTS
    assert wasted <= 60, "of some 330"
    assert sent["a"] > 200


async def test_a_group_that_was_told_to_wait_says_so_in_litellms_words() -> None:
    rows, sections = three(router_settings={"num_retries": 2})
    wired = await wire(lambda request: Said(429, {"error": {"message": "slow"}}, headers={"retry-after": "30"}), *rows, **sections)
    assert (await wired.chat()).status_code == 429
    wired.clock.advance(10)
    refused = await wired.chat()
    await wired.running.stop()
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "20"
    assert refused.json()["error"]["message"].startswith("No deployments available for selected model, Try again in 20 seconds.")
    assert len(wired.transport.sent) == 3
