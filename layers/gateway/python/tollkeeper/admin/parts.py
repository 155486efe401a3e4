"""What the management API is given. Needs no web framework: the janitor works with it too."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from tollkeeper.admin.audit import AuditLog
from tollkeeper.admin.revisions import Revisions
from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import Snapshot
from tollkeeper.ledger.content import ContentLog
from tollkeeper.money import ZERO, NanoUSD
from tollkeeper.reports.drift import Standing
from tollkeeper.reports.exports import Exports
from tollkeeper.reports.reader import Reader
from tollkeeper.reports.receipts import PepperSigner, Receipts
from tollkeeper.routing.resolve import Groups
from tollkeeper.store.table import Table


@dataclass(frozen=True, slots=True)
class Spend:
    """What a scope has spent in its current window, and when that ends (epoch seconds; None: never)."""

    spent: NanoUSD = ZERO
    resets_at: float | None = None


class SpendReader(Protocol):
    """The counters, seen from here. `scope` is key, team, user, organization, project, customer or tag, or team_member, whose id is
    `<team id>/<user id>`.
    """

    async def spend(self, scope: str, scope_id: str, budget_duration: str | None) -> Spend: ...


class SpendWriter(Protocol):
    """Sets what a scope has spent in its current window. Scopes as in SpendReader."""

    async def set_spend(self, scope: str, scope_id: str, budget_duration: str | None, spent: NanoUSD) -> None: ...


class SecretKeeper(Protocol):
    """A secret manager, seen from here: it takes secrets and never shows one."""

    async def keep(self, name: str, text: str) -> str:
        """Makes or overwrites the secret of that name; → the id whose field `value` it is. Raises StoreUnavailable."""
        ...

    async def drop(self, secret_id: str) -> None: ...


@dataclass(frozen=True)
class AdminServices:
    """`spend` None: rows show no spending (there are no counters), and without `spend_writer` none can be reset. `authenticator` is told
    of every change made here. `ledger` takes the audit log; without one it is kept in the directory. `settings` is the snapshot's
    litellm_settings (default and upper-bound parameters of keys). `models` are those of gateway.yaml; `secrets` keeps the credentials that
    are given here: without it, models are given references only.
    """

    directory: Table
    authenticator: Authenticator
    pepper: bytes
    clock: Clock
    spend: SpendReader | None = None
    spend_writer: SpendWriter | None = None
    ledger: Table | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    models: Snapshot = field(default_factory=lambda: Snapshot(version=""))
    secrets: SecretKeeper | None = None
    reports: Reader | None = None
    groups: Callable[[], Groups] | None = None
    content: ContentLog | None = None
    drift: Callable[[], Awaitable[Standing]] | None = None
    """What is known of counters that differ from the ledger, for /metrics."""
    exports: Exports | None = None
    signed: Receipts | None = None

    async def spent(self, scope: str, scope_id: str, budget_duration: str | None) -> Spend:
        return await self.spend.spend(scope, scope_id, budget_duration) if self.spend else Spend()

    @property
    def ledger_table(self) -> Table:
        return self.directory if self.ledger is None else self.ledger

    @cached_property
    def reader(self) -> Reader:
        """The sums that reports are made of."""
        return self.reports or Reader(self.ledger_table, clock=self.clock)

    @cached_property
    def receipts(self) -> Receipts:
        return self.signed or Receipts(PepperSigner(self.pepper))

    @cached_property
    def audit(self) -> AuditLog:
        return AuditLog(self.ledger_table, self.directory, self.clock, self.pepper)

    @cached_property
    def revisions(self) -> Revisions:
        return Revisions(self.directory, self.clock, self.audit, self.authenticator.forget)
