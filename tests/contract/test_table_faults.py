"""DynamoTable when the network or the service fails: what is sent again, what is not, and what the caller is told."""

from typing import Any

import pytest
from tests.support.stores import KEYS, REGION, Answer, Engine, ScriptedSend, StillClock, engine, http_send, refusal

from tollkeeper.errors import StoreUnavailable
from tollkeeper.store.attributes import marshal
from tollkeeper.store.aws import Credentials, NotSent
from tollkeeper.store.dynamodb import DynamoTable
from tollkeeper.store.table import OUTCOME_UNKNOWN, AtMost, ConditionFailed, Exists

OK: Answer = (200, {})
ITEM = {"pk": "p", "sk": "s", "n": 5}
CERTAIN = [
    refusal("ProvisionedThroughputExceededException"),
    refusal("ThrottlingException"),
    refusal("RequestLimitExceeded"),
    refusal("TransactionConflictException"),
    NotSent("no route"),
    ConnectionRefusedError(111, "refused"),
]
PERHAPS = [
    refusal("InternalServerError", 500),
    (503, b"<html>Service Unavailable</html>"),
    TimeoutError("read"),
    ConnectionResetError(104, "reset"),
    (200, b'{"Attributes": {"n'),
]


def table(*script: Answer, clock: StillClock | None = None) -> tuple[DynamoTable, ScriptedSend, StillClock]:
    send, clock = ScriptedSend(list(script)), clock or StillClock()
    return DynamoTable("counters", send, KEYS, REGION, clock=clock), send, clock


def operations(send: ScriptedSend) -> list[str]:
    return [request["headers"]["x-amz-target"].partition(".")[2] for request in send.requests]


@pytest.mark.parametrize("failure", CERTAIN, ids=repr)
async def test_what_was_certainly_not_carried_out_is_sent_again(failure: Answer) -> None:
    store, send, clock = table(failure, failure, (200, {"Attributes": marshal({**ITEM, "n": 6})}))
    assert await store.apply("p", "s", add={"n": 1}) == {**ITEM, "n": 6}
    assert len(send.requests) == 3
    assert len({str(request["body"]) for request in send.requests}) == 1
    assert len(clock.slept) == 2
    assert 0 < clock.slept[0] < clock.slept[1] < 1


@pytest.mark.parametrize("failure", PERHAPS, ids=repr)
async def test_an_addition_that_may_have_happened_is_not_sent_again(failure: Answer) -> None:
    store, send, _ = table(failure, (200, {"Attributes": marshal(ITEM)}))
    with pytest.raises(StoreUnavailable) as failed:
        await store.apply("p", "s", add={"n": 1})
    assert failed.value.code == OUTCOME_UNKNOWN
    assert len(send.requests) == 1


@pytest.mark.parametrize("failure", PERHAPS, ids=repr)
async def test_reads_and_whole_item_writes_are_sent_again(failure: Answer) -> None:
    store, send, _ = table(failure, (200, {"Item": marshal(ITEM)}))
    assert await store.get("p", "s") == ITEM
    assert len(send.requests) == 2
    store, send, _ = table(failure, (200, {"Items": [marshal(ITEM)]}))
    assert (await store.query("p")).items == [ITEM]
    store, send, _ = table(failure, OK)
    await store.put(ITEM)
    assert operations(send) == ["PutItem", "PutItem"]
    store, send, _ = table(failure, (200, {"Attributes": marshal(ITEM)}))
    assert await store.delete("p", "s") == ITEM


@pytest.mark.parametrize("failure", [*CERTAIN, *PERHAPS], ids=repr)
async def test_giving_up_is_bounded_in_tries_and_time(failure: Answer) -> None:
    store, send, clock = table(failure)
    with pytest.raises(StoreUnavailable, match="counters") as failed:
        await store.get("p", "s")
    assert failed.value.status == 503
    assert failed.value.code is None
    assert 2 <= len(send.requests) <= 6
    assert sum(clock.slept) < 3


async def test_a_service_that_takes_long_to_fail_is_not_asked_for_ever() -> None:
    clock = StillClock()

    class Slow(ScriptedSend):
        async def __call__(self, *arguments: Any) -> Any:
            clock.advance(arguments[4])
            return await super().__call__(*arguments)

    send = Slow([TimeoutError()])
    start = clock.now()
    with pytest.raises(StoreUnavailable, match="timeout"):
        await DynamoTable("counters", send, KEYS, REGION, clock=clock).get("p", "s")
    assert len(send.requests) < 5
    assert clock.now() - start < 10


async def test_giving_up_on_a_write_says_whether_it_may_have_happened() -> None:
    store, *_ = table(TimeoutError(), refusal("ThrottlingException"))
    with pytest.raises(StoreUnavailable) as failed:
        await store.put(ITEM)
    assert failed.value.code == OUTCOME_UNKNOWN
    store, *_ = table(refusal("ThrottlingException"))
    with pytest.raises(StoreUnavailable) as failed:
        await store.apply("p", "s", add={"n": 1})
    assert failed.value.code is None


