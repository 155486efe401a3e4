"""The management API's app, and everything in one for a laptop."""

from starlette.types import ASGIApp

from tollkeeper.bootstrap.running import Running
from tollkeeper.edge.lazy import LazyApp
from tollkeeper.edge.problems import openai_error


def keys_app(running: Running) -> ASGIApp:
    """functions/keys: keys, teams, users, models; imports FastAPI."""
    from tollkeeper.admin.app import create_app
    from tollkeeper.admin.services import AdminServices
    from tollkeeper.admin.spending import CounterSpend

    installation, counters = running.installation, CounterSpend(running.spending.spent, running.spending.set_spent)
    services = AdminServices(
        installation.store.directory,
        running.authenticator,
        running.pepper,
        installation.clock,
        spend=counters,
        spend_writer=counters,
        ledger=installation.store.ledger,
        settings=installation.snapshot.settings.get("litellm_settings", {}),
        models=installation.snapshot,
    )
    return create_app(services, openai_error)


def local_app(running: Running) -> ASGIApp:
    """All in one: what is no LLM route goes to the management API, which is imported when it is first asked."""

    async def later() -> ASGIApp:
        return keys_app(running)

    return running.edge_app(LazyApp(later, running.gateway.drain), running.background)
