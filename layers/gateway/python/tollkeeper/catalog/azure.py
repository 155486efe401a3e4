"""Addresses of Azure OpenAI and Azure AI Foundry, which have the deployment, the API version or both in them.

https://learn.microsoft.com/azure/ai-foundry/openai/reference · …/openai/api-version-lifecycle (v1 needs no version)
https://learn.microsoft.com/azure/ai-foundry/foundry-models/concepts/endpoints · …/how-to/use-foundry-models-claude

    azure     {resource}/openai/deployments/{model}?api-version=…   chat with a dated api_version
              {resource}/openai?api-version=…                       responses with a dated api_version
              {resource}/openai/v1                                  either, without one or with v1, latest, preview
    azure_ai  {resource}/models?api-version=…                       models of Foundry's catalog
              {resource}/anthropic                                  Claude
              {resource}/providers/cohere/v2                        Cohere's rerank models
              {endpoint}/v1                                         a serverless endpoint of one model

`{model}` stays as it is here; dialects.endpoint fills in the deployment of each request, so that a wildcard has an address too.
"""

from urllib.parse import parse_qs

FOUNDRY_VERSION = "2024-05-01-preview"
DATED_VERSION = "2024-10-21"
"""For an address that names a deployment and no version: the last dated one that is generally available."""
_UNDATED = {None, "", "v1", "latest", "preview"}
_FOUNDRY_HOSTS = (".services.ai.azure.com", ".cognitiveservices.azure.com", ".openai.azure.com")
_SERIES = ("o_series/", "gpt5_series/")


def deployment_name(model: str) -> str:
    """LiteLLM marks reasoning deployments whose name does not say so (https://docs.litellm.ai/docs/providers/azure)."""
    for mark in _SERIES:
        model = model.removeprefix(mark)
    return model


def azure_base(api_base: str, api_version: str | None, *, responses: bool) -> str:
    """The base URL of a deployment on Azure OpenAI. `api_base` may be the resource, or any address below it, query included."""
    url, version = _taken_apart(api_base, api_version)
    if url.endswith("/openai/v1"):
        return _with_version(url, "preview" if version == "preview" else None)
    root, named, deployment = url.partition("/openai/deployments/")
    if named:
        dated = DATED_VERSION if version in _UNDATED else version
        return _with_version(f"{root}/openai" if responses else f"{root}{named}{deployment}", dated)
    root = url.removesuffix("/openai")
    if version in _UNDATED:
        return _with_version(f"{root}/openai/v1", "preview" if version == "preview" else None)
    return _with_version(f"{root}/openai" if responses else f"{root}/openai/deployments/{{model}}", version)


def foundry_base(api_base: str, api_version: str | None, model: str) -> str:
    """The base URL of a model of Azure AI Foundry."""
    url, version = _taken_apart(api_base, api_version)
    host = url.partition("://")[2].partition("/")[0]
    root = url[: url.index(host) + len(host)]
    if "/anthropic" in url or model.startswith("claude"):
        return f"{root}/anthropic"
    if url.endswith("/openai/v1"):
        return url
    if "rerank" in model.lower():
        return f"{root}/providers/cohere/v2" if host.endswith(_FOUNDRY_HOSTS) else f"{root}/v1"
    if url.endswith("/models") or (url == root and host.endswith(_FOUNDRY_HOSTS)):
        return _with_version(f"{url.removesuffix('/models')}/models", version or FOUNDRY_VERSION)
    return _with_version(f"{url}/v1" if url == root else url, version)


def _taken_apart(api_base: str, api_version: str | None) -> tuple[str, str | None]:
    """(address without query and endpoint, api-version)"""
    url, _, query = api_base.partition("?")
    url = url.rstrip("/")
    for endpoint in ("/chat/completions", "/completions", "/responses", "/embeddings", "/rerank", "/v1/messages"):
        url = url.removesuffix(endpoint)
    return url, api_version or next(iter(parse_qs(query).get("api-version", [])), None)


def _with_version(url: str, version: str | None) -> str:
    return f"{url}?api-version={version}" if version else url
