"""Every recorded chat through the running program: the provider's bytes replayed on a socket, the request sent by an ordinary client.

The dialects have suites of their own; this one shows that nothing on the way (config, credentials, transport, failover, edge) changes what
they understood, and that every answer satisfies the openai package's types.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.support.anthropic_requests import to_hub
from tests.support.gateway import MASTER_KEY, GatewayProcess, config_of, model
from tests.support.recordings import Recording, hub_answers, hub_stream_answers, recordings
from tests.support.upstream import Received, Reply, Upstream

from tollkeeper.catalog.providers import PROVIDERS
from tollkeeper.dialects import registry
from tollkeeper.dialects.base import StreamFailed, Target
from tollkeeper.errors import UpstreamError

PREFIXES = {"together": "together_ai", "vercel": "vercel_ai_gateway", "github_models": "github", "azure": "openai", "ollama": "openai"}
DIALECTS = {"openai.chat": "openai_chat", "anthropic.messages": "anthropic_messages"}


def _replayable(recording: Any) -> bool:
    return recording is not None and isinstance(recording.request, dict) and bool(recording.request.get("messages"))


ALL = [
    parameter
    for dialect in DIALECTS
    for failed in (False, True)
    for parameter in recordings(dialect, failed=failed)
    if _replayable(parameter.values[0])
]
NUMBERS = {parameter.values[0].name: number for number, parameter in enumerate(ALL)}


def _prefix(recording: Recording) -> str:
    if recording.dialect == "anthropic.messages":
        return "anthropic"
    name = PREFIXES.get(recording.provider, recording.provider)
    row = PROVIDERS.get(name)
    return name if row is not None and row.dialect == "openai_chat" else "openai"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    def replay(request: Received) -> Reply:
        recording = ALL[int(request.path.split("/")[2])].values[0]
        headers = {name: value for name, value in recording.headers.items() if name in {"content-type", "retry-after", "retry-after-ms"}}
        return Reply(recording.status, headers, [recording.body] if recording.body else [])

    with Upstream(replay) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    rows = [
        model(
            f"m{number}",
            f"{_prefix(row.values[0])}/{row.values[0].model or 'unknown'}",
            f"{upstream.url}/case/{number}/v1",
            model_info={"mode": "chat"},
        )
        for number, row in enumerate(ALL)
    ]
    config = config_of(*rows, router_settings={"num_retries": 0}, litellm_settings={"drop_params": True})
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config).start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {MASTER_KEY}"}, timeout=30, trust_env=False) as made:
        yield made


def expected(recording: Recording) -> tuple[list[dict[str, Any]], UpstreamError | None]:
    """What the dialect, proven elsewhere, makes of the recording: hub objects, and the error it ends with."""
    target = Target(model="m", base_url="https://x", alias="a", provider=_prefix(recording))
    dialect = registry.get(DIALECTS[recording.dialect])
    if recording.status >= 300:
        return [], dialect.decode_error(recording.status, recording.headers, recording.body, target)
    if recording.kind != "sse":
        return [dialect.decode(recording.body, target)], None
    decoder, chunks = dialect.stream_decoder(target), []
    try:
        chunks += decoder.feed(recording.body)
        chunks += decoder.close()
    except StreamFailed as failed:
        return [chunk.data for chunk in [*chunks, *failed.chunks]], failed.error
    except UpstreamError as error:
        return [chunk.data for chunk in chunks], error
    return [chunk.data for chunk in chunks], None


@pytest.mark.parametrize("recording", ALL)
def test_the_program_passes_on_what_the_provider_said(recording: Recording, client: httpx.Client) -> None:
    alias = f"m{NUMBERS[recording.name]}"
    request = to_hub(recording.request) if recording.dialect == "anthropic.messages" else dict(recording.request)
    streamed = recording.kind == "sse"
    answer = client.post("/v1/chat/completions", json={**request, "model": alias, "stream": streamed})
    objects, error = expected(recording)
    began = any(choice.get("delta") for item in objects for choice in item.get("choices", [])) if streamed else bool(objects)
    if error is not None and not (streamed and began and answer.status_code == 200):
        assert (answer.status_code, answer.json()["error"]["message"]) == (error.status, error.message)
        return
    assert answer.status_code == 200, answer.text
    if not streamed:
        body = answer.json()
        ChatCompletion.model_validate(body, strict=True)
        assert body["model"] == alias
        assert hub_answers(body) == hub_answers(objects[0])
        return
    events = [json.loads(line[6:]) for line in answer.text.split("\n") if line.startswith("data: ") and line != "data: [DONE]"]
    chunks = [event for event in events if "error" not in event]
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
        assert chunk["model"] == alias
    assert hub_stream_answers(chunks) == hub_stream_answers(objects)
    assert ("data: [DONE]" in answer.text) == (error is None)
    assert [event["error"]["message"] for event in events if "error" in event] == ([error.message] if error else [])
