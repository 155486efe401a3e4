"""The composition root: Settings → wired apps. The only module that knows which store, transport and features there are.

Nothing is fetched at import: secrets and connections are first used inside the first request, so that a SnapStart snapshot holds none.
What one function does not need (FastAPI for the proxy, the embedded store on Lambda, YAML for a compiled config) is imported where it is
used.
"""

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo
from functools import cached_property
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from tollkeeper.admission.doorkeeper import MIN_OUTPUT_TOKENS, Doorkeeper
from tollkeeper.admission.housekeeping import Housekeeping
from tollkeeper.admission.payer import Policy
from tollkeeper.admission.spending import Spending
from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.budgets.hold import Options
from tollkeeper.budgets.janitor import Janitor
from tollkeeper.budgets.reserve import Budgets
from tollkeeper.budgets.windows import zone_named
from tollkeeper.clock import Clock, system
from tollkeeper.config.snapshot import Secret, Snapshot, load
from tollkeeper.edge.app import EdgeParts, create_app
from tollkeeper.edge.lazy import LazyApp
from tollkeeper.edge.problems import openai_error
from tollkeeper.errors import ConfigError, OurError, StoreUnavailable, UpstreamError, UpstreamTimeout
from tollkeeper.ledger.book import Ledger
from tollkeeper.limits.rate import Limits
from tollkeeper.pipeline import Gateway
from tollkeeper.providers.client import ProviderClient
from tollkeeper.providers.credentials import Credentials, SecretSource
from tollkeeper.providers.http1 import Http1Transport
from tollkeeper.providers.onprem import OnPremTransport, parse_pools
from tollkeeper.providers.transport import NeverSent, OutboundRequest, Timeouts, Transport, read_all
from tollkeeper.routing.fleet import Fleet
from tollkeeper.routing.live import LiveGroups
from tollkeeper.settings import Settings, aws_env, proxy_configured, secret_env
from tollkeeper.store.aws import NotSent
from tollkeeper.store.table import Table
from tollkeeper.telemetry import log
from tollkeeper.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from tollkeeper.store.credentials import CredentialChain

READY_PROBE = ("ready", "ready")


@dataclass(frozen=True, slots=True)
class Store:
    """The three tables, and how to let go of them."""

    directory: Table
    counters: Table
    ledger: Table
    close: Callable[[], None] = lambda: None


class Installation:
    """One process's parts, each made when first asked for."""

    def __init__(
        self,
        settings: Settings,
        *,
        snapshot: Snapshot | None = None,
        transport: Transport | None = None,
        store: Store | None = None,
        clock: Clock = system,
        env: Callable[[str], str | None] = secret_env,
    ) -> None:
        """`env` is where `os.environ/NAME` looks. Raises ConfigError when the settings name a configuration that cannot be used."""
        self.settings = settings
        self.clock = clock
        self._env = env
        self.snapshot = snapshot or load_snapshot(settings.config)
        self._transport = transport
        self._store = store

    async def start(self) -> "Running":
        """Resolves the secrets that identity needs. Raises StoreUnavailable or OurError when one cannot be had."""
        return Running(self, await self._pepper())

    @cached_property
    def transport(self) -> Transport:
        if self._transport is not None:
            return self._transport
        below = self._network()
        if not (pools := parse_pools(self.settings.onprem_pools)):
            return below
        signed = any(pool.signed for pool in pools.values())
        return OnPremTransport(
            below, pools, credentials=self.aws_credentials if signed else None, region=self.settings.aws_region, clock=self.clock
        )

    def _network(self) -> Transport:
        if self.settings.outbound == "http2" or proxy_configured():
            from tollkeeper.providers.httpx_transport import HttpxTransport

            return HttpxTransport(http2=self.settings.outbound == "http2")
        return Http1Transport()

    def write_metric(self, line: str) -> None:
        """One line on stdout is a metric on Lambda; a laptop has nobody to read it."""
        if not self.embedded:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    @cached_property
    def store(self) -> Store:
        return self._store or (_embedded_store(self.settings, self.clock) if self.embedded else self._dynamo_store())

    @cached_property
    def credentials(self) -> Credentials:
        ids = [name.strip() for name in self.settings.provider_secrets.split(",") if name.strip()]
        return Credentials(self._env, self.clock, secrets=self._secret_source(), secret_ids=ids)

    @property
    def embedded(self) -> bool:
        return self.settings.store == "sqlite"

    async def master_key(self) -> str | None:
        """From the settings, else from gateway.yaml, else (embedded) the one kept in the state folder."""
        if self.settings.master_key:
            return await self.credentials.resolve(secret_of(self.settings.master_key))
        if self.snapshot.master_key:
            return await self.credentials.resolve(self.snapshot.master_key)
        return self._kept_master_key if self.embedded else None

    @cached_property
    def _kept_master_key(self) -> str:
        return kept_secret(self.settings.state, "master_key", "sk-" + secrets.token_urlsafe(24))

    async def _pepper(self) -> bytes:
        if self.settings.pepper:
            pepper = await self.credentials.resolve(secret_of(self.settings.pepper))
            if not pepper:
                raise OurError("TOLLKEEPER_PEPPER names a secret that is empty.")
            return pepper.encode()
        if not self.embedded:
            raise OurError("TOLLKEEPER_PEPPER is not set; without it no virtual key can be checked.")
        return kept_secret(self.settings.state, "pepper", secrets.token_hex(32)).encode()

    async def _http_send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """The store's way out (store/aws.py: HttpSend), over the same pool as the providers'."""
        request = OutboundRequest(url, body, headers, method, Timeouts(connect=min(timeout, 2.0), first_byte=timeout, read=timeout))
        try:
            async with asyncio.timeout(timeout):
                response = await self.transport.send(request)
                return response.status, response.headers, await read_all(response)
        except NeverSent as error:
            raise NotSent(error.message) from None
        except UpstreamTimeout as error:
            raise TimeoutError(error.message) from None
        except UpstreamError as error:
            raise OSError(error.message) from None

    @cached_property
    def aws_credentials(self) -> "CredentialChain":
        from tollkeeper.store.credentials import CredentialChain

        return CredentialChain(aws_env(), self._http_send, clock=self.clock)

    def _secret_source(self) -> SecretSource | None:
        if not self.settings.aws_region:
            return None
        from tollkeeper.store.secrets import SecretsManager

        return SecretsManager(
            self._http_send, self.aws_credentials, self.settings.aws_region, self.settings.aws_endpoint or None, clock=self.clock
        )

    def _dynamo_store(self) -> Store:
        from tollkeeper.store.dynamodb import DynamoTable

        settings = self.settings

        def table(name: str) -> Table:
            return DynamoTable(
                name, self._http_send, self.aws_credentials, settings.aws_region, settings.aws_endpoint or None, clock=self.clock
            )

        return Store(table(settings.directory_table), table(settings.counters_table), table(settings.ledger_table))


