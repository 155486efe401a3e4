"""Which MCP servers and tools a caller has: `object_permission` of its key and its team, in LiteLLM's words.

A key that says nothing of MCP has every server that has not set `allow_all_keys: false`; one that names servers or access groups has those.
A team's list restricts its keys. `mcp_tool_permissions` restricts the tools of a server. https://docs.litellm.ai/docs/mcp_control
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tollkeeper.auth.principal import Principal
from tollkeeper.config.snapshot import Upstream

SEPARATOR = "-"
"""Between a server's name and its tool's, as in LiteLLM."""


def servers_for(principal: Principal, servers: Sequence[Upstream], asked: Sequence[str] = ()) -> list[Upstream]:
    """In the configuration's order; `asked` are the names a request limits itself to."""
    permissions = _permissions(principal)
    return [
        server
        for server in servers
        if (not asked or _named(server, asked)) and (principal.is_master or all(_allows(each, server) for each in permissions or [{}]))
    ]


def tool_allowed(principal: Principal, server: Upstream, tool: str) -> bool:
    terms = server.terms
    if tool in terms["disallowed_tools"] or (terms["allowed_tools"] is not None and tool not in terms["allowed_tools"]):
        return False
    return principal.is_master or all(_allows_tool(each, server, tool) for each in _permissions(principal))


def full_name(server: Upstream, tool: str) -> str:
    return f"{server.name}{SEPARATOR}{tool}"


def parted(name: str, servers: Sequence[Upstream], every: Sequence[Upstream]) -> list[tuple[Upstream, str]]:
    """Every one of `servers` and its tool that a name may mean: with the server's name before it, or without.

    A name that belongs to another of `every` means nothing here.
    """
    owners = [server for server in every if name.startswith(f"{server.name}{SEPARATOR}")]
    if owners:
        return [(server, name.removeprefix(f"{server.name}{SEPARATOR}")) for server in owners if server in servers]
    return [(server, name) for server in servers]


def _permissions(principal: Principal) -> list[Mapping[str, Any]]:
    owners = (principal.key, principal.team)
    found = [owner.extra.get("object_permission") for owner in owners if owner is not None]
    return [each for each in found if isinstance(each, dict) and any(each.get(name) for name in _ABOUT)]


_ABOUT = ("mcp_servers", "mcp_access_groups", "mcp_tool_permissions", "blocked_tools")


def _allows(permission: Mapping[str, Any], server: Upstream) -> bool:
    names, groups, tools = (permission.get(name) or () for name in _ABOUT[:3])
    if not names and not groups and not tools:
        return bool(server.terms["allow_all_keys"])
    return _named(server, names) or _named(server, tools) or bool(set(groups) & set(server.terms["access_groups"]))


def _allows_tool(permission: Mapping[str, Any], server: Upstream, tool: str) -> bool:
    blocked = permission.get("blocked_tools") or ()
    if tool in blocked or full_name(server, tool) in blocked:
        return False
    by_server = permission.get("mcp_tool_permissions") or {}
    listed = next((by_server[name] for name in (server.name, server.terms["id"]) if name in by_server), None)
    return listed is None or tool in listed or full_name(server, tool) in listed


def _named(server: Upstream, names: Any) -> bool:
    return server.name in names or server.terms["id"] in names
