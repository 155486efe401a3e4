"""What is called beside models: `general_settings.pass_through_endpoints`, `mcp_servers` and `agent_list`, in LiteLLM's spelling.

https://docs.litellm.ai/docs/proxy/pass_through https://docs.litellm.ai/docs/mcp https://docs.litellm.ai/docs/a2a
"""

import base64
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from tollkeeper.config.findings import Findings, Path
from tollkeeper.config.references import References
from tollkeeper.config.schema import Dollars, Seconds, Section, Text, check
from tollkeeper.config.snapshot import Secret, Upstream

DEFAULT_TIMEOUT = 600.0
_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
_EMBEDDED = re.compile(r"os\.environ/([A-Za-z_][A-Za-z0-9_]*)")
_SERVER_NAME = re.compile(r"[A-Za-z0-9_. ]+")
_Headers = dict[str, str | int | float]


class PassThrough(Section):
    path: Annotated[str, Field(pattern=r"^/.")]
    target: Text
    headers: _Headers = Field(default_factory=dict)
    include_subpath: bool = False
    methods: list[Literal["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]] | None = None
    auth: bool = True
    cost_per_request: Dollars | None = None
    timeout: Seconds | None = None
    default_query_params: dict[str, str | int | float | bool] = Field(default_factory=dict)
    forward_headers: bool = False


class McpServer(Section):
    url: Text
    transport: Literal["http", "streamable_http", "sse", "stdio"] = "http"
    alias: Text | None = None
    description: str | None = None
    auth_type: Literal["none", "api_key", "bearer_token", "basic", "authorization"] = "none"
    auth_value: str | None = None
    authentication_token: str | None = None
    headers: _Headers = Field(default_factory=dict)
    static_headers: _Headers = Field(default_factory=dict)
    extra_headers: list[Text] = Field(default_factory=list)
    allowed_tools: list[Text] | None = None
    disallowed_tools: list[Text] = Field(default_factory=list)
    access_groups: list[Text] = Field(default_factory=list)
    allow_all_keys: bool = True
    timeout: Seconds | None = None
    mcp_info: dict[str, Any] = Field(default_factory=dict)


class Agent(Section):
    agent_name: Text
    agent_card_params: dict[str, Any] = Field(default_factory=dict)
    litellm_params: dict[str, Any] = Field(default_factory=dict)
    headers: _Headers = Field(default_factory=dict)
    static_headers: _Headers = Field(default_factory=dict)


def compile_upstreams(data: Mapping[str, Any], references: References, findings: Findings) -> tuple[Upstream, ...]:
    """`data` is the configuration after its references were resolved, but for those in headers and credentials."""
    builder = _Builder(references, findings)
    general = data.get("general_settings")
    rows = general.get("pass_through_endpoints") if isinstance(general, dict) else None
    found = [builder.passage(row, ("general_settings", "pass_through_endpoints", index)) for index, row in enumerate(_list(rows))]
    servers = data.get("mcp_servers")
    found += [builder.server(name, row, ("mcp_servers", name)) for name, row in (servers.items() if isinstance(servers, dict) else ())]
    found += [builder.agent(row, ("agent_list", index)) for index, row in enumerate(_list(data.get("agent_list")))]
    return tuple(upstream for upstream in found if upstream is not None)


class _Builder:
    def __init__(self, references: References, findings: Findings) -> None:
        self._references, self._findings = references, findings

    def passage(self, row: Any, path: Path) -> Upstream | None:
        checked = check(PassThrough, row, path, self._findings)
        if checked is None or not self._is_url(checked.target, (*path, "target")):
            return None
        terms = {
            "include_subpath": checked.include_subpath,
            "methods": checked.methods,
            "auth": checked.auth,
            "cost_per_request": checked.cost_per_request,
            "query": {name: _text(value) for name, value in checked.default_query_params.items()},
            "forward_headers": checked.forward_headers,
        }
        return Upstream(
            "passage", checked.path, checked.target, self._headers(checked.headers, path), checked.timeout or DEFAULT_TIMEOUT, terms
        )

    def server(self, name: str, row: Any, path: Path) -> Upstream | None:
        checked = check(McpServer, row, path, self._findings)
        if checked is None:
            return None
        if checked.transport in {"stdio", "sse"}:
            problem = f"the transport {checked.transport} is not spoken here"
            self._findings.error((*path, "transport"), problem, "use a server with streamable HTTP (transport: http)")
            return None
        shown = checked.alias or name
        if not _SERVER_NAME.fullmatch(shown):
            self._findings.error(path, "is no name for a server: a tool is called <server>-<tool>", "use letters, digits and _ only")
            return None
        if not self._is_url(checked.url, (*path, "url")):
            return None
        headers = self._headers({**checked.static_headers, **checked.headers}, path) | self._credential(checked, path)
        terms = {
            "id": name,
            "description": checked.description,
            "extra_headers": [header.lower() for header in checked.extra_headers],
            "allowed_tools": checked.allowed_tools,
            "disallowed_tools": checked.disallowed_tools,
            "access_groups": checked.access_groups,
            "allow_all_keys": checked.allow_all_keys,
            "mcp_info": checked.mcp_info,
        }
        return Upstream("mcp", shown.replace(" ", "_"), checked.url, headers, checked.timeout or DEFAULT_TIMEOUT, terms)

    def agent(self, row: Any, path: Path) -> Upstream | None:
        checked = check(Agent, row, path, self._findings)
        if checked is None:
            return None
        url, model = checked.agent_card_params.get("url"), checked.litellm_params.get("model")
        if not isinstance(url, str) and not isinstance(model, str):
            self._findings.error(path, "leads nowhere", "give agent_card_params.url, or litellm_params.model for an agent that is a model")
            return None
        if isinstance(url, str) and not model and not self._is_url(url, (*path, "agent_card_params", "url")):
            return None
        terms = {
            "card": checked.agent_card_params,
            "model": model,
            "system": checked.litellm_params.get("system_prompt"),
            "cost_per_request": checked.litellm_params.get("cost_per_query"),
        }
        headers = self._headers({**checked.static_headers, **checked.headers}, path)
        return Upstream("agent", checked.agent_name, "" if model else str(url), headers, DEFAULT_TIMEOUT, terms)

    def _credential(self, server: McpServer, path: Path) -> dict[str, tuple[Secret, ...]]:
        given = server.auth_value or server.authentication_token
        if not given or server.auth_type == "none":
            return {}
        value = self._template(given, (*path, "auth_value"))
        header, prefix = _SCHEMES[server.auth_type]
        if server.auth_type == "basic" and ":" in given and not _EMBEDDED.search(given):
            value = (Secret("literal", base64.b64encode(given.encode()).decode()),)
        return {header: (Secret("literal", prefix), *value) if prefix else value}

    def _headers(self, given: Mapping[str, Any], path: Path) -> dict[str, tuple[Secret, ...]]:
        return {name.lower(): self._template(_text(value), (*path, "headers", name)) for name, value in given.items()}

    def _template(self, text: str, path: Path) -> tuple[Secret, ...]:
        """`Bearer os.environ/NAME` → what is literal and what is looked up when it is used."""
        if text.startswith("secret:"):
            found = self._references.secret(text, path)
            return (found,) if found else ()
        parts: list[Secret] = []
        at = 0
        for match in _EMBEDDED.finditer(text):
            if match.start() > at:
                parts.append(Secret("literal", text[at : match.start()]))
            parts.append(self._references.variable(match[1], path))
            at = match.end()
        return (*parts, Secret("literal", text[at:])) if at < len(text) else tuple(parts)

    def _is_url(self, url: str, path: Path) -> bool:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname)
        if not good:
            self._findings.error(path, "is no http(s) address", "write https://host/path")
        return good


_SCHEMES: Mapping[str, tuple[str, str]] = {
    "api_key": ("x-api-key", ""),
    "bearer_token": ("authorization", "Bearer "),
    "basic": ("authorization", "Basic "),
    "authorization": ("authorization", ""),
}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