class Running:
    """An installation whose secrets are known: makes the apps."""

    def __init__(self, installation: Installation, pepper: bytes) -> None:
        self.installation = installation
        self._pepper = pepper
        settings, snapshot, clock, store = installation.settings, installation.snapshot, installation.clock, installation.store
        self.live = LiveGroups(snapshot, store.directory, clock, settings.key_cache_seconds)
        self.authenticator = Authenticator(
            store.directory,
            pepper,
            master_key=installation.master_key,
            clock=clock,
            cache_seconds=settings.key_cache_seconds,
            key_header=snapshot.key_header,
        )
        self.metrics = Metrics(settings.environment, {row.group for row in snapshot.deployments}, clock, installation.write_metric)
        ledger = Ledger(store.ledger, clock, self.metrics.call)
        self.options = replace(_budget_options(snapshot), booked=ledger.booked)
        self.budgets = Budgets(store.counters, clock, self.options, self.metrics.event)
        self.spending = Spending(self.budgets, store.counters, clock, _zone(snapshot))
        self.doorkeeper = _doorkeeper(installation, self.budgets, self.spending, self.metrics)
        self.housekeeping = Housekeeping(Janitor(store.counters, clock, self.options, self.metrics.event), ledger, clock)
        self.gateway = Gateway(
            groups=self.live.groups,
            authenticator=self.authenticator,
            doorkeeper=self.doorkeeper,
            client=ProviderClient(
                installation.transport,
                installation.credentials,
                clock,
                machine=lambda: installation.aws_credentials,
                region=settings.aws_region,
            ),
            ledger=ledger,
            clock=clock,
            random=SystemRandom(),
            books_before_reply=installation.embedded,
            health=Fleet(store.counters, clock, SystemRandom()),
        )

    async def shown_master_key(self) -> str:
        """For the operator's terminal: the key if this installation made it up, else where it comes from."""
        snapshot = self.installation.snapshot
        if self.installation.settings.master_key:
            return "(TOLLKEEPER_MASTER_KEY)"
        if snapshot.master_key is None:
            return await self.installation.master_key() or ""
        return "(general_settings.master_key)"

    def proxy_app(self) -> ASGIApp:
        return self._refreshed(create_app(self._edge_parts(None)))

    def keys_app(self) -> ASGIApp:
        from tollkeeper.admin.app import create_app as create_admin
        from tollkeeper.admin.services import AdminServices
        from tollkeeper.admin.spending import CounterSpend

        counters = CounterSpend(self.spending.spent, self.spending.set_spent)
        services = AdminServices(
            self.installation.store.directory,
            self.authenticator,
            self._pepper,
            self.installation.clock,
            spend=counters,
            spend_writer=counters,
            ledger=self.installation.store.ledger,
            settings=self.installation.snapshot.settings.get("litellm_settings", {}),
            models=self.installation.snapshot,
        )
        return create_admin(services, openai_error)

    def local_app(self) -> ASGIApp:
        """Both in one: what is no LLM route goes to the management API, which is imported when it is first asked."""
        parts = self._edge_parts(LazyApp(self._keys_app_later, self.gateway.drain))
        return self._refreshed(create_app(replace(parts, background=self.housekeeping.sweep_for_ever)))

    def _refreshed(self, app: ASGIApp) -> ASGIApp:
        """Before each request, models that were added or changed in the directory (a read every few seconds, shared by all)."""

        async def refreshed(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await self.live.refresh()
            await app(scope, receive, send)

        return refreshed

    def _edge_parts(self, fallback: ASGIApp | None) -> EdgeParts:
        settings = self.installation.settings
        return EdgeParts(
            self.gateway,
            self.installation.clock,
            max_request_bytes=self.installation.snapshot.max_request_bytes or settings.max_request_bytes,
            heartbeat_seconds=settings.heartbeat_seconds,
            ready=self._ready,
            on_stop=self.stop,
            fallback=fallback,
        )

    async def stop(self) -> None:
        """Every finished call is in the books before anything is let go."""
        await self.gateway.drain()
        await self.installation.transport.aclose()
        self.installation.store.close()

    async def _keys_app_later(self) -> ASGIApp:
        return self.keys_app()

    async def _ready(self) -> bool:
        try:
            await self.installation.store.directory.get(*READY_PROBE)
        except StoreUnavailable:
            return False
        return True


def _budget_options(snapshot: Snapshot) -> Options:
    own = snapshot.settings.get("tollkeeper", {}).get("budgets") or {}
    status = snapshot.settings.get("litellm_settings", {}).get("budget_exceeded_status_code")
    given = {"status": status, **{name: own.get(name) for name in ("clamp_percent", "wait_seconds")}}
    return Options(**{name: value for name, value in given.items() if value is not None})


def _zone(snapshot: Snapshot) -> tzinfo:
    return zone_named(snapshot.settings.get("litellm_settings", {}).get("timezone") or "UTC")


def _doorkeeper(installation: Installation, budgets: Budgets, spending: Spending, metrics: Metrics) -> Doorkeeper:
    settings = installation.snapshot.settings
    general, own = settings.get("general_settings", {}), settings.get("tollkeeper", {})
    fail_closed = general.get("fail_closed_rate_limit_enforcement") is True
    return Doorkeeper(
        budgets,
        Limits(installation.store.counters, installation.clock, fail_closed=fail_closed),
        spending,
        Policy.of(installation.snapshot),
        installation.clock,
        zone=_zone(installation.snapshot),
        min_output_tokens=(own.get("budgets") or {}).get("min_output_tokens") or MIN_OUTPUT_TOKENS,
        on_refusal=metrics.refusal,
    )


def load_snapshot(path: str) -> Snapshot:
    """A compiled JSON is loaded, anything else compiled. Raises ConfigError with every finding."""
    if not path:
        raise ConfigError("No configuration: set TOLLKEEPER_CONFIG to a gateway.yaml or to what `tollkeeper config compile` made of it.")
    if path.endswith(".json"):
        try:
            return load(Path(path).read_bytes())
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}: not a compiled configuration ({type(error).__name__}).") from error
    from tollkeeper.config.compile import compile_file

    return compile_file(Path(path), env=secret_env)


