"""Addresses on Google's Vertex AI, where each family of models has a path of its own, and the wire format that belongs to it.

    gemini-…             …/publishers/google          + /models/{model}:generateContent
    claude-…             …/publishers/anthropic       + /models/{model}:rawPredict
    mistral-…, jamba-…   …/publishers/mistralai|ai21  + /models/{model}:rawPredict
    publisher/model      …/endpoints/openapi          + /chat/completions    (Llama, DeepSeek, Qwen, gpt-oss … "as a service")

https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations · …/docs/partner-models/use-partner-models
"""

import re

_ROOT = "https://{location}-aiplatform.googleapis.com"
_PLACE = "/v1/projects/{project}/locations/{location}"
VERTEX_BASE = f"{_ROOT}{_PLACE}/publishers/google"

_FAMILIES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"claude"), "/publishers/anthropic"),
    (re.compile(r"(?:open-)?(?:mi[sx]tral|ministral|codestral)"), "/publishers/mistralai"),
    (re.compile(r"jamba"), "/publishers/ai21"),
    (re.compile(r"[a-z0-9-]+/"), "/endpoints/openapi"),
)
_DIALECTS = (
    ("/publishers/anthropic", "vertex_anthropic"),
    ("/publishers/mistralai", "vertex_openai"),
    ("/publishers/ai21", "vertex_openai"),
    ("/endpoints/openapi", "openai_chat"),
)
_MULTI_REGIONS = frozenset(("us", "eu"))


def vertex_base(api_base: str | None, model: str) -> str:
    """The address up to `/models/…` or `/chat/completions`, with `{project}` and `{location}` still in it. An `api_base` with a path
    beyond `/v1` is taken as it is.
    """
    family = next((path for pattern, path in _FAMILIES if pattern.match(model)), "/publishers/google")
    root = (api_base or _ROOT).rstrip("/").removesuffix("/v1")
    return root if "/" in root.partition("://")[2] else f"{root}{_PLACE}{family}"


def vertex_dialect(base_url: str) -> str:
    return next((dialect for end, dialect in _DIALECTS if base_url.endswith(end)), "gemini_generate")


def located(base_url: str) -> str:
    """The host of locations that are no region: `global` has none in its name, `us` and `eu` have one of another form."""
    location = base_url.removeprefix("https://").partition("-aiplatform.googleapis.com")[0]
    if location == "global":
        return base_url.replace("global-aiplatform", "aiplatform", 1)
    if location in _MULTI_REGIONS:
        return base_url.replace(f"{location}-aiplatform.googleapis.com", f"aiplatform.{location}.rep.googleapis.com", 1)
    return base_url
