"""What is media counts by its rule; what only looks like it counts by its bytes."""

from typing import Any

import orjson
import pytest

from tollkeeper.budgets.media import media_tokens, own_tool_uses, survey

PICTURE = "iVBORw0KGgo" + "A" * 100_000
URL = "data:image/png;base64," + PICTURE


def parts(*content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(content)}]}


@pytest.mark.parametrize(
    "request_",
    [
        parts({"type": "image_url", "image_url": {"url": URL, "detail": "high"}}),
        parts({"type": "image_url", "image_url": URL}),
        parts({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}}),
        parts({"image": {"format": "png", "source": {"bytes": PICTURE}}}),
        parts({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": {"type": "base64", "data": PICTURE}}]}),
        parts({"toolResult": {"toolUseId": "t", "content": [{"image": {"format": "png", "source": {"bytes": PICTURE}}}]}}),
        {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": PICTURE}}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": URL}]}]},
        {"messages": [{"role": "user", "content": "look", "images": [PICTURE]}]},
    ],
)
def test_a_picture_is_found_in_every_dialect(request_: dict[str, Any]) -> None:
    found = survey(request_)
    assert [item.kind for item in found.media] == ["image"]
    assert len(PICTURE) <= found.encoded <= len(URL)
    assert found.encoded < len(orjson.dumps(request_))


@pytest.mark.parametrize(
    ("provider", "model", "most"),
    [("openai", "gpt-4o-mini", 48_169), ("anthropic", "claude-opus-4-8", 4_800), ("gemini", "gemini-3-pro", 4_200), ("x", "llava", 16_384)],
)
def test_a_picture_costs_what_its_provider_says_at_most(provider: str, model: str, most: int) -> None:
    [picture] = survey(parts({"type": "image_url", "image_url": {"url": URL}})).media
    assert media_tokens(picture, provider, model) == most


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": URL},
        {"type": "text", "text": PICTURE, "image": {}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A" * 50_000}},
        {"type": "image_url", "image_url": {"url": "a caption that is prose " * 2_000}},
        {"type": "tool_use", "input": {"type": "image", "source": {"data": PICTURE}}},
        {"type": "unheard-of", "data": PICTURE},
        PICTURE,
    ],
)
def test_text_in_the_clothes_of_media_counts_by_its_bytes(part: Any) -> None:
    assert survey(parts(part)).encoded == 0


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PICTURE}},
        {"type": "video_url", "video_url": {"url": "https://example.com/v.mp4"}},
        {"fileData": {"fileUri": "gs://b/o"}},
        {"inlineData": {"mimeType": "video/mp4", "data": PICTURE}},
        {"document": {"format": "pdf", "name": "a", "source": {"bytes": PICTURE}}},
    ],
)
def test_what_nothing_here_can_measure_is_left_to_the_window(part: Any) -> None:
    assert survey(parts(part)).opaque


def test_sound_counts_by_its_bytes_and_its_form() -> None:
    [mp3] = survey(parts({"type": "input_audio", "input_audio": {"data": "A" * 16_000, "format": "mp3"}})).media
    [wav] = survey(parts({"type": "input_audio", "input_audio": {"data": "A" * 16_000, "format": "wav"}})).media
    assert media_tokens(mp3, "openai", "") == 1_016
    assert media_tokens(wav, "openai", "") == 96
    [gemini] = survey({"contents": [{"parts": [{"inlineData": {"mimeType": "audio/x-wav", "data": "A" * 16_000}}]}]}).media
    assert media_tokens(gemini, "gemini", "") == 96


@pytest.mark.parametrize(
    ("tool", "uses"),
    [
        ({"type": "function", "function": {"name": "f"}}, 0),
        ({"name": "f", "input_schema": {}}, 0),
        ({"type": "custom", "name": "f"}, 0),
        ({"toolSpec": {"name": "f"}}, 0),
        ({"functionDeclarations": []}, 0),
        ({"functionDeclarations": [], "googleSearch": {}}, 10),
        ({"googleSearch": {}}, 10),
        ({"type": "web_search_20250305", "name": "web_search", "max_uses": 2}, 2),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, 10),
        ({"type": "web_search_20250305", "name": "web_search", "max_uses": 10**9}, 100),
    ],
)
def test_tools_the_provider_runs_are_told_from_the_callers_own(tool: dict[str, Any], uses: int) -> None:
    found = survey({"tools": [tool]})
    assert (found.tool_uses, found.has_tools) == (uses, True)


def test_models_that_search_unasked_count_as_tools() -> None:
    assert own_tool_uses("compound-beta")
    assert own_tool_uses("gpt-4o-search-preview")
    assert not own_tool_uses("gpt-4.1")
