"""Responses in the background, wired: their endpoints, and the worker behind them."""

from typing import TYPE_CHECKING

from tollkeeper.background.jobs import Jobs
from tollkeeper.background.said import Said
from tollkeeper.background.worker import Worker
from tollkeeper.edge.responses_background import Background
from tollkeeper.edge.responses_jobs import ResponseRunner
from tollkeeper.store.archive import Archive

if TYPE_CHECKING:
    from tollkeeper.bootstrap.running import Running


def background_of(running: "Running", archive: Archive | None) -> Background | None:
    """None: the installation keeps no responses."""
    if archive is None:
        return None
    installation, gateway, authenticator = running.installation, running.gateway, running.authenticator
    jobs = Jobs(installation.store.counters, installation.clock)
    said = Said(archive, jobs, installation.clock)
    runner = ResponseRunner(gateway, authenticator, running.ledger, archive=archive, jobs=jobs, said=said)
    worker = Worker(jobs, runner, installation.clock)
    return Background(archive, authenticator, jobs, said, runner, worker, keep_seconds=archive.seconds)
