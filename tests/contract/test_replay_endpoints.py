"""Every recorded exchange that is no chat through the running program: sent by a caller who speaks the provider's own words, answered by
the provider's own bytes. What comes back is what was recorded, but for the model's name.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from tests.support.gateway import MASTER_KEY, GatewayProcess, config_of, model
from tests.support.recordings import ROOT, sse_data
from tests.support.upstream import Received, Reply, Upstream

Json = dict[str, Any]
KEPT = {"content-type", "retry-after", "retry-after-ms"}


@dataclass(frozen=True)
class Kind:
    """How a recorded API is asked for at ours."""

    path: str
    prefix: str = "openai"
    mode: str = "chat"
    base: str = "/v1"
    answers_with: str = ""


KINDS = {
    "openai.responses": Kind("/v1/responses", mode="responses", answers_with="output"),
    "anthropic.messages": Kind("/v1/messages", prefix="anthropic", base="", answers_with="content"),
    "gemini": Kind("/v1beta/models/{model}:{method}", prefix="gemini", base="/v1beta"),
    "openai.embeddings": Kind("/v1/embeddings", mode="embedding", answers_with="data"),
    "cohere.rerank": Kind("/v1/rerank", prefix="cohere", mode="rerank", base="", answers_with="results"),
    "openai.rerank": Kind("/v2/rerank", mode="rerank", answers_with="results"),
    "openai.moderations": Kind("/v1/moderations", mode="moderation", answers_with="results"),
    "openai.completions": Kind("/v1/completions", mode="completion", answers_with="choices"),
    "openai.images": Kind("/v1/images/generations", mode="image_generation", answers_with="data"),
    "/audio/transcriptions": Kind("/v1/audio/transcriptions", mode="audio_transcription", answers_with="text"),
    "/audio/speech": Kind("/v1/audio/speech", mode="audio_speech"),
}


@dataclass(frozen=True)
class Replay:
    name: str
    kind: Kind
    url: str
    request: Any
    form: bytes
    form_type: str
    status: int
    headers: dict[str, str]
    body: bytes
    shape: str


def _load() -> Iterator[Replay]:
    for path in sorted(ROOT.glob("*/*/*.json")):
        data = json.loads(path.read_text("utf-8"))
        request, response = data["request"], data["response"]
        kind = KINDS.get(data["dialect"]) or next((row for end, row in KINDS.items() if request["url"].endswith(end)), None)
        if kind is None or not (request.get("body") or request.get("body_base64")):
            continue
        lower = {name.lower(): value for name, value in request["headers"].items()}
        raw = response.get("body_base64")
        yield Replay(
            name=str(path.relative_to(ROOT).with_suffix("")),
            kind=kind,
            url=request["url"],
            request=request.get("body"),
            form=base64.b64decode(request.get("body_base64") or ""),
            form_type=lower.get("content-type", ""),
            status=response["status"],
            headers={name.lower(): value for name, value in response["headers"].items() if name.lower() in KEPT},
            body=base64.b64decode(raw) if raw else (response.get("body") or "").encode(),
            shape=data["response_kind"],
        )


ALL = list(_load())
PARAMETERS = [pytest.param(number, id=row.name) for number, row in enumerate(ALL)] or [
    pytest.param(0, marks=pytest.mark.skip(reason="no recordings at ../shared/recordings"))
]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    def replay(request: Received) -> Reply:
        row = ALL[int(request.path.split("/")[2])]
        return Reply(row.status, row.headers, [row.body] if row.body else [])

    with Upstream(replay) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    rows = [
        model(
            f"m{number}", f"{row.kind.prefix}/upstream", f"{upstream.url}/case/{number}{row.kind.base}", model_info={"mode": row.kind.mode}
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


def ask(client: httpx.Client, row: Replay, alias: str) -> httpx.Response:
    if row.form:
        model_field = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + alias.encode() + b"\r\n"
        mark = row.form_type.partition("boundary=")[2].encode()
        body = model_field.replace(b"--x", b"--" + mark) + row.form.replace(b'name="model"', b'name="was"')
        return client.post(row.kind.path, content=body, headers={"content-type": row.form_type})
    method = row.url.partition("?")[0].rpartition(":")[2]
    query = "?alt=sse" if method == "streamGenerateContent" else ""
    return client.post(row.kind.path.format(model=alias, method=method) + query, json={**row.request, "model": alias})


def renamed(answer: Any, alias: str) -> Any:
    """The answer with our name for the model wherever the provider said its own."""
    if not isinstance(answer, dict):
        return answer
    found = {name: renamed(value, alias) if name in {"response", "message"} else value for name, value in answer.items()}
    return found | {name: alias for name in ("model", "modelVersion") if isinstance(found.get(name), str)}


@pytest.mark.parametrize("number", PARAMETERS)
def test_what_the_provider_said_comes_back(number: int, client: httpx.Client) -> None:
    row, alias = ALL[number], f"m{number}"
    answer = ask(client, row, alias)
    if row.status >= 300:
        assert answer.status_code >= 400
        assert answer.json()["error"]["message"]
    elif row.shape == "binary":
        assert answer.content == row.body
    elif row.shape == "sse" and answer.status_code >= 400:
        assert any(event.get("error") for _, event in sse_data(row.body)), "what failed before it said anything has a status"
    elif row.shape == "sse":
        assert answer.status_code == 200, answer.text
        same_events(answer.content, row.body, alias)
    elif row.kind.path == "/v1/audio/speech":
        assert answer.content == base64.b64decode(json.loads(row.body)["audio_data"])
    else:
        whole(answer, json.loads(row.body), row, alias)


def whole(answer: httpx.Response, said: Any, row: Replay, alias: str) -> None:
    if isinstance(said, list):
        assert [event for _, event in sse_data(answer.content)] == [renamed(document, alias) for document in said]
        return
    if said.get("error") or said.get("status") in {"failed", "cancelled"}:
        assert answer.status_code >= 400
        return
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert {**body, "model": alias} == {**renamed(said, alias), "model": alias, **object_of(row)}


def object_of(row: Replay) -> Json:
    return {"object": "text_completion"} if row.kind.mode == "completion" else {}


def same_events(ours: bytes, theirs: bytes, alias: str) -> None:
    """Up to the end, or to the error the provider put there."""
    expected = [renamed(event, alias) for _, event in sse_data(theirs)]
    found = [event for _, event in sse_data(ours)]
    failed = next((place for place, event in enumerate(expected) if event.get("error") or event.get("type") == "error"), None)
    end = len(expected) if failed is None else failed
    kept = [event for event in expected[:end] if event.get("type") != "response.failed"]
    assert [without_usage(event) for event in found[: len(kept)]] == [without_usage(event) for event in kept]


def without_usage(event: Json) -> Json:
    """A text completion's last chunk says what it cost. A response in the background is kept here, under an id of ours."""
    if "choices" in event:
        return {name: value for name, value in event.items() if name not in {"usage", "object"}}
    if (response := event.get("response") or {}).get("background"):
        return {**event, "response": {name: value for name, value in response.items() if name not in {"id", "store"}}}
    return event
