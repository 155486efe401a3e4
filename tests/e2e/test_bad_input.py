"""Everything that can go wrong with one call: what the caller gets, and what the ledger then holds."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.support.gateway import MASTER_KEY, GatewayProcess, config_of, model
from tests.support.upstream import Reply, Upstream, as_json, as_sse, chunk, completion, text_stream

ASK = [{"role": "user", "content": "Say hello"}]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(lambda _: as_json(completion())) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = config_of(
        model("fast", "openai/gpt-4o-mini", f"{upstream.url}/v1"),
        model("down", "openai/gpt-4o-mini", "http://127.0.0.1:9/v1"),
        model("strict", "anthropic/claude-sonnet-4-5", upstream.url),
        model("impatient", "openai/gpt-4o-mini", f"{upstream.url}/v1", timeout=0.2, stream_timeout=0.2),
        router_settings={"num_retries": 0},
    )
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config).start()
    yield process
    process.stop()


class Caller:
    """Posts chats with the master key and looks into the ledger."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.gateway = gateway
        self._seen = {entry["sk"] for entry in gateway.ledger()}

    def post(self, body: Any, *, content: bytes | None = None, path: str = "/v1/chat/completions") -> httpx.Response:
        raw = content if content is not None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {MASTER_KEY}", "content-type": "application/json"}
        return httpx.post(self.gateway.url + path, content=raw, headers=headers, timeout=30, trust_env=False)

    def booked(self) -> list[dict[str, Any]]:
        return [entry for entry in self.gateway.ledger() if entry["sk"] not in self._seen]


@pytest.fixture
def caller(gateway: GatewayProcess, upstream: Upstream) -> Caller:
    upstream.handler = lambda _: as_json(completion())
    return Caller(gateway)


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (b"{not json", "request_body"),
        (b"", "request_body"),
        (b"[1, 2]", "request_body"),
        (b'"text"', "request_body"),
        (b'{"model": "fast"}', "messages"),
        (b'{"model": "fast", "messages": "hi"}', "messages"),
        (b'{"model": "fast", "messages": ["hi"]}', "messages"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "model"),
        (b'{"model": 7, "messages": [{"role": "user", "content": "x"}]}', "model"),
        (b'{"model": "", "messages": [{"role": "user", "content": "x"}]}', "model"),
        (b'{"model": "fast", "stream": "yes", "messages": [{"role": "user", "content": "x"}]}', "stream"),
        (b'{"model": "fast", "timeout": "soon", "messages": [{"role": "user", "content": "x"}]}', "timeout"),
        (b'{"model": "fast", "num_retries": -1, "messages": [{"role": "user", "content": "x"}]}', "num_retries"),
        (b'{"model": "nope", "messages": [{"role": "user", "content": "x"}]}', "model"),
    ],
)
def test_a_malformed_request_is_a_400_that_names_the_field(caller: Caller, raw: bytes, param: str) -> None:
    answer = caller.post(None, content=raw)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert answer.headers["x-litellm-call-id"]
    assert all((entry["status"], entry["cost"]) == ("failure", 0) for entry in caller.booked())


def test_ten_megabytes_are_refused_by_size(caller: Caller) -> None:
    answer = caller.post({"model": "fast", "messages": [{"role": "user", "content": "x" * 10_000_000}]})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (413, "invalid_request_error", "request_body")
    assert "4500000" in error["message"]
    assert caller.booked() == []


def test_an_unknown_route_and_a_wrong_method_answer_in_the_envelope(caller: Caller) -> None:
    assert caller.post({}, path="/v1/nothing").json()["error"]["code"] == "unknown_url"
    answer = httpx.get(caller.gateway.url + "/v1/chat/completions", trust_env=False)
    assert (answer.status_code, answer.headers["allow"], answer.json()["error"]["type"]) == (405, "POST", "invalid_request_error")


def test_a_provider_that_is_down(caller: Caller) -> None:
    answer = caller.post({"model": "down", "messages": ASK})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (500, "internal_server_error")
    assert "Connection error" in error["message"]
    (entry,) = caller.booked()
    assert (entry["status"], entry["http_status"], entry["error_type"], entry["attempts"]) == ("failure", 500, "internal_server_error", 1)


def test_an_html_page_instead_of_an_answer(caller: Caller, upstream: Upstream) -> None:
    upstream.handler = lambda _: Reply(200, {"content-type": "text/html"}, [b"<html><body>secret proxy page</body></html>"])
    answer = caller.post({"model": "fast", "messages": ASK})
    assert (answer.status_code, answer.json()["error"]["type"]) == (502, "upstream_error")
    assert "<html>" not in answer.text
    upstream.handler = lambda _: Reply(502, {"content-type": "text/html"}, [b"<html>Bad gateway</html>"])
    assert caller.post({"model": "fast", "messages": ASK}).status_code >= 500
    assert [entry["status"] for entry in caller.booked()] == ["failure", "failure"]


