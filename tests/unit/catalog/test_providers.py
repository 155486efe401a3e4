import re

import pytest

from tollkeeper.catalog.providers import PROVIDERS, Provider, auth_headers, base_url_for

NAMED = [
    "openai",
    "anthropic",
    "hosted_vllm",
    "vllm",
    "ollama",
    "ollama_chat",
    "lm_studio",
    "openrouter",
    "groq",
    "together_ai",
    "deepseek",
    "mistral",
    "xai",
    "fireworks_ai",
    "custom_openai",
    "openai_like",
    "perplexity",
    "cerebras",
    "deepinfra",
    "nvidia_nim",
    "sambanova",
    "moonshot",
    "zai",
    "llamafile",
    "xinference",
    "docker_model_runner",
    "litellm_proxy",
]


def test_the_first_thirty_are_there() -> None:
    assert set(NAMED) <= PROVIDERS.keys()


@pytest.mark.parametrize("row", PROVIDERS.values(), ids=PROVIDERS.keys())
def test_a_row_is_complete(row: Provider) -> None:
    assert row.link.startswith("https://")
    assert row.base_url == row.base_url.rstrip("/")
    assert row.base_url or row.base_env
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in (*row.key_env, *row.base_env))
    assert row.key_env or not row.key_required


@pytest.mark.parametrize(
    ("name", "api_base", "url"),
    [
        ("openai", None, "https://api.openai.com/v1"),
        ("openai", "https://proxy.example/v1/", "https://proxy.example/v1"),
        ("openai", "https://proxy.example", "https://proxy.example"),
        ("anthropic", "https://proxy.example/v1", "https://proxy.example/v1"),
        ("hosted_vllm", None, ""),
        ("hosted_vllm", "http://gpu-1:8000", "http://gpu-1:8000/v1"),
        ("hosted_vllm", "http://gpu-1:8000/v1", "http://gpu-1:8000/v1"),
        ("hosted_vllm", "http://gpu-1:8000/models/llama/v1", "http://gpu-1:8000/models/llama/v1"),
        ("ollama", None, "http://localhost:11434"),
        ("ollama", "http://box:11434", "http://box:11434"),
        ("ollama", "http://box:11434/", "http://box:11434"),
        ("ollama_chat", "http://box:11434/api/chat", "http://box:11434"),
        ("ollama", "http://box:11434/v1", "http://box:11434/v1"),
        ("docker_model_runner", "http://box:12434", "http://box:12434/engines/llama.cpp/v1"),
        ("openai_like", "https://x.example/inference", "https://x.example/inference"),
    ],
)
def test_litellms_habits_with_api_base(name: str, api_base: str | None, url: str) -> None:
    assert base_url_for(PROVIDERS[name], api_base) == url


@pytest.mark.parametrize(
    ("provider", "headers"),
    [("openai", {"authorization": "Bearer k"}), ("anthropic", {"x-api-key": "k"}), ("never_heard_of", {"authorization": "Bearer k"})],
)
def test_how_the_credential_is_sent(provider: str, headers: dict[str, str]) -> None:
    assert auth_headers(provider, "k") == headers
