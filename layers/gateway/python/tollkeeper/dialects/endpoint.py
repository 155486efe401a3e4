"""Where a request goes: the deployment's base URL, which may have a query and a place for the model's name, and the dialect's own path.

https://api.openai.com/v1                                                       + /chat/completions
https://res.openai.azure.com/openai/deployments/{model}?api-version=2024-10-21  + /chat/completions, before the query
"""

from urllib.parse import quote

from tollkeeper.dialects.base import Target


def endpoint(target: Target, path: str) -> str:
    """A base URL that already ends in `path` is the whole address."""
    base, mark, query = target.base_url.partition("?")
    base = base.replace("{model}", quote(target.model, safe=""))
    return (base if base.endswith(path) else base + path) + mark + query