def test_a_silent_provider_is_a_timeout(caller: Caller, upstream: Upstream) -> None:
    upstream.handler = lambda _: Reply(hang=True)
    for body in ({"model": "impatient", "messages": ASK}, {"model": "impatient", "messages": ASK, "stream": True}):
        answer = caller.post(body)
        assert (answer.status_code, answer.json()["error"]["type"]) == (408, "timeout_error")
    assert [entry["error_type"] for entry in caller.booked()] == ["timeout_error", "timeout_error"]


def test_a_stream_cut_in_the_middle_ends_with_an_error_and_no_done(caller: Caller, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_sse(chunk({"role": "assistant", "content": ""}), chunk({"content": "Hello wor"}), done=False, cut=True)
    answer = caller.post({"model": "fast", "messages": ASK, "stream": True})
    assert answer.status_code == 200
    events = [line.removeprefix("data: ") for line in answer.text.split("\n") if line.startswith("data: ")]
    assert "[DONE]" not in events
    assert json.loads(events[-1])["error"]["message"]
    assert "Hello wor" in answer.text
    (entry,) = caller.booked()
    assert (entry["status"], entry["usage_at_least"]) == ("cut", True)
    assert entry["input_tokens"] > 0
    assert entry["output_tokens"] > 0
    assert entry["cost"] > 0


def test_an_error_inside_a_stream_keeps_the_providers_words(caller: Caller, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_sse(
        chunk({"role": "assistant", "content": "He"}), {"error": {"message": "the GPU caught fire", "type": "server_error"}}
    )
    answer = caller.post({"model": "fast", "messages": ASK, "stream": True})
    assert "the GPU caught fire" in answer.text
    assert "[DONE]" not in answer.text
    assert caller.booked()[0]["status"] == "cut"


def test_an_error_before_the_first_content_still_has_a_status(caller: Caller, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_sse(chunk({"role": "assistant", "content": ""}), {"error": {"message": "overloaded", "code": 503}})
    answer = caller.post({"model": "fast", "messages": ASK, "stream": True})
    assert answer.status_code >= 500
    assert "overloaded" in answer.json()["error"]["message"]


def test_a_caller_who_leaves_is_booked_and_the_provider_is_let_go(caller: Caller, upstream: Upstream) -> None:
    upstream.gone.clear()
    upstream.handler = lambda _: as_sse(*[chunk({"content": "word "})] * 500, pauses=0.02)
    body = json.dumps({"model": "fast", "messages": ASK, "stream": True}).encode()
    with socket.create_connection(("127.0.0.1", caller.gateway.port)) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {MASTER_KEY}\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        assert b"200 OK" in connection.recv(4096)
        connection.recv(4096)
    assert upstream.gone.wait(10)
    entry = _eventually(lambda: next(iter(caller.booked()), None))
    assert (entry["status"], entry["usage_at_least"]) == ("cancelled", True)
    assert entry["output_tokens"] > 0


def test_the_client_that_closes_at_done_is_booked_as_success(caller: Caller, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_sse(*text_stream("Hello"))
    headers = {"authorization": f"Bearer {MASTER_KEY}"}
    with httpx.stream(
        "POST", caller.gateway.url + "/v1/chat/completions", json={"model": "fast", "messages": ASK, "stream": True}, headers=headers
    ) as answer:
        for line in answer.iter_lines():
            if line == "data: [DONE]":
                break
    entry = _eventually(lambda: next(iter(caller.booked()), None))
    assert (entry["status"], entry["input_tokens"], entry["output_tokens"]) == ("success", 9, 12)


def test_a_parameter_the_provider_lacks_is_named(caller: Caller) -> None:
    answer = caller.post({"model": "strict", "messages": ASK, "logit_bias": {"1": 2}})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "logit_bias")
    assert "anthropic" in error["message"]


@pytest.mark.parametrize("stated", ["nope", None])
def test_a_model_that_is_none_is_refused_in_litellms_sentence(caller: Caller, stated: str | None) -> None:
    answer = caller.post({"model": stated, "messages": ASK})
    assert answer.json()["error"]["message"] == (
        f"/chat/completions: Invalid model name passed in model={stated}. Call `/v1/models` to view available models for your key."
    )


def test_heartbeats_keep_a_silent_stream_open(tmp_path: Any, upstream: Upstream) -> None:
    let_go = threading.Event()
    upstream.handler = lambda _: as_sse(chunk({"content": "slow"}), let_go, chunk({}, "stop"))
    config = config_of(model("fast", "openai/gpt-4o-mini", f"{upstream.url}/v1"))
    gateway = GatewayProcess(tmp_path, config, env={"TOLLKEEPER_HEARTBEAT_SECONDS": "0.1"}).start()
    headers = {"authorization": f"Bearer {MASTER_KEY}"}
    seen = []
    with httpx.stream(
        "POST", gateway.url + "/v1/chat/completions", json={"model": "fast", "messages": ASK, "stream": True}, headers=headers
    ) as answer:
        for line in answer.iter_lines():
            seen.append(line)
            if line.startswith(":"):
                let_go.set()
    gateway.stop()
    assert any(line.startswith(":") for line in seen)
    assert [line for line in seen if line][-1] == "data: [DONE]"


def _eventually(look: Any) -> Any:
    for _ in range(200):
        if (found := look()) is not None:
            return found
        time.sleep(0.02)
    raise AssertionError("it never happened")
