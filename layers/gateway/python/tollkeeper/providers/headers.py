"""A provider's response headers as the caller sees them: `llm_provider-<name>`, as in LiteLLM.

https://docs.litellm.ai/docs/proxy/response_headers
"""

from collections.abc import Mapping

PREFIX = "llm_provider-"
_KEPT = frozenset(
    {
        "alt-svc", "connection", "content-encoding", "content-length", "content-type", "date", "keep-alive", "nel", "report-to", "server",
        "set-cookie", "strict-transport-security", "trailer", "transfer-encoding", "upgrade", "vary", "via", "x-content-type-options",
    }
)  # fmt: skip
"""What is about the provider's connection and not about the call, or is a cookie."""
_MOST, _LONGEST_VALUE = 64, 1024


def shown_headers(given: Mapping[str, str]) -> dict[str, str]:
    """`given` have lower-case names. So many and so long that no proxy on the way refuses them."""
    shown = {PREFIX + name: value for name, value in given.items() if name not in _KEPT and len(value) <= _LONGEST_VALUE}
    return shown if len(shown) <= _MOST else dict(list(shown.items())[:_MOST])
