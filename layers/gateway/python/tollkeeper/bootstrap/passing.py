"""Raw provider APIs and configured endpoints, wired."""

from typing import TYPE_CHECKING

from tollkeeper.edge.passage import Passage
from tollkeeper.edge.passthrough import PassThrough
from tollkeeper.providers.upstreams import Upstreams

if TYPE_CHECKING:
    from tollkeeper.bootstrap.running import Running


def passage_of(running: "Running") -> Passage:
    return Passage(running.gateway, running.doorkeeper, running.authenticator, running.installation.clock)


def upstreams_of(running: "Running") -> Upstreams:
    return Upstreams(running.installation.transport, running.installation.credentials)


def pass_through(running: "Running") -> PassThrough:
    installation = running.installation
    return PassThrough(
        passage_of(running),
        running.client,
        upstreams_of(running),
        authenticator=running.authenticator,
        clock=installation.clock,
        deployments=lambda: running.live.groups().snapshot.deployments,
        max_bytes=installation.snapshot.max_request_bytes or installation.settings.max_request_bytes,
    )
