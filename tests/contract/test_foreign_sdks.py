"""Google's, Cohere's, Mistral's and Ollama's clients and our gateway ask the same replayed provider: they must understand the same answer.

They are not locked with the rest; `make sdks` makes their environment.
"""

import json
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.support.cloud_recordings import Exchange, exchanges
from tests.support.gateway import MASTER_KEY, ROOT, GatewayProcess, config_of
from tests.support.recordings import hub_answers, hub_stream_answers
from tests.support.upstream import Received, Reply, Upstream

PYTHON = ROOT / ".venv-sdks" / "bin" / "python"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not PYTHON.exists(), reason="run `make sdks` first")]

Json = dict[str, Any]
APIS = {
    "gemini/generateContent": ("google", "gemini"),
    "gemini/streamGenerateContent": ("google", "gemini"),
    "cohere/chat_v2": ("cohere", "cohere"),
    "mistral/chat": ("mistral", "mistral"),
    "ollama/api_chat": ("ollama", "ollama"),
}
"""Folder of recordings → their client, and our provider."""


def kind_of(exchange: Exchange) -> str:
    return exchange.name.rpartition("/")[0]


def usable(exchange: Exchange | None) -> bool:
    """Google's client reads server-sent events only; an answer that ends in an error has a suite of its own."""
    return exchange is not None and exchange.body.lstrip()[:1] != b"[" and b'"ERROR"' not in exchange.body


ALL = [param for api in APIS for param in exchanges(api) if usable(param.values[0])]
NUMBERS = {param.values[0].name: number for number, param in enumerate(ALL)}
CASES = ALL or [pytest.param(None, marks=pytest.mark.skip(reason="no recordings at ../shared/recordings"))]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    def replay(request: Received) -> Reply:
        exchange = ALL[int(request.path.split("/")[2])].values[0]
        return Reply(exchange.status, {"content-type": exchange.headers.get("content-type", "application/json")}, [exchange.body])

    with Upstream(replay) as server:
        yield server


@pytest.fixture(scope="module")
def client(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    def row(number: int, exchange: Exchange) -> Json:
        tail = {"gemini": "/v1beta", "mistral": "/v1"}.get(provider := APIS[kind_of(exchange)][1], "")
        params = {"model": f"{provider}/{exchange.model}", "api_base": f"{upstream.url}/case/{number}{tail}", "api_key": "k"}
        return {"model_name": f"m{number}", "litellm_params": params, "model_info": {"mode": "chat"}}

    config = config_of(*(row(number, param.values[0]) for number, param in enumerate(ALL)), router_settings={"num_retries": 0})
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config).start()
    with openai.OpenAI(api_key=MASTER_KEY, base_url=f"{process.url}/v1", max_retries=0) as made:
        yield made
    process.stop()


def streams(exchange: Exchange) -> bool:
    return exchange.kind != "json"


@pytest.fixture(scope="module")
def theirs(upstream: Upstream) -> Any:
    """What the provider's own client understood of each, all of a client's cases in one process."""

    @cache
    def answers(name: str) -> dict[int, Json]:
        mine = [(number, param.values[0]) for number, param in enumerate(ALL) if APIS[kind_of(param.values[0])][0] == name]
        cases = [{"url": f"{upstream.url}/case/{number}", "model": one.model or "m", "stream": streams(one)} for number, one in mine]
        script = str(Path(__file__).parents[1] / "sdks" / "ask.py")
        given = "\n".join(map(json.dumps, cases))
        done = subprocess.run([str(PYTHON), script, name], input=given, capture_output=True, text=True, timeout=300, check=False)
        lines = done.stdout.splitlines()
        assert len(lines) == len(mine), f"{name} stopped at {mine[len(lines)][1].name}:\n{done.stderr[-2000:]}"
        return {number: json.loads(line) for (number, _), line in zip(mine, lines, strict=True)}

    return answers


@pytest.mark.parametrize("exchange", CASES)
def test_the_providers_own_client_and_the_gateway_understand_the_same(exchange: Exchange, theirs: Any, client: openai.OpenAI) -> None:
    number = NUMBERS[exchange.name]
    expected = theirs(APIS[kind_of(exchange)][0])[number]
    asked: Json = {"model": f"m{number}", "messages": [{"role": "user", "content": "Hello"}]}
    if streams(exchange):
        with client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}) as stream:
            chunks = [chunk.model_dump() for chunk in stream]
        answer, usages = hub_stream_answers(chunks)[0], [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    else:
        body = client.chat.completions.create(**asked).model_dump()
        answer, usages = hub_answers(body)[0], [body["usage"]] if body.get("usage") else []
    ours = {"text": answer.text, "reasoning": answer.reasoning, "tools": [list(tool) for tool in answer.tools]}
    assert ours == {name: expected[name] for name in ours}
    assert (answer.finish == "length") == expected["length"]
    assert (answer.finish == "tool_calls") == bool(expected["tools"] and not expected["length"])
    if expected["tokens"] and any(expected["tokens"]):
        assert [usages[-1]["prompt_tokens"], usages[-1]["completion_tokens"]] == expected["tokens"]