def secret_of(text: str) -> Secret:
    """`secret:<id>#<field>` is in Secrets Manager; anything else is the value itself."""
    return Secret("aws", text.removeprefix("secret:")) if text.startswith("secret:") else Secret("literal", text)


def kept_secret(folder: str, name: str, fresh: str) -> str:
    """A secret of this installation, made once and kept in a file only its owner can read. `:memory:` keeps nothing."""
    if folder == ":memory:":
        return fresh
    path = Path(folder) / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(fresh)
        return path.read_text().strip()
    except OSError as error:
        raise StoreUnavailable(f"cannot keep state in {folder}: {error.strerror}") from error


def _embedded_store(settings: Settings, clock: Clock) -> Store:
    from tollkeeper.store.sqlite import SqliteStore

    store = SqliteStore(settings.state, clock=clock)
    return Store(store.directory, store.counters, store.ledger, store.close)


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
            await running.gateway.drain()

    return LazyApp(first_use, drain), drain


def janitor_handler() -> Callable[[object, object], dict[str, int]]:
    """A Lambda handler for a schedule: one sweep. Answers `{"expired": <holds ended>}`."""
    settings = Settings.from_env()
    log.configure(settings.log_level, json=True)
    installation = Installation(settings)
    runner = asyncio.Runner()
    started: list[Running] = []

    async def sweep() -> dict[str, int]:
        if not started:
            started.append(await installation.start())
        return {"expired": await started[0].housekeeping.sweep()}

    return lambda _event, _context: runner.run(sweep())
