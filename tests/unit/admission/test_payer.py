"""Whom a call is booked to: the end user a request names, in LiteLLM's order of precedence."""

from typing import Any

import pytest
from tests.support.gateway import MASTER_KEY, model
from tests.support.upstream import completion
from tests.support.wiring import Said, wire

MAPPINGS = [
    {"header_name": "X-OpenWebUI-User-Email", "litellm_user_role": "customer"},
    {"header_name": "X-Holder", "litellm_user_role": "internal_user"},
]
EVERYWHERE: dict[str, Any] = {"user": "body", "litellm_metadata": {"user": "litellm"}, "metadata": {"user_id": "metadata"}}


@pytest.mark.parametrize(
    ("headers", "body", "customer"),
    [
        ({"x-litellm-end-user-id": "own", "x-my-user": "named", "x-openwebui-user-email": "mapped"}, EVERYWHERE, "own"),
        ({"x-my-user": "named", "x-openwebui-user-email": "mapped"}, EVERYWHERE, "named"),
        ({"x-openwebui-user-email": "mapped", "x-holder": "nobody"}, EVERYWHERE, "mapped"),
        ({"x-holder": "nobody"}, EVERYWHERE, "body"),
        ({}, {name: value for name, value in EVERYWHERE.items() if name != "user"}, "litellm"),
        ({}, {"metadata": {"user_id": "metadata"}}, "metadata"),
        ({}, {}, None),
    ],
)
async def test_the_end_user_is_found_where_litellm_looks(headers: dict[str, str], body: dict[str, Any], customer: str | None) -> None:
    wired = await wire(
        lambda _: Said(body=completion()),
        model("fast", "openai/gpt-4o-mini", "http://x.test/v1"),
        general_settings={"user_header_name": "X-My-User", "user_header_mappings": MAPPINGS},
    )
    assert "general_settings.user_header_mappings[1]" in wired.running.installation.snapshot.unsupported
    asked = {"model": "fast", "messages": [{"role": "user", "content": "x"}], **body}
    answer = await wired.client.post("/v1/chat/completions", json=asked, headers={"authorization": f"Bearer {MASTER_KEY}", **headers})
    assert answer.status_code == 200
    assert [entry.get("customer_id") for entry in await wired.ledger()] == [customer]
