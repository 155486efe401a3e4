"""What the folders of functions/ start: one maker for each kind of trigger."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp

from tollkeeper.bootstrap.installation import Installation
from tollkeeper.bootstrap.running import Running
from tollkeeper.edge.lazy import LazyApp
from tollkeeper.settings import Settings
from tollkeeper.telemetry import log

if TYPE_CHECKING:
    from tollkeeper.sinks.outbox import Outbox


def lambda_app(build: Callable[[Running], ASGIApp]) -> tuple[ASGIApp, Callable[[], Awaitable[None]]]:
    """The app of a Lambda function, and its `drain`. The configuration is read now; the rest waits for the first request."""
    settings = Settings.from_env()
    log.configure(settings.log_level, json=True)
    installation = Installation(settings)
    started: list[Running] = []

    async def first_use() -> ASGIApp:
        started.append(await installation.start())
        return build(started[0])

    async def drain() -> None:
        for running in started:
            await running.drain()

    return LazyApp(first_use, drain), drain


def janitor_handler() -> Callable[[object, object], dict[str, int]]:
    """A Lambda handler for a schedule: one sweep. Answers `{"expired": <holds ended>, "rotated": <keys renewed>, "drift": <nano-dollars>}`,
    and `probed`, the deployments asked, where health probes are switched on.

    What its role needs for the second, bootstrap/rotation.py says; for the third, the providers' secrets.
    """
    from tollkeeper.bootstrap.rotation import rotate_keys

    settings = Settings.from_env()
    log.configure(settings.log_level, json=True)
    installation = Installation(settings)
    runner = asyncio.Runner()
    started: list[Running] = []

    async def sweep() -> dict[str, int]:
        if not started:
            started.append(await installation.start())
        running = started[0]
        if running.outbox is not None:
            await running.outbox.flush()
        if running.watch is not None:
            await running.watch.look()
        if running.exports is not None:
            await running.exports.look_quietly()
        if running.alerting is not None:
            await running.alerting.courier.deliver()
        done = {"expired": await running.housekeeping.sweep(), "rotated": await rotate_keys(running), "drift": await running.drift.run()}
        if running.prober.schedule is None:
            return done
        await running.live.refresh()
        done["probed"] = await running.prober.probe_all()
        await running.drain()
        return done

    return lambda _event, _context: runner.run(sweep())


def rollup_handler() -> Callable[[Mapping[str, Any], object], dict[str, list[dict[str, str]]]]:
    """A Lambda handler for the ledger table's stream. Answers `{"batchItemFailures": [{"itemIdentifier": <sequence number>}]}`."""
    from tollkeeper.bootstrap.sinks import outbox_of
    from tollkeeper.ledger.roller import Roller
    from tollkeeper.ledger.stream import nobody, roll_event

    settings = Settings.from_env()
    log.configure(settings.log_level, json=True)
    installation = Installation(settings)
    runner = asyncio.Runner()
    made: list[tuple[Roller, Outbox | None]] = []

    async def roll(event: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
        if not made:
            made.append((Roller(installation.store.ledger, installation.clock), outbox_of(installation)))
        roller, outbox = made[0]
        return await roll_event(roller, event, outbox.offer if outbox else nobody)

    return lambda event, _context: runner.run(roll(event))


def batches_handler() -> Callable[[object, Any], dict[str, int]]:
    """A Lambda handler for a schedule (every minute): slices of open batches, and responses that wait in the background, until its time is
    over. Answers `{"slices": <how many>, "responses": <how many>}`.
    """
    settings = Settings.from_env()
    log.configure(settings.log_level, json=True)
    installation = Installation(settings)
    runner = asyncio.Runner()
    started: list[Running] = []

    async def work(seconds_left: float) -> dict[str, int]:
        if not started:
            started.append(await installation.start())
        running = started[0]
        await running.live.refresh()
        workers = {"slices": running.batches, "responses": running.making}
        until = installation.clock.now() + seconds_left
        done = await asyncio.gather(*(parts.worker.work_until(until) for parts in workers.values() if parts is not None))
        await running.gateway.drain()
        return dict(zip((name for name, parts in workers.items() if parts is not None), done, strict=True))

    return lambda _event, context: runner.run(work(context.get_remaining_time_in_millis() / 1000))
