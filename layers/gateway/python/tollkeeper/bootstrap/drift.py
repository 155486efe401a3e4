"""Counters held against the ledger, a few at a time, and the metric that says so. Called by the janitor and by a server."""

import asyncio
import logging

from tollkeeper.bootstrap.installation import Installation
from tollkeeper.errors import StoreUnavailable
from tollkeeper.reports.drift import DriftWatch
from tollkeeper.reports.reader import Reader
from tollkeeper.telemetry.metrics import Metrics

ROUND_SECONDS = 60.0
log = logging.getLogger("tollkeeper.drift")


class DriftRounds:
    """One per process."""

    def __init__(self, reader: Reader, installation: Installation, metrics: Metrics) -> None:
        store = installation.store
        self._watch = DriftWatch(reader, store.ledger, store.counters, installation.clock)
        self._metrics = metrics

    async def run(self) -> int:
        """Nano-dollars of drift, over all counters. Raises StoreUnavailable; the next run goes on where this one stopped."""
        found = await self._watch.run()
        self._metrics.drift(found.amount, found.mended)
        return found.amount

    async def run_for_ever(self) -> None:
        """For a server: until it is cancelled."""
        while True:
            try:
                await self.run()
            except StoreUnavailable as error:
                log.warning("drift_not_compared %s", error.message)
            await asyncio.sleep(ROUND_SECONDS)
