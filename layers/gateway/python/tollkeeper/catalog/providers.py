"""Who serves models: every row by its name, and what a deployment's `api_base` makes of one."""

from collections.abc import Mapping

from tollkeeper.catalog.auth import SCHEMES, Auth
from tollkeeper.catalog.azure import azure_base, foundry_base
from tollkeeper.catalog.clouds import CLOUDS
from tollkeeper.catalog.provider import Provider
from tollkeeper.catalog.servers import SERVERS
from tollkeeper.catalog.services import SERVICES
from tollkeeper.catalog.vertex import vertex_base, vertex_dialect

__all__ = ["PROVIDERS", "Auth", "Provider", "auth_headers", "base_url_for", "dialect_for", "scheme_of"]

PROVIDERS: Mapping[str, Provider] = {row.name: row for row in (*CLOUDS, *SERVERS, *SERVICES)}

_OLLAMA = {"ollama", "ollama_chat"}
_VERTEX = {"vertex_ai", "vertex_ai_beta"}
_TGI = {"huggingface", "tgi"}
_GENERATE = ("/generate", "/generate_stream")
"""TGI's own API, where an address names it; any other one is its OpenAI-compatible API."""


def base_url_for(
    provider: Provider, api_base: str | None, *, model: str = "", api_version: str | None = None, responses: bool = False
) -> str:
    """The deployment's address without a trailing slash; "" if neither the row nor the configuration has one.

    `http://gpu-1:8000` is completed with the row's API root, `http://gpu-1:8000/v1` and any other path are taken as they are. Ollama's
    native paths (`/api`, `/api/chat`), which LiteLLM configurations contain, stand for the host.
    """
    if provider.name in _VERTEX:
        return vertex_base(api_base, model)
    if not api_base:
        return provider.base_url
    if provider.name in {"azure", "azure_text"}:
        return azure_base(api_base, api_version, responses=responses)
    if provider.name == "azure_ai":
        return foundry_base(api_base, api_version, model)
    url = api_base.rstrip("/")
    if provider.name == "watsonx":
        return f"{url}?version={api_version}" if api_version else url
    if provider.name in _OLLAMA:
        for native in ("/api/chat", "/api/generate", "/api"):
            url = url.removesuffix(native)
    has_path = "/" in url.partition("://")[2]
    return url if has_path else url + provider.api_root


def dialect_for(provider: Provider, base_url: str, *, responses: bool = False) -> str:
    """The row's, but for providers that speak several: by what was asked for, or by the address."""
    if provider.name in _OLLAMA and base_url.endswith("/v1"):
        return "openai_chat"
    if provider.name in _TGI and base_url.endswith(_GENERATE):
        return "tgi_generate"
    if provider.name == "azure_ai" and base_url.endswith("/anthropic"):
        return "anthropic_messages"
    if provider.name in _VERTEX:
        return vertex_dialect(base_url)
    return "openai_responses" if responses and provider.dialect == "openai_chat" else provider.dialect


def scheme_of(provider: str) -> str:
    """The row's way to authenticate; a name that is no row sends a bearer token."""
    row = PROVIDERS.get(provider)
    return row.auth if row else "bearer"


def auth_headers(provider: str, value: str) -> dict[str, str]:
    """The header that carries this key, name in lower case."""
    scheme = SCHEMES[scheme_of(provider)]
    return {scheme.header: scheme.prefix + value} if scheme.header else {}
