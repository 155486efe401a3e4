"""Every entry reaches every sink, whatever fails on the way; and nothing waits for a sink."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest
from tests.support.gateway import model
from tests.support.upstream import completion
from tests.support.wiring import Said, Wired, wire

from tollkeeper.ledger.stream import roll_event
from tollkeeper.providers.transport import OutboundRequest
from tollkeeper.sinks.base import SinkFailed
from tollkeeper.sinks.outbox import Outbox
from tollkeeper.store.attributes import marshal
from tollkeeper.store.table import Item

WEBHOOK = "https://collector.test/in"


class Picky:
    """Takes what it is told to take."""

    def __init__(self, name: str = "picky") -> None:
        self.name = name
        self.well = True
        self.taken: list[str] = []
        self.asked = 0

    async def send(self, entries: Sequence[Item]) -> None:
        self.asked += 1
        if not self.well:
            raise SinkFailed("HTTP 503")
        self.taken += [entry["sk"] for entry in entries]


async def _wired(**settings: Any) -> tuple[Wired, list[OutboundRequest]]:
    """A gateway whose webhook answers what `status` says."""
    heard: list[OutboundRequest] = []

    def answer(request: OutboundRequest) -> Said:
        if request.url.startswith("https://collector.test"):
            heard.append(request)
            return Said(status=200, body={})
        return Said(body=completion())

    env = {"GENERIC_LOGGER_ENDPOINT": WEBHOOK, "GENERIC_LOGGER_HEADERS": "Authorization=Bearer s3cret,x-team=finance"}
    return await wire(answer, model("fast", "openai/gpt-4o", "http://x.test/v1"), env=env, litellm_settings=settings), heard


async def _told(wired: Wired) -> None:
    assert wired.running.pump is not None
    assert wired.running.outbox is not None
    await wired.running.gateway.drain()
    await wired.running.pump.catch_up()
    await wired.running.outbox.flush()


async def test_a_call_is_told_in_litellms_words() -> None:
    wired, heard = await _wired(callbacks=["generic_api"])
    await wired.chat(user="customer-7", metadata={"tags": ["blue"]})
    await _told(wired)
    [request] = heard
    assert (request.url, dict(request.headers or {})["authorization"]) == (WEBHOOK, "Bearer s3cret")
    [payload] = orjson.loads(request.body)
    [entry] = await wired.ledger()
    assert payload["id"] == entry["sk"]
    assert payload["response_cost_nano_usd"] == entry["cost"]
    assert payload["response_cost"] == entry["cost"] / 10**9
    assert (payload["status"], payload["model_group"], payload["custom_llm_provider"]) == ("success", "fast", "openai")
    assert payload["total_tokens"] == entry["input_tokens"] + entry["output_tokens"]
    assert (payload["end_user"], payload["request_tags"]) == ("customer-7", ["blue"])
    assert b"Say hello" not in request.body


async def test_success_and_failure_callbacks_get_their_own() -> None:
    wired, heard = await _wired(failure_callback=["generic_api"])
    await wired.chat()
    wired.transport.answer = lambda request: Said(status=200, body={}) if "collector" in request.url else Said(status=400, body={})
    await wired.chat()
    await _told(wired)
    sent = [payload for request in wired.transport.sent if "collector" in request.url for payload in orjson.loads(request.body)]
    assert [payload["status"] for payload in sent] == ["failure"]
    assert heard == []


async def test_what_a_sink_refused_arrives_when_it_is_well_again() -> None:
    wired, _ = await _wired()
    sinks = [Picky("one"), Picky("two")]
    store, clock = wired.running.installation.store, wired.clock
    outbox = Outbox(sinks, store.counters, store.ledger, clock)
    sinks[1].well = False
    for _ in range(3):
        await wired.chat()
        await outbox.offer((await wired.ledger())[-1:])
    expected = [entry["sk"] for entry in await wired.ledger()]
    assert (sinks[0].taken, sinks[1].taken) == (expected, [])
    assert sinks[1].asked == 1, "a failing sink is left alone for a while"
    sinks[1].well = True
    assert await outbox.flush() == 0
    clock.advance(60)
    assert await outbox.flush() == 3
    assert sorted(sinks[1].taken) == expected
    assert await outbox.flush() == 0


async def test_its_rest_grows_while_it_fails() -> None:
    wired, _ = await _wired()
    sink, clock, store = Picky(), wired.clock, wired.running.installation.store
    outbox = Outbox([sink], store.counters, store.ledger, clock)
    sink.well = False
    await wired.chat()
    await outbox.offer(await wired.ledger())
    asked = []
    for _ in range(600):
        clock.advance(1)
        await outbox.flush()
        asked.append(sink.asked)
    assert asked[-1] <= 8, "10, 20, 40 … seconds"
    sink.well = True
    clock.advance(901)
    await outbox.flush()
    assert len(sink.taken) == 1


@pytest.mark.parametrize("broken", [False, True])
async def test_a_stream_record_is_told_once_it_is_summed(*, broken: bool) -> None:
    wired, _ = await _wired()
    sink, store = Picky(), wired.running.installation.store
    sink.well = not broken
    outbox = Outbox([sink], store.counters, store.ledger, wired.clock)
    await wired.chat()
    [entry] = await wired.ledger()
    image: Mapping[str, Any] = marshal(entry)
    record = {"eventName": "INSERT", "dynamodb": {"SequenceNumber": "1", "Keys": {"pk": image["pk"]}, "NewImage": image}}
    from tollkeeper.ledger.roller import Roller

    roller = Roller(store.ledger, wired.clock)
    for _ in range(2):  # a stream delivers at least once
        assert await roll_event(roller, {"Records": [record]}, outbox.offer) == {"batchItemFailures": []}
    sink.well = True
    wired.clock.advance(1000)
    await outbox.flush()
    assert set(sink.taken) == {entry["sk"]}


async def test_a_secret_that_is_missing_is_a_sink_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    wired, _ = await _wired(callbacks=["otel"])
    await wired.chat()
    await _told(wired)
    assert "sink_failed otel OTEL_EXPORTER_OTLP_ENDPOINT is not set" in caplog.text
    assert (await wired.chat()).status_code == 200
