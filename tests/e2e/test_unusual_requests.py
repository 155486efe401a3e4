"""Requests that are unusual and legal, on a real socket: compressed, from a browser, with names and items that not every make takes."""

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from tests.clients.provider import config, provider
from tests.support.gateway import MASTER_KEY, GatewayProcess
from tests.support.upstream import Received, Reply, Upstream, as_json, as_sse, chunk, completion

BODY = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}
RAW = json.dumps(BODY).encode()
PICTURE = "data:image/png;base64,iVBORw0KGgo="
LONG = "mcp__a_server_with_a_long_name__" + "and_a_tool_with_a_longer_one_" * 3


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(provider) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config(upstream.url)).start()
    yield process
    process.stop()


@pytest.fixture
def caller(gateway: GatewayProcess, upstream: Upstream) -> Iterator[httpx.Client]:
    upstream.handler = provider
    headers = {"authorization": f"Bearer {MASTER_KEY}"}
    with httpx.Client(base_url=gateway.url, headers=headers, trust_env=False, timeout=30) as client:
        yield client


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("codings", "content"),
    [
        ("gzip", gzip.compress(RAW, mtime=0)),
        ("x-gzip", gzip.compress(RAW, mtime=0)),
        ("deflate", zlib.compress(RAW)),
        ("deflate", bare_deflate(RAW)),
        ("deflate, gzip", gzip.compress(zlib.compress(RAW), mtime=0)),
        ("identity", RAW),
    ],
)
def test_a_compressed_request(caller: httpx.Client, upstream: Upstream, codings: str, content: bytes) -> None:
    answer = caller.post("/v1/chat/completions", content=content, headers={"content-encoding": codings})
    assert answer.status_code == 200, answer.text
    assert upstream.received[-1].json["messages"] == BODY["messages"]


@pytest.mark.parametrize(
    ("codings", "content", "status", "said"),
    [
        ("gzip", RAW, 400, "not gzip"),
        ("gzip", gzip.compress(RAW, mtime=0)[:-12], 400, "ends before its end"),
        ("br", RAW, 415, "'br'"),
        ("gzip", gzip.compress(b" " * 20_000_000, mtime=0), 413, "4500000"),
    ],
)
def test_a_request_that_cannot_be_unpacked(caller: httpx.Client, codings: str, content: bytes, status: int, said: str) -> None:
    answer = caller.post("/v1/messages", content=content, headers={"content-encoding": codings})
    assert (answer.status_code, answer.json()["type"]) == (status, "error")
    assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("text", "arrives"),
    [
        (b"cut \\ud83d here", "cut � here"),
        (b"cut \\uDE00 here", "cut � here"),
        (b"whole \\ud83d\\ude00 and half \\ud83d", "whole 😀 and half �"),
        (b"no \\\\ud83d escape \\ud83d", "no \\ud83d escape �"),
    ],
)
def test_half_a_character_is_replaced(caller: httpx.Client, upstream: Upstream, text: bytes, arrives: str) -> None:
    raw = b'{"model": "gpt", "messages": [{"role": "user", "content": "%s"}]}' % text
    assert caller.post("/v1/chat/completions", content=raw).status_code == 200
    assert upstream.received[-1].json["messages"][0]["content"] == arrives
    assert caller.post("/v1/chat/completions", content=b"\xef\xbb\xbf" + raw).status_code == 200, "a byte order mark, too"
    assert caller.post("/v1/chat/completions", content=raw + b"x").status_code == 400


def test_in_pieces_and_with_a_slash_at_the_end(caller: httpx.Client) -> None:
    assert caller.post("/v1/chat/completions/", content=iter([RAW[:9], RAW[9:]])).status_code == 200
    assert caller.get("/v1/models/").json()["object"] == "list"


def test_a_browser_may_ask_from_anywhere(caller: httpx.Client) -> None:
    wanted = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    allowed = httpx.options(f"{caller.base_url}/v1/chat/completions", headers={"origin": "https://app.example", **wanted}, trust_env=False)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, "*")
    assert allowed.headers["access-control-allow-headers"] == wanted["access-control-request-headers"]
    assert "access-control-allow-credentials" not in allowed.headers
    answer = caller.post("/v1/chat/completions", content=RAW, headers={"origin": "https://app.example"})
    assert (answer.headers["access-control-allow-origin"], answer.headers["access-control-expose-headers"]) == ("*", "*")
    refused = httpx.post(f"{caller.base_url}/v1/chat/completions", content=RAW, headers={"origin": "https://app.example"}, trust_env=False)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*"), "a page can read why"
    assert "access-control-allow-origin" not in caller.post("/v1/chat/completions", content=RAW).headers


