"""`tollkeeper apply` and `tollkeeper export`: a directory as a file, and the file as a directory.

The file has a list for each kind of record, with the fields of LiteLLM's API:

    budgets: [{budget_id: small, max_budget: 5, budget_duration: 1d}]
    teams:   [{team_id: core, team_alias: Core, max_budget: 100, models: [gpt-4o]}]
    users:   [{user_id: ann, user_email: ann@example.com, user_role: internal_user}]
    keys:    [{key_alias: ci, team_id: core, budget_id: small}]

Applying makes what is missing and changes what differs in a field that the file names; what it does not name stays, and nothing is deleted.
So applying twice does nothing the second time. Keys go by their alias.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tollkeeper.dev.gateway_client import GatewayClient
from tollkeeper.errors import BadRequest

Progress = Callable[[int, int], None]
"""(done, of how many)"""


@dataclass(frozen=True, slots=True)
class Section:
    """How one kind of record is read and written. `row` picks it out of what `info` answers; `only_new` are fields for making one, and
    `follows` columns that follow from other records.
    """

    name: str
    id_field: str
    info: tuple[str, str, str]
    create: str
    update: tuple[str, str]
    listed: str
    row: Callable[[Any], Any] = lambda answer: answer
    only_new: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()


def _first_key(answer: Any) -> Any:
    return answer["keys"][0] if answer["keys"] else None


# In the order of making: what others refer to comes first.
SECTIONS = (
    Section("budgets", "budget_id", ("POST", "/budget/info", "budgets"), "/budget/new", ("POST", "/budget/update"), "/budget/list",
            row=lambda answer: answer[0] if answer else None),
    Section("organizations", "organization_id", ("GET", "/organization/info", "organization_id"), "/organization/new",
            ("PATCH", "/organization/update"), "/organization/list"),
    Section("users", "user_id", ("GET", "/v2/user/info", "user_id"), "/user/new", ("POST", "/user/update"), "/user/list",
            only_new=("auto_create_key",), follows=("teams",)),
    Section("teams", "team_id", ("GET", "/team/info", "team_id"), "/team/new", ("POST", "/team/update"), "/v2/team/list",
            row=lambda answer: answer["team_info"]),
    Section("projects", "project_id", ("GET", "/project/info", "project_id"), "/project/new", ("POST", "/project/update"), "/project/list"),
    Section("customers", "user_id", ("GET", "/customer/info", "end_user_id"), "/customer/new", ("POST", "/customer/update"),
            "/customer/list"),
    Section("tags", "name", ("POST", "/tag/info", "names"), "/tag/new", ("POST", "/tag/update"), "/tag/list",
            row=lambda answer: next(iter(answer.values()))),
    Section("keys", "key_alias", ("GET", "/key/list", "key_alias"), "/key/generate", ("POST", "/key/update"), "/key/list",
            row=_first_key, only_new=("duration", "key", "key_type")),
)  # fmt: skip

# Columns that say what happened, or what follows from others: not what somebody wants.
_NOT_WANTED = frozenset(
    (
        "spend",
        "created_at",
        "created_by",
        "updated_at",
        "updated_by",
        "budget_reset_at",
        "model_spend",
        "litellm_budget_table",
        "token",
        "key_name",
        "expires",
        "version",
        "key_rotation_at",
        "object_permission_id",
        "litellm_model_table",
        "model_id",
        "users",
        "key_count",
        "members",
        "temp_budget_increase",
        "temp_budget_expiry",
    )
)


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done to one record: `was` is None for a new one; `fields` are those to be sent."""

    section: Section
    record_id: str
    fields: Mapping[str, Any]
    was: Mapping[str, Any] | None

    def lines(self) -> Iterator[str]:
        """A diff for people: + is new, ~ is changed."""
        sign = "+" if self.was is None else "~"
        yield f"{sign} {self.section.name} {self.record_id}"
        for name, value in self.fields.items():
            if self.was is not None and name != self.section.id_field:
                yield f"    {name}: {self.was.get(name)!r} -> {value!r}"


def check(document: Any) -> dict[str, list[dict[str, Any]]]:
    """The file's sections. Raises BadRequest naming what is wrong with it."""
    known = {section.name: section for section in SECTIONS}
    if not isinstance(document, dict):
        raise BadRequest("The file must be a mapping of sections: " + ", ".join(known))
    if unknown := sorted(set(document) - set(known)):
        raise BadRequest(f"There is no section {unknown[0]}; there are {', '.join(known)}.")
    for name, rows in document.items():
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise BadRequest(f"{name} must be a list of mappings.")
        ids = [row.get(known[name].id_field) for row in rows]
        if not all(isinstance(each, str) and each for each in ids):
            raise BadRequest(f"Every entry of {name} needs its {known[name].id_field}.")
        if repeated := [each for each in ids if ids.count(each) > 1]:
            raise BadRequest(f"{name} names {repeated[0]} twice.")
    return document


