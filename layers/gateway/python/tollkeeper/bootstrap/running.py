"""An installation whose secrets are known: the features, wired, and the proxy's app over them."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import cached_property
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp

from tollkeeper.admission.guards import Guards
from tollkeeper.admission.spending import Spending
from tollkeeper.alerts.budgets import alert_of
from tollkeeper.alerts.outages import outage_of
from tollkeeper.bootstrap.alerts import alerting_of, thresholds_of
from tollkeeper.bootstrap.background import background_of
from tollkeeper.bootstrap.batches import BatchParts, batch_parts, sweep_files
from tollkeeper.bootstrap.front import edge_app_of
from tollkeeper.bootstrap.guardrails import guardrails_of
from tollkeeper.bootstrap.identity import Newcomers, authenticator_of
from tollkeeper.bootstrap.installation import Installation
from tollkeeper.bootstrap.receipts import receipts_of
from tollkeeper.bootstrap.rotation import rotate_for_ever
from tollkeeper.bootstrap.terms import archive_of, budget_options_of, doorkeeper_of, outbox_of, pump_of, retention_of, zone_of
from tollkeeper.budgets.hold import BudgetEvent
from tollkeeper.budgets.reserve import Budgets
from tollkeeper.config.snapshot import Deployment
from tollkeeper.edge.responses_background import Background
from tollkeeper.ledger.book import Ledger
from tollkeeper.ledger.content import ContentLog
from tollkeeper.pipeline import Gateway
from tollkeeper.providers.client import ProviderClient
from tollkeeper.routing.breaker import Cell
from tollkeeper.routing.checks import HealthLog
from tollkeeper.routing.fleet import Fleet
from tollkeeper.routing.live import LiveGroups
from tollkeeper.store.archive import Archive
from tollkeeper.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from tollkeeper.admin.parts import AdminServices
    from tollkeeper.admission.housekeeping import Housekeeping
    from tollkeeper.admission.probing import Prober
    from tollkeeper.bootstrap.drift import DriftRounds
    from tollkeeper.bootstrap.exports import ExportParts
    from tollkeeper.bootstrap.watch import Watch
    from tollkeeper.reports.reader import Reader
    from tollkeeper.reports.receipts import Receipts


class Running:
    """An installation whose secrets are known: makes the apps."""

    def __init__(self, installation: Installation, pepper: bytes) -> None:
        self.installation = installation
        self.pepper = pepper
        settings, snapshot, clock, store = installation.settings, installation.snapshot, installation.clock, installation.store
        self.live = LiveGroups(snapshot, store.directory, clock, settings.key_cache_seconds, installation.forget_secrets)
        self.newcomers = Newcomers()
        self.authenticator = authenticator_of(installation, pepper, self.newcomers)
        self.metrics = Metrics(settings.environment, {row.group for row in snapshot.deployments}, clock, installation.write_metric)
        self.ledger = ledger = Ledger(store.ledger, clock, self.metrics.call, keep_until=retention_of(snapshot))
        self.alerting = alerting_of(installation)
        self.options = replace(budget_options_of(snapshot), booked=ledger.booked, thresholds=thresholds_of(installation))
        self.budgets = Budgets(store.counters, clock, self.options, self._budget_event)
        self.spending = Spending(self.budgets, store.counters, clock, zone_of(snapshot))
        self.doorkeeper = doorkeeper_of(installation, self.budgets, self.spending, self.metrics)
        self.outbox = outbox_of(installation)
        self.pump = pump_of(installation, self.outbox)
        self.content = ContentLog(installation.objects, store.ledger, clock) if installation.objects is not None else None
        self.client = ProviderClient(
            installation.transport,
            installation.credentials,
            clock,
            machine=lambda: installation.aws_credentials,
            region=settings.aws_region,
        )
        self.fleet = Fleet(store.counters, clock, SystemRandom(), self._benched)
        self.guards = Guards(guardrails_of(installation), self.doorkeeper)
        self.gateway = Gateway(
            groups=self.live.groups,
            authenticator=self.authenticator,
            doorkeeper=self.doorkeeper,
            client=self.client,
            guards=self.guards,
            ledger=ledger,
            clock=clock,
            random=SystemRandom(),
            books_before_reply=installation.embedded,
            content=self.content,
            health=self.fleet,
        )

    @cached_property
    def housekeeping(self) -> "Housekeeping":
        from tollkeeper.admission.housekeeping import Housekeeping
        from tollkeeper.budgets.janitor import Janitor

        counters, clock = self.installation.store.counters, self.installation.clock
        return Housekeeping(Janitor(counters, clock, self.options, self._budget_event), self.ledger, clock, self.content)

    @cached_property
    def reader(self) -> "Reader":
        """Of the sums that reports are made of, up to date where they are made in this process."""
        from tollkeeper.reports.reader import Reader

        ledger, clock = self.installation.store.ledger, self.installation.clock
        return Reader(ledger, self.pump.catch_up, clock) if self.pump else Reader(ledger, clock=clock)

    @cached_property
    def management(self) -> "AdminServices":
        """What the management API works with."""
        from tollkeeper.admin.parts import AdminServices
        from tollkeeper.admin.spending import CounterSpend
        from tollkeeper.reports.drift import standing

        counters_table = self.installation.store.counters
        installation, counters = self.installation, CounterSpend(self.spending.spent, self.spending.set_spent)
        return AdminServices(
            installation.store.directory,
            self.authenticator,
            self.pepper,
            installation.clock,
            spend=counters,
            spend_writer=counters,
            ledger=installation.store.ledger,
            settings=installation.snapshot.settings.get("litellm_settings", {}),
            models=installation.snapshot,
            secrets=installation.secret_desk,
            reports=self.reader,
            groups=self.live.groups,
            content=self.content,
            drift=lambda: standing(counters_table),
            exports=self.exports.exports if self.exports else None,
            signed=self.receipts,
        )

    @cached_property
    def drift(self) -> "DriftRounds":
        """What holds the counters against the ledger."""
        from tollkeeper.bootstrap.drift import DriftRounds

        return DriftRounds(self.reader, self.installation, self.metrics)

    @cached_property
    def receipts(self) -> "Receipts":
        return receipts_of(self.installation, self.pepper)

    @cached_property
    def exports(self) -> "ExportParts | None":
        """None: there is nowhere to put exports."""
        from tollkeeper.bootstrap.exports import export_parts

        return export_parts(self.installation, self.alerting)

    @cached_property
    def batches(self) -> BatchParts | None:
        return batch_parts(self)

    @cached_property
    def archive(self) -> Archive | None:
        return archive_of(self.installation)

    @cached_property
    def making(self) -> Background | None:
        """Responses in the background."""
        return background_of(self, self.archive)

    async def shown_master_key(self) -> str:
        """For the operator's terminal: the key if this installation made it up, else where it comes from."""
        snapshot = self.installation.snapshot
        if self.installation.settings.master_key:
            return "(TOLLKEEPER_MASTER_KEY)"
        if snapshot.master_key is None:
            return await self.installation.master_key() or ""
        return "(general_settings.master_key)"

    def proxy_app(self) -> ASGIApp:
        return self.edge_app()

    def edge_app(self, fallback: ASGIApp | None = None, background: Callable[[], Coroutine[Any, Any, None]] | None = None) -> ASGIApp:
        """`fallback` gets what is no LLM route; `background` runs as long as the server does."""
        return edge_app_of(self, fallback, background)

    @cached_property
    def health_log(self) -> HealthLog:
        return HealthLog(self.installation.store.counters, self.installation.clock)

    @cached_property
    def prober(self) -> "Prober":
        from tollkeeper.admission.probing import Prober, Schedule

        schedule = Schedule.of(self.installation.snapshot)
        return Prober(
            self.gateway.serve,
            self.live.groups,
            fleet=self.fleet,
            health_log=self.health_log,
            clock=self.installation.clock,
            schedule=schedule,
        )

    @cached_property
    def watch(self) -> "Watch | None":
        """None: nobody is to be told."""
        if self.alerting is None:
            return None
        from tollkeeper.admission.owners import Owners
        from tollkeeper.auth.shelves import Shelves
        from tollkeeper.bootstrap.watch import Watch

        store, clock = self.installation.store, self.installation.clock
        owners = Owners(Shelves(store.directory, clock, self.installation.settings.key_cache_seconds), self.spending, clock)
        return Watch(self.alerting.board, self.reader, owners, store.counters, clock)

    async def background(self) -> None:
        """What a server does beside its requests, until it is cancelled; on Lambda schedules and streams do it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.housekeeping.sweep_for_ever())
            tasks.create_task(self.drift.run_for_ever())
            tasks.create_task(rotate_for_ever(self))
            tasks.create_task(self.prober.probe_for_ever())
            if self.pump is not None:
                tasks.create_task(self.pump.run_for_ever())
            if self.outbox is not None:
                tasks.create_task(self.outbox.flush_for_ever())
            if self.alerting is not None:
                tasks.create_task(self.alerting.courier.deliver_for_ever())
            if self.watch is not None:
                tasks.create_task(self.watch.look_for_ever())
            if self.exports is not None:
                tasks.create_task(self.exports.look_for_ever())
            if self.making is not None:
                tasks.create_task(self.making.worker.work_for_ever())
            if self.batches is not None:
                tasks.create_task(self.batches.worker.work_for_ever())
                tasks.create_task(sweep_files(self))

    async def drain(self) -> None:
        """Waits until every finished call is in the books, and what it gave rise to is said."""
        await self.gateway.drain()
        if self.alerting is not None:
            await self.alerting.board.drain()

    def _budget_event(self, event: BudgetEvent) -> None:
        self.metrics.event(event)
        if self.alerting is not None and (alert := alert_of(event)) is not None:
            self.alerting.board.tell(alert)

    def _benched(self, deployment: Deployment, cell: Cell) -> None:
        if self.alerting is not None:
            self.alerting.board.tell(
                outage_of(deployment.id, deployment.provider, deployment.model, cell.reason, self.installation.clock.now())
            )

    async def stop(self) -> None:
        """Every finished call is in the books before anything is let go."""
        await self.drain()
        await self.installation.transport.aclose()
        self.installation.store.close()
