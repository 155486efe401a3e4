"""Where a raw path leads."""

import pytest

from tollkeeper.catalog.passing import joined, provider_of


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("https://api.openai.com/v1", "chat/completions", "https://api.openai.com/v1/chat/completions"),
        ("https://api.openai.com/v1", "v1/chat/completions", "https://api.openai.com/v1/chat/completions"),
        ("https://api.anthropic.com", "v1/messages", "https://api.anthropic.com/v1/messages"),
        ("https://g.com/v1beta", "v1beta/models/m:generateContent", "https://g.com/v1beta/models/m:generateContent"),
        ("https://g.com/v1beta", "v1/models", "https://g.com/v1/models"),
        ("https://l-aiplatform.g.com/v1/projects/p/locations/l", "v1/projects/q/x", "https://l-aiplatform.g.com/v1/projects/q/x"),
        (
            "https://l-aiplatform.g.com/v1/projects/p/locations/l",
            "publishers/x",
            "https://l-aiplatform.g.com/v1/projects/p/locations/l/publishers/x",
        ),
        ("https://openrouter.ai/api/v1", "v1/models", "https://openrouter.ai/api/v1/models"),
        (
            "https://x.azure.com/openai",
            "openai/deployments/d/chat/completions",
            "https://x.azure.com/openai/deployments/d/chat/completions",
        ),
        ("http://127.0.0.1:8000/v1/", "models", "http://127.0.0.1:8000/v1/models"),
    ],
)
def test_a_path_is_joined_with_or_without_what_the_base_has(base: str, path: str, url: str) -> None:
    assert joined(base, path) == url


def test_providers_go_by_litellms_names() -> None:
    assert [provider_of(name) for name in ("openai", "vertex-ai", "vllm", "key", "v1")] == [
        "openai",
        "vertex_ai",
        "hosted_vllm",
        None,
        None,
    ]
