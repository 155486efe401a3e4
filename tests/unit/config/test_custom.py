"""`tollkeeper.providers`: rows of one's own, and a dialect of one's own, through the whole gateway."""

import json
from typing import Any

import pytest
from tests.support.config import compiled, found
from tests.support.upstream import completion
from tests.support.wiring import Said, Wired, wire

from tollkeeper.config.snapshot import Auth, Secret, dump, load
from tollkeeper.dialects import registry
from tollkeeper.errors import ConfigError
from tollkeeper.providers.transport import OutboundRequest

SHOUTING = "tests.support.shouting:Shouting"
ACME = {"name": "acme", "base_url": "https://llm.acme.example/v1/"}


def text(row: dict[str, Any], params: dict[str, Any] | None = None) -> str:
    entry = {"model_name": "m", "litellm_params": {"model": f"{row.get('name', 'x')}/big", **(params or {})}}
    return json.dumps({"model_list": [entry], "tollkeeper": {"providers": [row]}})


async def gateway(answer: Any, row: dict[str, Any], env: dict[str, str] | None = None, **params: Any) -> Wired:
    entry = {"model_name": "fast", "litellm_params": {"model": f"{row['name']}/big", **params}}
    return await wire(answer, entry, env=env, tollkeeper={"providers": [row]}, router_settings={"num_retries": 0})


def test_a_row_is_a_provider_with_an_address_a_dialect_and_a_key() -> None:
    snapshot = compiled(text({**ACME, "env": ["ACME_KEY", "ACME_KEY_2"], "quirks": ["max_tokens"]}), {"ACME_KEY_2": "x"})
    (deployment,) = snapshot.deployments
    assert (deployment.provider, deployment.model, deployment.dialect) == ("acme", "big", "openai_chat")
    assert (deployment.base_url, deployment.api_key) == ("https://llm.acme.example/v1", Secret("env", "ACME_KEY_2"))
    assert (deployment.auth, deployment.quirks) == (Auth("bearer"), ("max_tokens",))
    assert load(dump(snapshot)) == snapshot
    assert snapshot.unsupported == ()


async def test_its_key_and_its_headers_go_where_the_row_says() -> None:
    row = {**ACME, "env": "ACME_KEY", "auth": {"header": "X-Token", "prefix": "Token "}, "headers": {"X-Team": "${TEAM:-none}"}}
    wired = await gateway(lambda _: Said(body=completion()), row, {"ACME_KEY": "k"}, extra_headers={"x-other": "1"})
    assert (await wired.chat()).status_code == 200
    (sent,) = wired.transport.sent
    headers = sent.headers or {}
    assert sent.url == "https://llm.acme.example/v1/chat/completions"
    assert (headers["x-token"], headers["x-team"], headers["x-other"]) == ("Token k", "none", "1")
    assert "authorization" not in headers


@pytest.mark.parametrize(("auth", "header"), [("bearer", ("authorization", "Bearer k")), ("x-api-key", ("x-api-key", "k")), ("none", None)])
async def test_the_usual_ways_to_send_a_key(auth: str, header: tuple[str, str] | None) -> None:
    wired = await gateway(lambda _: Said(body=completion()), {**ACME, "auth": auth}, {"K": "k"}, api_key="os.environ/K")
    assert (await wired.chat()).status_code == 200
    sent = wired.transport.sent[0].headers or {}
    assert {name: sent[name] for name in ("authorization", "x-api-key") if name in sent} == dict([header] if header else [])


def shouted(request: OutboundRequest) -> Said:
    said = request.body.decode().upper().encode()
    return Said(pieces=[said[:3], said[3:] + b"."] if "/stream" in request.url else [said])


async def test_a_dialect_of_ones_own_answers_whole_and_streamed() -> None:
    wired = await gateway(shouted, {"name": "shout", "dialect": SHOUTING, "base_url": "https://shout.example"})
    body = (await wired.chat()).json()
    assert body["choices"][0]["message"]["content"] == "SAY HELLO"
    assert body["model"] == "fast"
    assert wired.transport.sent[0].url == "https://shout.example/whole?voice=big"
    streamed = await wired.chat(stream=True)
    data = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]
    assert "".join(choice["delta"].get("content") or "" for chunk in data for choice in chunk["choices"]) == "SAY HELLO."
    assert streamed.text.rstrip().endswith("[DONE]")
    assert [entry["status"] for entry in await wired.ledger()] == ["success", "success"]


async def test_its_stream_that_is_cut_is_no_end() -> None:
    wired = await gateway(lambda _: Said(pieces=[b"HALF"]), {"name": "shout", "dialect": SHOUTING, "base_url": "https://shout.example"})
    streamed = await wired.chat(stream=True)
    assert "[DONE]" not in streamed.text
    assert "stopped before the full stop" in streamed.text


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"name": "acme"}, "base_url"),
        ({**ACME, "name": "openai"}, "there is a provider openai already"),
        ({**ACME, "name": "A b"}, "name"),
        ({**ACME, "base_url": "llm.acme.example"}, "is not a URL"),
        ({**ACME, "dialect": "anthropic_message"}, "did you mean anthropic_messages"),
        ({**ACME, "auth": "telepathy"}, "auth"),
        ({**ACME, "autth": "bearer"}, "autth"),
    ],
)
def test_every_mistake_in_a_row_is_told(row: dict[str, Any], said: str) -> None:
    findings = found(json.dumps({"model_list": [], "tollkeeper": {"providers": [row]}}))
    assert any("tollkeeper.providers[0]" in finding and said in finding for finding in findings), findings


def test_a_dialect_that_is_not_here_is_warned_of_because_it_may_be_there() -> None:
    warnings = compiled(text({**ACME, "dialect": "acme_llm.dialect:Acme"})).warnings
    assert any("acme_llm" in warning and "importable where the gateway runs" in warning for warning in warnings)


@pytest.mark.parametrize(
    "name", ["tests.support.shouting:Nobody", "tests.support.shouting:USAGE", "no_such_module:X", ":", "builtins:object"]
)
def test_what_is_no_dialect_is_said(name: str) -> None:
    with pytest.raises(ConfigError, match=r"The dialect .* (cannot be loaded|has no)"):
        registry.get(name)