def calls_the_tool(request: Received) -> Reply:
    """Calls the first tool it has been told of, by the name it has been told."""
    if ":" in request.path:
        raise AssertionError(request.path)
    called = {"index": 0, "id": "call_1", "type": "function"}
    function = {"name": request.json["tools"][0]["function"]["name"], "arguments": "{}"}
    if request.json.get("stream"):
        return as_sse(chunk({"role": "assistant", "tool_calls": [{**called, "function": function}]}), chunk({}, "tool_calls"))
    message = {"role": "assistant", "content": None, "tool_calls": [{**called, "function": function}]}
    return as_json(completion(choices=[{"index": 0, "message": message, "finish_reason": "tool_calls"}]))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_name_that_is_too_long_elsewhere_comes_back_whole(gateway: GatewayProcess, upstream: Upstream, streamed: bool) -> None:
    upstream.handler = calls_the_tool
    tools: Any = [{"name": LONG, "input_schema": {"type": "object", "properties": {}}}]
    turn: Any = [{"role": "user", "content": "Go"}]
    with anthropic.Anthropic(base_url=gateway.url, api_key=MASTER_KEY) as client:
        asked: Any = {"model": "gpt", "max_tokens": 50, "tools": tools, "tool_choice": {"type": "tool", "name": LONG}}
        for _ in range(2):
            if streamed:
                with client.messages.stream(messages=turn, **asked) as stream:
                    said = stream.get_final_message()
            else:
                said = client.messages.create(messages=turn, **asked)
            call: Any = said.content[0]
            assert (call.type, call.name) == ("tool_use", LONG)
            result = {"type": "tool_result", "tool_use_id": call.id, "content": "done"}
            turn += [{"role": "assistant", "content": [call.model_dump(exclude_none=True)]}, {"role": "user", "content": [result]}]
    sent = upstream.received[-1].json
    name = sent["tools"][0]["function"]["name"]
    assert len(name) <= 64
    assert sent["tool_choice"]["function"]["name"] == sent["messages"][1]["tool_calls"][0]["function"]["name"] == name


@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent"])
def test_a_tool_name_with_dots_comes_back_with_dots(caller: httpx.Client, upstream: Upstream, method: str) -> None:
    upstream.handler = calls_the_tool
    body = {"contents": [{"role": "user", "parts": [{"text": "Go"}]}], "tools": [{"functionDeclarations": [{"name": "maps.find:near"}]}]}
    answer = caller.post(f"/v1beta/models/gpt:{method}", json=body).text
    assert '"name":"maps.find:near"' in answer
    assert "." not in upstream.received[-1].json["tools"][0]["function"]["name"]


def test_pictures_from_tools_go_where_a_chat_can_have_them(gateway: GatewayProcess, upstream: Upstream, caller: httpx.Client) -> None:
    calls = [{"type": "function_call", "call_id": f"c{n}", "name": "look", "arguments": "{}"} for n in range(2)]
    seen: Any = [{"type": "input_text", "text": "here"}, {"type": "input_image", "image_url": PICTURE}]
    results = [{"type": "function_call_output", "call_id": f"c{n}", "output": seen} for n in range(2)]
    history: Any = [{"role": "user", "content": "Look"}, *calls, *results, {"role": "user", "content": "Well?"}]
    tools: Any = [{"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": False}]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=MASTER_KEY) as client:
        client.responses.create(model="gpt", input=history, tools=tools)
        sent = upstream.received[-1].json["messages"]
        assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool", "user", "user"]
        assert [part["type"] for part in sent[4]["content"]] == ["image_url", "image_url"]
        client.responses.create(model="claude", input=history, tools=tools)
        blocks = upstream.received[-1].json["messages"][2]["content"]
        assert [part["type"] for part in blocks[0]["content"]] == ["text", "image"], "Anthropic's tools show what they found"


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_allowed_tools(gateway: GatewayProcess, upstream: Upstream, caller: httpx.Client, mode: Any) -> None:
    names = ["a", "b", "c"]
    flat: Any = [{"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, "strict": False} for name in names]
    allowed: Any = [{"type": "function", "name": name} for name in ("a", "c")]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=MASTER_KEY) as client:
        for model in ("gpt", "claude"):
            choice: Any = {"type": "allowed_tools", "mode": mode, "tools": allowed}
            client.responses.create(model=model, input="Go", tools=flat, tool_choice=choice)
            sent = upstream.received[-1].json
            if model == "gpt":
                assert sent["tool_choice"]["allowed_tools"]["mode"] == mode
                assert [tool["function"]["name"] for tool in sent["tool_choice"]["allowed_tools"]["tools"]] == ["a", "c"]
            else:
                assert [tool["name"] for tool in sent["tools"]] == ["a", "c"]
                assert sent["tool_choice"] == {"type": "auto" if mode == "auto" else "any"}
    nested: Any = [{"type": "function", "function": {"name": name}} for name in names]
    wrong = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [{"type": "function", "function": {"name": "z"}}]}}
    refused = caller.post("/v1/chat/completions", json={**BODY, "model": "claude", "tools": nested, "tool_choice": wrong})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "tool_choice")


