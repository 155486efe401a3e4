import subprocess
import sys

import pytest

from tollkeeper.catalog.providers import PROVIDERS
from tollkeeper.dialects import registry


@pytest.mark.parametrize("name", registry.names())
def test_every_dialect_is_found_under_its_name(name: str) -> None:
    assert registry.get(name).name == name
    assert registry.get(name) is registry.get(name)


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        registry.get("morse")


def test_every_provider_speaks_a_registered_dialect() -> None:
    assert {row.dialect for row in PROVIDERS.values()} <= set(registry.names())


def test_a_dialect_is_imported_only_when_it_is_asked_for() -> None:
    code = (
        "import sys; from tollkeeper.dialects import registry; registry.get('openai_chat'); "
        "assert 'tollkeeper.dialects.openai_chat' in sys.modules; assert 'tollkeeper.dialects.anthropic_messages' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
