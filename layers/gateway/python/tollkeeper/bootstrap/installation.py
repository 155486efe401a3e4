"""One process's parts: configuration, secrets, transport, store. Each is made when it is first asked for."""

import asyncio
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tollkeeper.clock import Clock, system
from tollkeeper.config.snapshot import Secret, Snapshot, load
from tollkeeper.errors import ConfigError, OurError, StoreUnavailable, UpstreamError, UpstreamTimeout
from tollkeeper.ledger.stream import LedgerStream
from tollkeeper.providers.credentials import Credentials
from tollkeeper.providers.http1 import Http1Transport
from tollkeeper.providers.onprem import OnPremTransport, parse_pools
from tollkeeper.providers.transport import NeverSent, OutboundRequest, Timeouts, Transport, read_all
from tollkeeper.settings import Settings, aws_env, proxy_configured, secret_env
from tollkeeper.store.aws import NotSent
from tollkeeper.store.table import Table

if TYPE_CHECKING:
    from tollkeeper.bootstrap.running import Running
    from tollkeeper.bootstrap.secrets import SecretDesk
    from tollkeeper.reports.exporters import Changes
    from tollkeeper.store.credentials import CredentialChain
    from tollkeeper.store.objects import Objects
    from tollkeeper.store.secrets import SecretsManager


@dataclass(frozen=True, slots=True)
class Store:
    """The three tables, and how to let go of them. `stream` brings new ledger entries where no Lambda function is called for them."""

    directory: Table
    counters: Table
    ledger: Table
    close: Callable[[], None] = lambda: None
    stream: LedgerStream | None = None
    changes: "Changes | None" = None
    """When entries were written, where no point-in-time recovery knows it."""


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
        self.env = env
        self.snapshot = snapshot or load_snapshot(settings.config)
        self._transport = transport
        self._store = store

    async def start(self) -> "Running":
        """Resolves the secrets that identity needs. Raises StoreUnavailable or OurError when one cannot be had."""
        from tollkeeper.bootstrap.running import Running

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
    def objects(self) -> "Objects | None":
        """None: this installation keeps no files."""
        from tollkeeper.store.objects import FolderObjects, MemoryObjects

        settings = self.settings
        if settings.objects_bucket:
            from tollkeeper.store.s3 import S3Objects

            where = settings.aws_region, settings.aws_endpoint or None
            return S3Objects(settings.objects_bucket, self.http_send, self.aws_credentials, *where, clock=self.clock)
        if not self.embedded:
            return None
        return MemoryObjects() if settings.state == ":memory:" else FolderObjects(Path(settings.state) / "objects")

    @cached_property
    def credentials(self) -> Credentials:
        ids = [name.strip() for name in self.settings.provider_secrets.split(",") if name.strip()]
        return Credentials(self.env, self.clock, secrets=self.secret_desk, secret_ids=ids)

    def forget_secrets(self) -> None:
        """A credential may have been changed through the management API."""
        self.credentials.forget()
        self.secret_desk.forget()

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

    async def http_send(
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

        return CredentialChain(aws_env(), self.http_send, clock=self.clock)

    @cached_property
    def secret_desk(self) -> "SecretDesk":
        from tollkeeper.bootstrap.secrets import SecretDesk

        return SecretDesk(self.settings, self._secrets_manager, kept_secret)

    def _secrets_manager(self) -> "SecretsManager":
        from tollkeeper.store.secrets import SecretsManager

        return SecretsManager(
            self.http_send,
            self.aws_credentials,
            self.settings.aws_region,
            self.settings.aws_endpoint or None,
            clock=self.clock,
            prefix=f"tollkeeper/{self.settings.environment}/",
        )

    def _dynamo_store(self) -> Store:
        from tollkeeper.store.dynamodb import DynamoTable

        settings = self.settings

        def table(name: str) -> Table:
            return DynamoTable(
                name, self.http_send, self.aws_credentials, settings.aws_region, settings.aws_endpoint or None, clock=self.clock
            )

        return Store(table(settings.directory_table), table(settings.counters_table), table(settings.ledger_table))


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
    return Store(store.directory, store.counters, store.ledger, store.close, store.stream, store.changes)
