"""pass_through_endpoints, mcp_servers and agent_list: what is compiled, and what is said of mistakes."""

from typing import Any

import pytest
import yaml

from tollkeeper.config.compile import compile_config
from tollkeeper.config.snapshot import Secret, dump, load
from tollkeeper.errors import ConfigError

GOOD: dict[str, Any] = {
    "general_settings": {
        "pass_through_endpoints": [{"path": "/r", "target": "https://x.com/r", "headers": {"Authorization": "Bearer os.environ/KEY"}}]
    },
    "mcp_servers": {
        "my math": {"url": "https://m.com/mcp", "auth_type": "bearer_token", "auth_value": "os.environ/TOKEN", "allowed_tools": ["add"]},
        "plain": {"url": "http://localhost:1/mcp", "transport": "http"},
    },
    "agent_list": [
        {"agent_name": "a", "agent_card_params": {"name": "A", "url": "http://localhost:2/"}},
        {"agent_name": "b", "agent_card_params": {"name": "B"}, "litellm_params": {"model": "fast"}},
    ],
}


def compiled(data: dict[str, Any]) -> Any:
    return compile_config(yaml.safe_dump(data), env={"KEY": "s3cr3t", "TOKEN": "s3cr3t"}.get)


def test_credentials_stay_references_and_the_rest_survives_the_disk() -> None:
    snapshot = compiled(GOOD)
    assert load(dump(snapshot)).upstreams == snapshot.upstreams
    assert b"s3cr3t" not in dump(snapshot)
    found = {(each.kind, each.name): each for each in snapshot.upstreams}
    assert found["passage", "/r"].headers == {"authorization": (Secret("literal", "Bearer "), Secret("env", "KEY"))}
    assert found["mcp", "my_math"].headers == {"authorization": (Secret("literal", "Bearer "), Secret("env", "TOKEN"))}
    assert found["agent", "b"].terms["model"] == "fast"
    assert not snapshot.unsupported


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"general_settings": {"pass_through_endpoints": [{"path": "r", "target": "https://x"}]}}, "pass_through_endpoints[0].path"),
        ({"general_settings": {"pass_through_endpoints": [{"path": "/r", "target": "x.com"}]}}, "is no http(s) address"),
        ({"general_settings": {"pass_through_endpoints": [{"target": "https://x"}]}}, "is missing"),
        ({"mcp_servers": {"s": {"transport": "stdio", "url": "x"}}}, "transport stdio is not spoken here"),
        ({"mcp_servers": {"s-1": {"url": "https://x"}}}, "no name for a server"),
        ({"mcp_servers": {"s": {}}}, "is missing"),
        ({"agent_list": [{"agent_name": "a"}]}, "leads nowhere"),
        ({"agent_list": [{"agent_name": "a", "agent_card_params": {"url": "ftp://x"}}]}, "is no http(s) address"),
    ],
)
def test_a_mistake_is_said(section: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compiled(section)
    assert said in caught.value.message
