import json
from typing import Any

import pytest

from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.openai_chat import OpenAIChat
from tollkeeper.errors import UnsupportedParams

MESSAGES = [{"role": "user", "content": "hi"}]


def body(request: Json, quirks: str = "", **more: Any) -> Json:
    target = Target("upstream", "https://up.example/v1", "alias", provider="acme", quirks=frozenset(quirks.split()), **more)
    sent: Json = json.loads(OpenAIChat().encode({"model": "alias", "messages": MESSAGES, **request}, target).body)
    return sent


def test_the_request_is_passed_on_with_the_providers_model() -> None:
    assert body({"temperature": 0.2, "made_up": {"x": 1}}) == {
        "model": "upstream",
        "messages": MESSAGES,
        "temperature": 0.2,
        "made_up": {"x": 1},
    }


def test_the_request_is_not_changed() -> None:
    request = {"messages": [{"role": "developer", "content": "x"}], "max_tokens": 5, "stream": True, "stream_options": {}}
    before = json.dumps(request)
    body(request, "developer_to_system max_completion_tokens")
    assert json.dumps(request) == before


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://up.example/v1", "https://up.example/v1/chat/completions"),
        ("https://up.example/openai/v1/chat/completions", "https://up.example/openai/v1/chat/completions"),
    ],
)
def test_the_address(base_url: str, url: str) -> None:
    wire = OpenAIChat().encode({"messages": MESSAGES, "extra_headers": {"X-Title": "app"}}, Target("m", base_url, "a"))
    assert (wire.url, wire.method) == (url, "POST")
    assert wire.headers == {"content-type": "application/json", "x-title": "app"}


def test_a_stream_is_always_asked_for_its_usage() -> None:
    assert body({"stream": True})["stream_options"] == {"include_usage": True}
    assert body({"stream": True, "stream_options": {"include_usage": False, "x": 1}})["stream_options"] == {"include_usage": True, "x": 1}
    assert "stream_options" not in body({"stream": False})
    assert "stream_options" not in body({"stream": True, "stream_options": {"include_usage": True}}, "no_stream_options")


@pytest.mark.parametrize(
    ("quirk", "given", "sent"),
    [
        ("max_completion_tokens", {"max_tokens": 5}, {"max_completion_tokens": 5}),
        ("max_completion_tokens", {"max_tokens": 5, "max_completion_tokens": 3}, {"max_completion_tokens": 3}),
        ("max_completion_tokens", {"max_tokens": None}, {}),
        ("max_tokens", {"max_completion_tokens": 7}, {"max_tokens": 7}),
        ("max_tokens", {"max_completion_tokens": 7, "max_tokens": 9}, {"max_tokens": 7}),
        ("", {"max_tokens": 5, "max_completion_tokens": 3}, {"max_tokens": 5, "max_completion_tokens": 3}),
    ],
)
def test_the_output_limit_goes_under_the_name_the_model_obeys(quirk: str, given: Json, sent: Json) -> None:
    names = ("max_tokens", "max_completion_tokens")
    assert {name: value for name, value in body(given, quirk).items() if name in names} == sent


def test_developer_becomes_system_only_where_it_must() -> None:
    request = {"messages": [{"role": "developer", "content": "x"}, {"role": "user", "content": "y"}]}
    assert [message["role"] for message in body(request, "developer_to_system")["messages"]] == ["system", "user"]
    assert body(request)["messages"][0]["role"] == "developer"


def test_a_profile_refuses_or_drops_a_parameter() -> None:
    with pytest.raises(UnsupportedParams, match="temperature"):
        body({"temperature": 0.5}, "unsupported:temperature")
    assert "temperature" not in body({"temperature": 0.5}, "unsupported:temperature", drop_params=True)
    assert body({"temperature": 0.5}, "unsupported:temperature", allow=frozenset({"temperature"}))["temperature"] == 0.5
    assert "temperature" not in body({"temperature": 1}, "unsupported:temperature")
