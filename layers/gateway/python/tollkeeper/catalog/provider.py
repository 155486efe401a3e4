"""What a row of the provider catalog is, and the two kinds that nearly all rows are.

A provider that speaks an existing dialect is a row (clouds.py, servers.py, services.py) and nothing else. Names, environment variables and
default addresses are LiteLLM's (https://docs.litellm.ai/docs/providers), so that its configurations work unchanged; `link` is the
provider's own page.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tollkeeper.catalog.auth import Auth


@dataclass(frozen=True, slots=True)
class Blank:
    """A place in `base_url`, `{name}`, that a deployment fills in: from a litellm_param, the first environment variable that is set, or
    the default.
    """

    name: str
    param: str | None
    env: tuple[str, ...]
    default: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """One row. An empty `base_url` means that the deployment must say where (`api_base`)."""

    name: str
    base_url: str = ""
    dialect: str = "openai_chat"
    auth: Auth = "bearer"
    key_env: tuple[str, ...] = ()
    """Environment variables that hold the credential, the first that is set wins."""
    base_env: tuple[str, ...] = ()
    """Environment variables that replace base_url."""
    key_required: bool = True
    quirks: frozenset[str] = frozenset()
    """Flags of catalog/profiles.py that hold for all of its models."""
    api_root: str = ""
    """Path of the API for an `api_base` that is a bare host, as people write it for servers of their own."""
    blanks: tuple[Blank, ...] = ()
    version_env: str = ""
    """Environment variable that stands in for `api_version`."""
    service: str = ""
    """What a SigV4 signature calls the service."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request, names in lower case."""
    key_header: tuple[str, str] | None = None
    """(header, what stands before the key) where `auth` is `header`."""
    link: str = ""


def hosted(name: str, base_url: str, key: str, link: str, *quirks: str, dialect: str = "openai_chat") -> Provider:
    """A public service. `key`: the environment variables of its credential, in order, spaces between; the first one's stem with
    `_API_BASE` replaces the address, as in LiteLLM.
    """
    key_env = tuple(key.split())
    stem = key_env[0].removesuffix("_API_KEY").removesuffix("_KEY").removesuffix("_TOKEN")
    return Provider(name, base_url, dialect, key_env=key_env, base_env=(f"{stem}_API_BASE",), quirks=frozenset(quirks), link=link)


def own_server(name: str, stem: str, base_url: str, link: str, *quirks: str, api_root: str = "/v1") -> Provider:
    """A server somebody runs: a key is possible and not needed."""
    return Provider(
        name,
        base_url,
        key_env=(f"{stem}_API_KEY",),
        base_env=(f"{stem}_API_BASE",),
        key_required=False,
        quirks=frozenset(quirks),
        api_root=api_root,
        link=link,
    )
