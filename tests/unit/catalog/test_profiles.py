import pytest

from tollkeeper.catalog.profiles import PROFILES, Profile, quirks_for


@pytest.mark.parametrize(
    ("provider", "model", "has", "lacks"),
    [
        ("openai", "o3-mini-2025-01-31", {"max_completion_tokens", "unsupported:temperature"}, set()),
        ("openai", "gpt-5", {"max_completion_tokens", "unsupported:temperature"}, set()),
        ("openai", "gpt-5-nano-2025-08-07", {"unsupported:logprobs"}, set()),
        ("openai", "gpt-5.4-2026-03-05", {"max_completion_tokens"}, {"unsupported:temperature"}),
        ("openai", "gpt-5-chat-latest", {"max_completion_tokens"}, {"unsupported:temperature"}),
        ("openai", "gpt-4o", set(), {"max_completion_tokens", "unsupported:temperature"}),
        ("openrouter", "openai/o3-mini", set(), {"max_completion_tokens"}),
        ("mistral", "mistral-large-latest", {"max_tokens", "no_stream_options", "developer_to_system"}, set()),
        ("anthropic", "claude-opus-4-7", {"adaptive_thinking", "unsupported:temperature"}, {"json_schema_by_tool"}),
        ("anthropic", "claude-sonnet-5", {"adaptive_thinking"}, {"json_schema_by_tool", "unsupported:temperature"}),
        ("anthropic", "claude-opus-4-6", set(), {"adaptive_thinking", "json_schema_by_tool"}),
        ("anthropic", "claude-sonnet-4-5-20250929", set(), {"adaptive_thinking", "json_schema_by_tool"}),
        ("anthropic", "claude-sonnet-4-20250514", {"json_schema_by_tool"}, {"adaptive_thinking"}),
        ("anthropic", "claude-sonnet-4-0", {"json_schema_by_tool"}, set()),
        ("anthropic", "claude-3-5-haiku-20241022", {"json_schema_by_tool"}, {"adaptive_thinking"}),
        ("bedrock", "us.anthropic.claude-3-7-sonnet-20250219-v1:0", {"json_schema_by_tool"}, {"adaptive_thinking"}),
        ("never_heard_of", "o3", set(), {"max_completion_tokens"}),
    ],
)
def test_quirks(provider: str, model: str, has: set[str], lacks: set[str]) -> None:
    quirks = quirks_for(provider, model)
    assert has <= quirks
    assert not lacks & quirks


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.models.pattern)
def test_every_profile_says_why(profile: Profile) -> None:
    assert len(profile.reason) > 20
    assert profile.link.startswith("https://")
