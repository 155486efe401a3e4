"""What is asked of a provider beside the calls it is paid for: its own count of a request, and that it forgets a response."""

from tollkeeper.admission.visit import Call, spoken
from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects.base import Json
from tollkeeper.errors import UpstreamError
from tollkeeper.providers.client import ProviderClient
from tollkeeper.providers.patience import patience_for, usable
from tollkeeper.routing.resolve import ModelGroup

_GONE = 404
_ABSENT = frozenset({404, 405, 501})


async def counted(client: ProviderClient, clock: Clock, call: Call, group: ModelGroup, counting: str) -> Json | None:
    """`counting` names the count in dialects/native.py. None: no provider of this model counts, or none could. Raises UpstreamError."""
    for deployment in group.deployments:
        if (counter := spoken(counting, deployment)) and not client.is_scripted(deployment, call.body):
            patience = patience_for(call.body, call.headers, deployment, usable(call.seconds_left(clock)))
            try:
                return (await client.complete(deployment, call.body["model"], call.body, patience, counter)).body
            except UpstreamError as error:
                if not error.retryable and not _lacks_it(error):
                    raise
    return None


def _lacks_it(error: UpstreamError) -> bool:
    """Servers that speak a make's API need not have all of it; a model that is not there is another matter."""
    return error.upstream_status in _ABSENT and error.type != "not_found_error"


async def forgotten(client: ProviderClient, deployment: Deployment | None, response_id: str) -> None:
    """One that is gone there already is gone. Raises UpstreamError."""
    speaker = spoken("forget_response", deployment) if deployment is not None else None
    if deployment is None or speaker is None:
        return
    try:
        await client.complete(deployment, "", {"response_id": response_id}, patience_for({}, {}, deployment, None), speaker)
    except UpstreamError as error:
        if error.upstream_status != _GONE:
            raise