async def test_put_new_after_a_lost_answer_knows_its_own_item() -> None:
    own = {**ITEM, "big": 10**30, "f": 2.0, "list": [1, None], "gone": True}
    store, send, _ = table(TimeoutError(), refusal("ConditionalCheckFailedException", Item=marshal(own)))
    await store.put_new(own)
    assert len(send.requests) == 2


async def test_put_new_after_a_lost_answer_does_not_take_anothers_item_for_its_own() -> None:
    store, *_ = table(TimeoutError(), refusal("ConditionalCheckFailedException", Item=marshal({**ITEM, "n": 6})))
    with pytest.raises(ConditionFailed) as failed:
        await store.put_new(ITEM)
    assert failed.value.old == {**ITEM, "n": 6}


@pytest.mark.parametrize("before", [[], [refusal("ThrottlingException")]], ids=["at once", "after a throttle"])
async def test_put_new_of_an_equal_item_without_a_lost_answer_is_a_conflict(before: list[Answer]) -> None:
    store, *_ = table(*before, refusal("ConditionalCheckFailedException", Item=marshal(ITEM)))
    with pytest.raises(ConditionFailed):
        await store.put_new(ITEM)


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException", "UnrecognizedClientException"])
async def test_what_an_operator_must_mend_is_named_without_account_numbers(code: str) -> None:
    message = "User: arn:aws:sts::123456789012:assumed-role/x is not authorized"
    store, send, _ = table((400, {"__type": f"com.amazon.coral.service#{code}", "message": message}))
    with pytest.raises(StoreUnavailable) as failed:
        await store.apply("p", "s", add={"n": 1})
    assert failed.value.message == f"DynamoDB table counters is not available: {code}"
    assert len(send.requests) == 1


async def test_expired_keys_are_renewed_and_the_request_signed_again() -> None:
    class Rotating:
        def __init__(self) -> None:
            self.asked: list[bool] = []

        async def get(self, *, refresh: bool = False) -> Credentials:
            self.asked.append(refresh)
            return Credentials("NEW" if refresh else "OLD", "secret")

    send, keys = ScriptedSend([refusal("ExpiredTokenException"), (200, {"Item": marshal(ITEM)})]), Rotating()
    assert await DynamoTable("counters", send, keys, REGION, clock=StillClock()).get("p", "s") == ITEM
    assert keys.asked == [False, True]
    assert "Credential=OLD/" in send.requests[0]["headers"]["authorization"]
    assert "Credential=NEW/" in send.requests[1]["headers"]["authorization"]


async def test_an_expired_item_that_keeps_coming_back_is_given_up() -> None:
    clock = StillClock()
    dead = marshal({**ITEM, "ttl": int(clock.now()) - 10})
    store, send, _ = table(refusal("ConditionalCheckFailedException", Item=dead), clock=clock)
    with pytest.raises(StoreUnavailable):
        await store.apply("p", "s", add={"n": 1})
    assert operations(send) == ["UpdateItem", "DeleteItem"] * 3


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with engine("moto", tmp_path_factory.mktemp("moto")) as running:
        yield running


async def test_an_addition_whose_answer_is_lost_is_booked_once(moto: Engine) -> None:
    async with http_send() as real:

        async def losing(*arguments: Any) -> Any:
            await real(*arguments)
            raise TimeoutError("the answer is lost")

        store = DynamoTable("counters", losing, KEYS, REGION, moto.endpoint)
        with pytest.raises(StoreUnavailable) as failed:
            await store.apply("lost", "s", add={"n": 1}, when=[AtMost("n", 0)])
        assert failed.value.code == OUTCOME_UNKNOWN
    async with moto.open() as tables:
        assert await tables.counters.get("lost", "s", consistent=True) == {"pk": "lost", "sk": "s", "n": 1}


async def test_nothing_listens() -> None:
    async with http_send() as send:
        store = DynamoTable("counters", send, KEYS, REGION, "http://127.0.0.1:1", clock=StillClock())
        with pytest.raises(StoreUnavailable, match="no connection"):
            await store.apply("p", "s", add={"n": 1})


async def test_a_listener_is_told_of_every_request_and_its_cost(moto: Engine) -> None:
    seen: list[tuple[str, float]] = []
    async with http_send() as send:
        store = DynamoTable(
            "counters", send, KEYS, REGION, moto.endpoint, on_request=lambda operation, units: seen.append((operation, units))
        )
        await store.apply("told", "s", add={"n": 1})
        await store.get("told", "s")
        with pytest.raises(ConditionFailed):
            await store.apply("told", "s", add={"n": 1}, when=[Exists("other")])
    assert [operation for operation, _ in seen] == ["UpdateItem", "GetItem", "UpdateItem"]
    assert seen[0][1] > 0
    assert seen[1][1] > 0


async def test_capacity_is_not_asked_for_when_nobody_listens() -> None:
    store, send, _ = table(OK)
    await store.get("p", "s")
    assert "ReturnConsumedCapacity" not in send.requests[0]["body"]