async def plan(client: GatewayClient, document: Mapping[str, list[dict[str, Any]]], progress: Progress) -> list[Step]:
    """What would be done, in order."""
    wanted = [(section, row) for section in SECTIONS for row in document.get(section.name, ())]
    steps = []
    for done, (section, row) in enumerate(wanted, 1):
        if (step := await _step(client, section, row)) is not None:
            steps.append(step)
        progress(done, len(wanted))
    return steps


async def apply(client: GatewayClient, steps: Sequence[Step], progress: Progress) -> dict[str, str]:
    """Does it. The texts of the keys that were made, by alias: nobody else will ever see them."""
    texts: dict[str, str] = {}
    for done, step in enumerate(steps, 1):
        if step.was is not None:
            method, path = step.section.update
            await client.call(method, path, body=dict(step.fields))
        else:
            defaults = {"auto_create_key": False} if step.section.name == "users" else {}
            made = await client.call("POST", step.section.create, body={**defaults, **step.fields})
            if step.section.name == "keys":
                texts[step.record_id] = made["key"]
        progress(done, len(steps))
    return texts


async def export(client: GatewayClient) -> dict[str, list[dict[str, Any]]]:
    """Every record, by the fields that are set. Keys without an alias cannot be named in a file and are left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    for section in SECTIONS:
        rows = [_wanted(row, section) for row in await _listed(client, section) if row.get(section.id_field)]
        if rows:
            found[section.name] = sorted(rows, key=lambda row: str(row[section.id_field]))
    return found


async def listed(client: GatewayClient, name: str) -> list[dict[str, Any]]:
    """Every row of a section, all its pages."""
    return await _listed(client, next(section for section in SECTIONS if section.name == name))


async def _step(client: GatewayClient, section: Section, row: dict[str, Any]) -> Step | None:
    record_id = row[section.id_field]
    was = await _read(client, section, record_id)
    if was is None:
        return Step(section, record_id, row, None)
    changed = {name: value for name, value in row.items() if name not in section.only_new and not _same(value, was.get(name))}
    return Step(section, record_id, {section.id_field: record_id, **changed}, was) if changed else None


async def _read(client: GatewayClient, section: Section, record_id: str) -> Any:
    method, path, name = section.info
    if method == "POST":
        answer = await client.find(method, path, body={name: [record_id]})
    else:
        more = {"return_full_object": True} if section.name == "keys" else {}
        answer = await client.find(method, path, **{name: record_id, **more})
    return None if answer is None else section.row(answer)


async def _listed(client: GatewayClient, section: Section) -> list[dict[str, Any]]:
    paged = {
        "keys": ("keys", "size", {"return_full_object": True}),
        "teams": ("teams", "page_size", {}),
        "users": ("users", "page_size", {}),
    }
    if section.name not in paged:
        rows: list[dict[str, Any]] = await client.call("GET", section.listed)
        return rows
    field, size, more = paged[section.name]
    found: list[dict[str, Any]] = []
    page = 1
    while True:
        answer = await client.call("GET", section.listed, **{size: 100, "page": page, **more})
        found += answer[field]
        if page >= answer["total_pages"]:
            return found
        page += 1


def _wanted(row: Mapping[str, Any], section: Section) -> dict[str, Any]:
    kept = {
        name: value for name, value in row.items() if name not in (*_NOT_WANTED, *section.follows) and value not in (None, [], {}, False)
    }
    if section.name == "teams":
        kept["members_with_roles"] = [
            {name: value for name, value in member.items() if value} for member in row.get("members_with_roles") or ()
        ]
    lifted = {name for name in ("tags", "guardrails", "model_rpm_limit", "model_tpm_limit") if name in kept}
    metadata = {name: value for name, value in (row.get("metadata") or {}).items() if name not in lifted}
    plain = {**kept, "metadata": metadata, "model_max_budget": _one_spelling(row.get("model_max_budget") or {})}
    return {name: value for name, value in plain.items() if value not in ([], {})}


def _one_spelling(budgets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """LiteLLM's rows say everything twice."""
    twice = ("budget_limit", "time_period")
    return {model: {name: value for name, value in row.items() if name not in twice} for model, row in budgets.items()}


def _same(wanted: Any, found: Any) -> bool:
    """Whether what was found says what is wanted; a row may say more, as where LiteLLM has two names for one thing."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return all(_same(value, found.get(name)) for name, value in wanted.items())
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(_same(left, right) for left, right in zip(wanted, found, strict=True))
    return bool(wanted == found) or (wanted in (None, [], {}) and found in (None, [], {}))