def test_one_thing_for_a_list_of_one(caller: httpx.Client, upstream: Upstream) -> None:
    """As Google's own examples have it."""
    body = {"system_instruction": {"parts": {"text": "Be a cat"}}, "contents": {"parts": {"text": "Hello"}}}
    declared = {"function_declarations": [{"name": "purr"}]}
    assert caller.post("/v1beta/models/gpt:generateContent", json={**body, "tools": declared}).status_code == 200
    sent = upstream.received[-1].json
    assert [message["content"] for message in sent["messages"]] == ["Be a cat", "Hello"]
    assert sent["tools"][0]["function"]["name"] == "purr"
    wrong = caller.post("/v1beta/models/nobody:generateContent", json=body).json()["error"]["message"]
    assert wrong.startswith("/v1beta/models/{model}:generateContent: Invalid model name")


@pytest.mark.parametrize("named", ['filename="a.wav"', "filename*=UTF-8''%e2%82%ac.wav", 'filename=""', "filename=a.wav"])
def test_a_file_by_any_name(caller: httpx.Client, named: str) -> None:
    sound = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(200)
    parts = [
        b"preamble\r\n--XX\r\nContent-Disposition: form-data; name=model\r\n\r\nwhisper",
        b'--XX\r\ncontent-disposition: form-data; name="file"; ' + named.encode() + b"\r\n\r\n" + sound,
        b"--XX--\r\nepilogue",
    ]
    headers = {"content-type": 'multipart/form-data; charset=utf-8; boundary="XX"'}
    answer = caller.post("/v1/audio/transcriptions", content=b"\r\n".join(parts), headers=headers)
    assert (answer.status_code, answer.json()["text"]) == (200, "Hello there!")


@pytest.mark.parametrize("streamed", [False, True])
def test_log_probabilities_of_a_response(gateway: GatewayProcess, upstream: Upstream, streamed: bool) -> None:
    tokens = [{"token": word, "logprob": -0.5, "bytes": list(word.encode()), "top_logprobs": []} for word in ("Hel", "lo")]

    def likely(request: Received) -> Reply:
        assert request.json["logprobs"] is True
        if not request.json.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
            return as_json(completion(choices=[{**choice, "logprobs": {"content": tokens}}]))
        said = [chunk({"content": token["token"]}) for token in tokens]
        for each, token in zip(said, tokens, strict=True):
            each["choices"][0]["logprobs"] = {"content": [token]}
        return as_sse(*said, chunk({}, "stop"))

    upstream.handler = likely
    asked: Any = {"model": "gpt", "input": "x", "include": ["message.output_text.logprobs"]}
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=MASTER_KEY) as client:
        if streamed:
            with client.responses.stream(**asked) as stream:
                heard = [event.logprobs[0].token for event in stream if event.type == "response.output_text.delta"]
                answer: Any = stream.get_final_response()
            assert heard == ["Hel", "lo"]
        else:
            answer = client.responses.create(**asked)
    assert [each.token for each in answer.output[0].content[0].logprobs] == ["Hel", "lo"]
