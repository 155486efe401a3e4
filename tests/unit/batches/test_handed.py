"""A batch its provider runs, by a worker that may die at any step: made once, booked once, and every line told something."""

from contextlib import suppress
from typing import Any

import pytest
from tests.support.batch_native import NativeProvider, NativeScript
from tests.support.batch_world import OWNER, Killed, Life, World

from tollkeeper.batches.records import Batch
from tollkeeper.errors import UpstreamFailed, UpstreamProtocolError, UpstreamRateLimited, UpstreamRejected, UpstreamTimeout

ENDED = {"completed", "expired", "cancelled", "failed"}


def world_of(**provider: Any) -> tuple[World, NativeProvider]:
    world, made = World(), NativeProvider(**provider)
    world.script = NativeScript(provider=made)
    return world, made


async def worked(world: World, batch: Batch, *, times: int = 12, seconds: int = 60) -> Batch:
    for _ in range(times):
        world.clock.advance(seconds)
        await world.worker(look_seconds=1.0).work()
        batch = await world.register.get(batch.id, OWNER)
        if batch.status in ENDED:
            break
    return batch


async def killed_at(step: int, *, last_is_done: bool, repeatable: bool, listed: bool) -> bool:
    """Whether the process died before the batch was through."""
    world, provider = world_of(repeatable=repeatable, listed=listed)
    batch = await world.batch(3)
    life = Life(step, last_is_done)
    with suppress(Killed):
        await world.worker(life, look_seconds=1.0).work()
    died = life.left <= 0
    batch = await worked(world, batch)
    good, bad = await world.results(batch)
    assert provider.created.total() <= 1
    assert set(provider.booked.values()) <= {1}
    if batch.status == "failed":
        assert not repeatable
        assert batch.faults[0]["code"] == "unconfirmed"
        assert not (listed and provider.created), "it was there to be found"
        return died
    assert batch.status == "completed"
    assert (sorted(row["custom_id"] for row in good), bad) == (["r0", "r1", "r2"], [])
    assert len(provider.booked) == 3
    assert {row["response"]["request_id"] for row in good} == set(provider.booked)
    return died


@pytest.mark.parametrize("last_is_done", [False, True])
@pytest.mark.parametrize(("repeatable", "listed"), [(False, True), (False, False), (True, True), (True, False)])
async def test_a_process_that_dies_at_any_step(last_is_done: bool, repeatable: bool, listed: bool) -> None:
    step = 1
    while await killed_at(step, last_is_done=last_is_done, repeatable=repeatable, listed=listed):
        step += 1
    assert step > 20


async def test_an_answer_that_comes_twice_or_to_nobody_counts_once() -> None:
    world, provider = world_of()
    provider.results = lambda line: [
        {"n": str(line.number), "said": line.custom_id},
        {"n": str(line.number), "said": "again", "file": "errors"},
        {"n": "99", "said": "whose?"},
    ]
    batch = await worked(world, await world.batch(2))
    good, bad = await world.results(batch)
    assert ([row["response"]["body"]["said"] for row in good], bad) == (["r0", "r1"], [])
    assert (batch.counts, len(provider.booked)) == ((2, 0), 2)


async def test_lines_that_are_missing_are_told_so() -> None:
    world, provider = world_of(faults={"r1": "unsupported_parameter"})
    provider.results = lambda line: [] if line.custom_id == "r2" else [{"n": str(line.number), "said": line.custom_id}]
    batch = await worked(world, await world.batch(4))
    good, bad = await world.results(batch)
    assert (batch.status, batch.counts) == ("completed", (2, 2))
    assert [row["custom_id"] for row in good] == ["r0", "r3"]
    assert [(row["custom_id"], row["error"]["code"], row["response"]) for row in bad] == [
        ("r1", "unsupported_parameter", None),
        ("r2", "no_answer", None),
    ]


async def test_an_answer_that_is_nonsense_is_asked_for_again() -> None:
    world, provider = world_of()
    left = {"look": 2, "rows": 2}

    def nonsense(step: str) -> None:
        if left.get(step, 0) > 0:
            left[step] -= 1
            raise UpstreamProtocolError("That was a web page.")

    provider.before = nonsense
    batch = await worked(world, await world.batch(2))
    assert (batch.status, batch.counts, provider.created.total()) == ("completed", (2, 0), 1)


