"""The directory's records: frozen values, and the items they are stored as.

An item holds only what differs from a field's default, so a typical key is a few hundred bytes and a record written by an
older version reads as today's. Money is whole nano-dollars, moments are epoch seconds, `created_at`/`updated_at` are ISO 8601.
`version` counts writes: an update names the version it read. `extra` keeps request fields that have no meaning here yet.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from typing import Any, Self, TypeVar

from tollkeeper.money import NanoUSD
from tollkeeper.store import items
from tollkeeper.store.table import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLimit:
    """One cap of several: a row of `budget_limits` (one per period) or of `model_max_budget` (one per model)."""

    max_budget: NanoUSD | None = None
    budget_duration: str | None = None
    rpm_limit: int | None = None
    tpm_limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user's place in a team; one of the two names is given. `role`: admin or user."""

    user_id: str | None = None
    user_email: str | None = None
    role: str = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may be spent and how fast; None is unlimited. `soft_budget` only warns."""

    max_budget: NanoUSD | None = None
    soft_budget: NanoUSD | None = None
    budget_duration: str | None = None
    budget_limits: tuple[BudgetLimit, ...] = ()
    model_max_budget: Mapping[str, BudgetLimit] = field(default_factory=dict)
    rpm_limit: int | None = None
    tpm_limit: int | None = None
    tpd_limit: int | None = None
    max_parallel_requests: int | None = None
    model_rpm_limit: Mapping[str, int] = field(default_factory=dict)
    model_tpm_limit: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Limits):
    """What every record of the directory has. Subclasses say where they are stored."""

    metadata: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1
    created_at: str = ""
    created_by: str | None = None
    updated_at: str = ""
    updated_by: str | None = None

    def address(self) -> dict[str, str]:
        """pk, sk and the index keys of the item."""
        raise NotImplementedError

    def to_item(self) -> Item:
        plain = ((name, getattr(self, name), default) for name, default in defaults(type(self)).items())
        stored = {name: _ENCODE.get(name, _same)(value) for name, value, default in plain if value != default}
        return {**stored, "version": self.version, **self.address()}

    @classmethod
    def from_item(cls, item: Item) -> Self:
        """Attributes this version does not know are passed over; an update leaves them as they are."""
        return cls(**{name: _DECODE.get(name, _same)(item[name]) for name in defaults(cls) if name in item})


R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRecord(Record):
    """A named set of limits that keys refer to with `budget_id`."""

    budget_id: str

    def address(self) -> dict[str, str]:
        return located(items.budget_pk(self.budget_id), items.BUDGET_SK, "budgets", self.created_at, self.budget_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord(Record):
    """A virtual key. `models` empty: every model. `expires` and `temp_budget_expiry` are epoch seconds."""

    key_hash: str
    key_name: str = ""
    key_alias: str | None = None
    key_type: str = "default"
    models: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    permissions: Mapping[str, Any] = field(default_factory=dict)
    allowed_routes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    guardrails: tuple[str, ...] = ()
    user_id: str | None = None
    team_id: str | None = None
    organization_id: str | None = None
    budget_id: str | None = None
    project_id: str | None = None
    tag_rpm_limit: Mapping[str, int] = field(default_factory=dict)
    """Requests a minute of this key's calls with a tag."""
    mcp_rpm_limit: Mapping[str, int] = field(default_factory=dict)
    """Tool calls a minute, by MCP server."""
    allowed_passthrough_routes: tuple[str, ...] = ()
    denied_passthrough_routes: tuple[str, ...] = ()
    temp_budget_increase: NanoUSD | None = None
    temp_budget_expiry: int | None = None
    blocked: bool = False
    expires: int | None = None
    active_hash: str | None = None
    """Hash of the text that counts now, if the key was rotated; `key_hash` stays its name, so that budgets and reports go on."""
    retiring: Mapping[str, int] = field(default_factory=dict)
    """Hashes of earlier texts that still count, each until an epoch second (`grace_period`)."""
    auto_rotate: bool = False
    rotation_interval: str | None = None
    rotate_at: int | None = None

    def text_counts_until(self, text_hash: str) -> float:
        """The epoch second at which a text of this key stops counting: never (inf) for the present one, 0 for a stranger's."""
        return math.inf if text_hash == (self.active_hash or self.key_hash) else self.retiring.get(text_hash, 0)

    def address(self) -> dict[str, str]:
        place = located(items.key_pk(self.key_hash), items.KEY_SK, "keys", self.created_at, self.key_hash)
        owners = (("gsi2", self.team_id and items.team_pk(self.team_id)), ("gsi3", self.user_id and items.user_pk(self.user_id)))
        for index, owner in owners:
            if owner:
                place |= {f"{index}pk": items.owned_keys(owner), f"{index}sk": place["gsi1sk"]}
        return place

    def max_budget_at(self, now: float) -> NanoUSD | None:
        """The cap at epoch second `now`, a temporary increase included."""
        if self.max_budget is None or not self.temp_budget_increase or now >= (self.temp_budget_expiry or 0):
            return self.max_budget
        return NanoUSD(self.max_budget + self.temp_budget_increase)

    def under(self, budget: BudgetRecord) -> "KeyRecord":
        """The key with the limits of its `budget_id` wherever it sets none itself."""
        return under(self, budget)


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamRecord(Record):
    team_id: str
    team_alias: str | None = None
    organization_id: str | None = None
    models: tuple[str, ...] = ()
    model_aliases: Mapping[str, str] = field(default_factory=dict)
    members_with_roles: tuple[Member, ...] = ()
    tags: tuple[str, ...] = ()
    guardrails: tuple[str, ...] = ()
    mcp_rpm_limit: Mapping[str, int] = field(default_factory=dict)
    allowed_passthrough_routes: tuple[str, ...] = ()
    denied_passthrough_routes: tuple[str, ...] = ()
    blocked: bool = False
    team_member_permissions: tuple[str, ...] = ()
    """Routes that members who are no admins may call for the team's keys."""
    default_team_member_models: tuple[str, ...] = ()
    team_member_budget: NanoUSD | None = None
    team_member_budget_duration: str | None = None
    team_member_rpm_limit: int | None = None
    team_member_tpm_limit: int | None = None

    def member(self, user_id: str) -> Member | None:
        return next((member for member in self.members_with_roles if member.user_id == user_id), None)

    def address(self) -> dict[str, str]:
        return located(items.team_pk(self.team_id), items.TEAM_SK, "teams", self.created_at, self.team_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord(Record):
    user_id: str
    user_email: str | None = None
    user_alias: str | None = None
    user_role: str | None = None
    """proxy_admin, proxy_admin_viewer, internal_user or internal_user_viewer."""
    models: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    sso_user_id: str | None = None

    def address(self) -> dict[str, str]:
        return located(items.user_pk(self.user_id), items.USER_SK, "users", self.created_at, self.user_id)


@dataclass(frozen=True, slots=True)
class KeyPointer:
    """What lies under the hash of a rotated key's text: which record it opens (and whether it still does, the record says)."""

    text_hash: str
    key_hash: str

    def to_item(self) -> Item:
        return {"pk": items.key_pk(self.text_hash), "sk": items.KEY_SK, "points_to": self.key_hash}


def under(record: R, limits: Limits) -> R:
    """The record with those limits wherever it sets none itself."""
    own = defaults(type(record))
    return replace(record, **{f.name: getattr(limits, f.name) for f in fields(Limits) if getattr(record, f.name) == own[f.name]})


_defaults: dict[type[Record], dict[str, Any]] = {}


def defaults(kind: type[Record]) -> dict[str, Any]:
    """Field name → the value an absent attribute stands for; `MISSING` for the id, which is always there."""
    if kind not in _defaults:
        _defaults[kind] = {f.name: f.default_factory() if f.default_factory is not MISSING else f.default for f in fields(kind)}
    return _defaults[kind]


def located(pk: str, sk: str, kind: str, created_at: str, record_id: str) -> dict[str, str]:
    """The keys of an item that is listed with its kind."""
    return {"pk": pk, "sk": sk, "gsi1pk": items.listing(kind), "gsi1sk": items.listing_sk(created_at, record_id)}


def _same(value: Any) -> Any:
    return value


def _row(value: BudgetLimit | Member) -> dict[str, Any]:
    return {name: part for name, part in asdict(value).items() if part is not None}


_TUPLES = (
    "models",
    "allowed_routes",
    "allowed_passthrough_routes",
    "denied_passthrough_routes",
    "tags",
    "guardrails",
    "teams",
    "team_member_permissions",
    "default_team_member_models",
    "allowed_models",
    "model_names",
    "access_group_ids",
    "fallback_models",
)
_ENCODE: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_TUPLES, list),
    "budget_limits": lambda rows: [_row(row) for row in rows],
    "model_max_budget": lambda rows: {model: _row(row) for model, row in rows.items()},
    "members_with_roles": lambda rows: [_row(row) for row in rows],
}
_DECODE: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_TUPLES, tuple),
    "budget_limits": lambda rows: tuple(BudgetLimit(**row) for row in rows),
    "model_max_budget": lambda rows: {model: BudgetLimit(**row) for model, row in rows.items()},
    "members_with_roles": lambda rows: tuple(Member(**row) for row in rows),
}
