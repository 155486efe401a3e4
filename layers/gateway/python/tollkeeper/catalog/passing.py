"""Where `/{provider}/{path}` leads: the first segment's provider, and a caller's path joined to that provider's address."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from tollkeeper.catalog.providers import PROVIDERS

ALIASES: Mapping[str, str] = {"vertex-ai": "vertex_ai", "openai_passthrough": "openai", "vllm": "hosted_vllm", "azure-ai": "azure_ai"}
"""LiteLLM's other words for them. https://docs.litellm.ai/docs/pass_through/intro"""
_VERSION = re.compile(r"v\d+(?:(?:alpha|beta)\d*)?")


def provider_of(segment: str) -> str | None:
    name = ALIASES.get(segment, segment)
    return name if name in PROVIDERS else None


def joined(base_url: str, path: str) -> str:
    """The address of a raw call, without a query. `path` has no leading slash.

    Callers write the path with or without the part that is in the base already: `https://api.openai.com/v1` takes `chat/completions` and
    `v1/chat/completions`. One that begins with a version begins where the base has its own; so does one that repeats the base's segments.
    """
    parts = urlsplit(base_url)
    base = [segment for segment in parts.path.split("/") if segment]
    asked = path.split("/")
    at = next((index for index, segment in enumerate(base) if _VERSION.fullmatch(segment)), None)
    if at is not None and _VERSION.fullmatch(asked[0]):
        base = base[:at]
    elif base and asked[: len(base)] == base:
        base = []
    return f"{parts.scheme}://{parts.netloc}/" + "/".join([*base, path])