async def test_results_that_never_come_are_told_line_by_line() -> None:
    world, provider = world_of()

    def no_results(step: str) -> None:
        if step == "rows":
            raise UpstreamRejected("There is no such object.", status=404, upstream_status=404)

    provider.before = no_results
    batch = await worked(world, await world.batch(2), times=40)
    _, bad = await world.results(batch)
    assert (batch.status, batch.counts) == ("completed", (0, 2))
    assert {row["error"]["code"] for row in bad} == {"unconfirmed"}
    assert "There is no such object." in bad[0]["error"]["message"]


async def test_a_provider_that_never_answers_does_not_keep_a_batch_open_for_ever() -> None:
    world, provider = world_of()

    def dead(step: str) -> None:
        if step == "look":
            raise UpstreamTimeout("no answer")

    provider.before = dead
    batch = await worked(world, await world.batch(2), times=60, seconds=3600)
    _, bad = await world.results(batch)
    assert (batch.status, len(bad)) == ("expired", 2)


async def test_what_is_not_done_in_time_is_cancelled_and_told() -> None:
    world, provider = world_of(ended=False)
    provider.results = lambda line: [{"n": "1", "said": "r0"}] if line.number == 1 else []
    batch = await worked(world, await world.batch(3), times=30, seconds=3600)
    good, bad = await world.results(batch)
    assert (batch.status, provider.cancelled.total()) == ("expired", 1)
    assert ([row["custom_id"] for row in good], [row["error"]["code"] for row in bad]) == (["r0"], ["batch_expired"] * 2)


async def test_a_busy_provider_is_asked_later() -> None:
    world, provider = world_of()
    left = [3]

    def busy(step: str) -> None:
        if step == "create" and left[0]:
            left[0] -= 1
            raise UpstreamRateLimited("four jobs at once", upstream_status=429)

    provider.before = busy
    batch = await worked(world, await world.batch(2))
    assert (batch.status, provider.created.total(), len(provider.staged)) == ("completed", 1, 1)


@pytest.mark.parametrize("step", ["stage", "create"])
async def test_a_refusal_fails_the_batch_in_the_providers_words(step: str) -> None:
    world, provider = world_of()

    def refuse(at: str) -> None:
        if at == step:
            raise UpstreamRejected("This model takes no batches.", code="ValidationException")

    provider.before = refuse
    batch = await worked(world, await world.batch(1))
    assert batch.status == "failed"
    assert batch.faults[0]["code"] == "ValidationException"
    assert "This model takes no batches." in batch.faults[0]["message"]


async def test_a_failure_in_between_is_not_taken_for_a_refusal() -> None:
    world, provider = world_of()
    made = provider.create

    async def made_and_lost(*args: Any) -> str:
        await made(*args)
        raise UpstreamFailed("Internal error", upstream_status=500)

    provider.create = made_and_lost  # type: ignore[method-assign]  # a provider that fails after it has begun
    batch = await worked(world, await world.batch(1))
    assert (batch.status, provider.created.total()) == ("completed", 1)


async def test_cancelled_before_anything_was_made() -> None:
    world, provider = world_of()

    def busy(step: str) -> None:
        if step == "create":
            raise UpstreamRateLimited("four jobs at once")

    provider.before = busy
    batch = await worked(world, await world.batch(1), times=2)
    await world.register.cancel(batch.id, OWNER)
    batch = await worked(world, batch)
    assert (batch.status, provider.created.total(), provider.cancelled.total()) == ("cancelled", 0, 0)


async def test_cancelled_with_what_was_done() -> None:
    world, provider = world_of(ended=False)
    provider.results = lambda line: [{"n": "1", "said": "r0"}] if line.number == 1 else []
    batch = await worked(world, await world.batch(2), times=2)
    await world.register.cancel(batch.id, OWNER)
    batch = await worked(world, batch)
    good, bad = await world.results(batch)
    assert (batch.status, [row["custom_id"] for row in good], bad) == ("cancelled", ["r0"], [])


async def test_a_function_does_not_wait_for_a_provider() -> None:
    world, provider = world_of(ended=False)
    batch = await world.batch(1)
    began = world.clock.now()
    await world.worker(look_seconds=300.0).work_until(began + 900)
    assert world.clock.now() - began < 60
    provider.ended = True
    batch = await worked(world, batch, seconds=301)
    assert (batch.status, provider.created.total()) == ("completed", 1)
