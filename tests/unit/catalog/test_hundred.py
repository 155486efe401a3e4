"""Every row of the catalog: complete, unique, and spoken by somebody."""

import re
from collections import Counter

import pytest

from tollkeeper.catalog.clouds import CLOUDS
from tollkeeper.catalog.providers import PROVIDERS, Provider, auth_headers, dialect_for
from tollkeeper.catalog.servers import SERVERS
from tollkeeper.catalog.services import SERVICES
from tollkeeper.dev.cli import main
from tollkeeper.dialects import registry

ROWS = (*CLOUDS, *SERVERS, *SERVICES)
HERE = re.compile(r"http://(?:localhost|127\.0\.0\.1):\d{4,5}(?:/[\w./-]+)?")
PUBLIC = re.compile(r"https://[a-z0-9{}-]+(?:\.[a-z0-9{}-]+)+(?:/[\w{}./-]+)?")
VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
QUIRK = re.compile(r"max_tokens|max_completion_tokens|developer_to_system|no_stream_options|keeps_gateway_fields|history:\w+|tool_ids:\d+")


def test_there_are_a_hundred_providers_and_no_two_of_one_name() -> None:
    assert len(ROWS) >= 100
    assert [name for name, count in Counter(row.name for row in ROWS).items() if count > 1] == []
    assert list(PROVIDERS.values()) == list(ROWS)


@pytest.mark.parametrize("rows", [SERVERS, SERVICES], ids=["servers", "services"])
def test_no_two_rows_of_a_list_say_the_same(rows: tuple[Provider, ...]) -> None:
    lines = Counter((row.base_url, row.key_env) for row in rows)
    shared = {address for (address, _), count in lines.items() if count > 1}
    # Two names for one thing are LiteLLM's: a prefix with and without `_chat`.
    assert shared <= {"", "http://localhost:11434", "https://api.ai21.com/studio/v1"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_can_be_used(row: Provider) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", row.name)
    assert not row.base_url or (HERE if row in SERVERS else PUBLIC).fullmatch(row.base_url)
    assert row.base_url == row.base_url.rstrip("/")
    assert row.base_url or row.base_env, "nobody could say where it is"
    assert all(VARIABLE.fullmatch(name) for name in (*row.key_env, *row.base_env))
    assert row.key_env
    assert row.key_required == (row not in SERVERS)
    assert row.link.startswith("https://")
    assert row.dialect in registry.names()
    assert all(QUIRK.fullmatch(quirk) for quirk in row.quirks)
    assert list(auth_headers(row.name, "k").values()) in (["Bearer k"], ["k"])


@pytest.mark.parametrize("row", [row for row in ROWS if "{" in row.base_url], ids=lambda row: row.name)
def test_every_place_in_an_address_can_be_filled(row: Provider) -> None:
    assert set(re.findall(r"{(\w+)}", row.base_url)) == {blank.name for blank in row.blanks}
    assert all(blank.env for blank in row.blanks)


@pytest.mark.parametrize(
    ("name", "base_url", "responses", "dialect"),
    [
        ("openai", "https://api.openai.com/v1", False, "openai_chat"),
        ("openai", "https://api.openai.com/v1", True, "openai_responses"),
        ("anthropic", "https://api.anthropic.com", True, "anthropic_messages"),
        ("ollama", "http://localhost:11434", False, "ollama_chat"),
        ("ollama_chat", "http://box:11434/v1", False, "openai_chat"),
        ("azure_ai", "https://r.services.ai.azure.com/anthropic", False, "anthropic_messages"),
        ("azure_ai", "https://r.services.ai.azure.com/models?api-version=1", False, "openai_chat"),
        ("gemini", "https://generativelanguage.googleapis.com/v1beta", False, "gemini_generate"),
    ],
)
def test_which_dialect_a_provider_speaks(name: str, base_url: str, responses: bool, dialect: str) -> None:
    assert dialect_for(PROVIDERS[name], base_url, responses=responses) == dialect


def test_the_command_line_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["providers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(ROWS) + 1
    assert re.search(r"^openai/ +openai_chat +https://api\.openai\.com/v1 +OPENAI_API_KEY +https://", "\n".join(lines), re.MULTILINE)
    assert main(["providers", "ollama"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["PREFIX", "ollama/", "ollama_chat/"]
