import json
from typing import Any

import pytest
from tests.support.recordings import hub_stream_answers
from tests.support.wire import decode_stream

from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.ollama_chat import OllamaChat
from tollkeeper.errors import BadRequest, UnsupportedParams, UpstreamError, UpstreamProtocolError

DIALECT = OllamaChat()
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("add", "sub")]
HELLO = [{"role": "user", "content": "Hello"}]


def target(**more: Any) -> Target:
    return Target(**{"model": "qwen3", "base_url": "http://box:11434", "alias": "a", "provider": "ollama", "created": 7, **more})


def encoded(messages: list[Json] = HELLO, aim: Target | None = None, **request: Any) -> Json:
    return dict(json.loads(DIALECT.encode({"model": "a", "messages": messages, **request}, aim or target()).body))


@pytest.mark.parametrize("base", ["http://box:11434", "http://box:11434/api", "http://box:11434/api/chat", "http://box:11434/api/generate"])
def test_every_address_of_a_server_leads_to_its_chat(base: str) -> None:
    assert DIALECT.encode({"messages": HELLO}, target(base_url=base)).url == "http://box:11434/api/chat"


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        ({}, {}),
        ({"stream": True}, {"stream": True}),
        (
            {"temperature": 0, "top_p": 0.5, "stop": "X", "seed": 1, "max_tokens": 9},
            {"options": {"temperature": 0, "top_p": 0.5, "stop": ["X"], "seed": 1, "num_predict": 9}},
        ),
        ({"options": {"num_ctx": 4096, "seed": 2}, "seed": 1}, {"options": {"num_ctx": 4096, "seed": 1}}),
        ({"options": {"num_predict": 50}, "max_tokens": 9}, {"options": {"num_predict": 9}}),
        ({"options": {"num_predict": -1}, "max_tokens": 9}, {"options": {"num_predict": 9}}),
        ({"options": {"num_predict": 5}, "max_tokens": 9}, {"options": {"num_predict": 5}}),
        ({"num_ctx": 8192, "keep_alive": "5m"}, {"options": {"num_ctx": 8192}, "keep_alive": "5m"}),
        ({"response_format": {"type": "json_object"}}, {"format": "json"}),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}}, {"format": {"type": "object"}}),
        ({"reasoning_effort": "low"}, {"think": True}),
        ({"reasoning_effort": "none"}, {"think": False}),
        ({"thinking": {"type": "enabled", "budget_tokens": 100}}, {"think": True}),
        ({"reasoning_effort": "low", "think": False}, {"think": False}),
        ({"user": "u", "n": 1, "tools": []}, {}),
    ],
)
def test_parameters_get_ollamas_names(request_: Json, sent: Json) -> None:
    body = encoded(**request_)
    assert {name: body[name] for name in body.keys() - {"model", "messages"}} == {"stream": False, **sent}


@pytest.mark.parametrize(("effort", "think"), [("none", "low"), ("minimal", "low"), ("medium", "medium"), ("xhigh", "high")])
def test_gpt_oss_thinks_in_levels(effort: str, think: str) -> None:
    assert encoded(aim=target(model="gpt-oss:20b"), reasoning_effort=effort)["think"] == think


@pytest.mark.parametrize(
    ("choice", "offered"), [("auto", ["add", "sub"]), ("none", []), ({"type": "function", "function": {"name": "sub"}}, ["sub"])]
)
def test_the_tools_offered_are_the_choice(choice: Any, offered: list[str]) -> None:
    body = encoded(tools=TOOLS, tool_choice=choice)
    assert "tool_choice" not in body
    assert [tool["function"]["name"] for tool in body.get("tools", [])] == offered


@pytest.mark.parametrize(
    ("name", "value"), [("n", 2), ("logit_bias", {"1": 1}), ("parallel_tool_calls", False), ("tool_choice", "required")]
)
def test_what_ollama_cannot_do_is_refused_by_name_or_dropped(name: str, value: Any) -> None:
    with pytest.raises(UnsupportedParams) as caught:
        encoded(**{"tools": TOOLS, name: value})
    assert caught.value.param == name
    assert name not in encoded(aim=target(drop_params=True), **{"tools": TOOLS, name: value})


def test_images_travel_as_base64_beside_the_text() -> None:
    parts = [
        {"type": "text", "text": "What"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "text", "text": "is it?"},
    ]
    assert encoded([{"role": "user", "content": parts}])["messages"] == [{"role": "user", "content": "What\nis it?", "images": ["AAAA"]}]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}]}, "fetches nothing"),
        ({"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}, "no file parts"),
        (
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{"}}]},
            "arguments must be a JSON object",
        ),
    ],
)
def test_what_cannot_be_said_is_a_typed_400(message: Json, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as caught:
        encoded([message])
    assert caught.value.param == "messages"


def test_a_result_names_its_tool() -> None:
    calls = [{"id": f"c{name}", "type": "function", "function": {"name": name, "arguments": "{}"}} for name in ("add", "sub")]
    messages = [{"role": "assistant", "tool_calls": calls}, {"role": "tool", "tool_call_id": "csub", "content": "1"}]
    assert encoded(messages)["messages"][1] == {"role": "tool", "content": "1", "tool_name": "sub"}


# Answers


def stream(*lines: Json, tail: bytes = b"\n") -> tuple[list[Json], Exception | None]:
    body = b"\n".join(json.dumps(line).encode() for line in lines) + tail
    chunks, error = decode_stream([body], DIALECT.stream_decoder(target()))
    return [chunk.data for chunk in chunks], error


def test_a_last_line_without_a_newline_is_read() -> None:
    data, error = stream({"message": {"content": "Hi"}, "done": True, "done_reason": "stop", "eval_count": 2}, tail=b"")
    assert error is None
    assert hub_stream_answers(data)[0].text == "Hi"
    assert data[-1]["usage"] == {"prompt_tokens": 0, "completion_tokens": 2, "total_tokens": 2}


def test_an_error_line_is_typed_and_what_came_before_it_stands() -> None:
    data, error = stream(
        {"message": {"content": "Hel"}, "done": False}, {"error": "an unknown error was encountered while running the model"}
    )
    assert hub_stream_answers(data)[0].text == "Hel"
    assert isinstance(error, UpstreamError)
    assert error.message == "an unknown error was encountered while running the model"


def test_a_stream_that_never_says_done_is_cut() -> None:
    _, error = stream({"message": {"content": "Hel"}, "done": False})
    assert isinstance(error, UpstreamProtocolError)


def test_calls_without_ids_get_the_same_ones_whole_and_streamed_and_no_two_alike() -> None:
    calls = [{"function": {"name": "add", "arguments": {"a": 1}}}, {"function": {"name": "add", "arguments": {"a": 1}}}]
    line = {"created_at": "2025-01-01T00:00:00Z", "message": {"content": "", "tool_calls": calls}, "done": True, "done_reason": "stop"}
    whole = DIALECT.decode(json.dumps(line).encode(), target())
    data, _ = stream(line)
    ids = [call["id"] for call in whole["choices"][0]["message"]["tool_calls"]]
    assert len(set(ids)) == 2
    assert [call["id"] for chunk in data for call in chunk["choices"][0]["delta"].get("tool_calls", [])] == ids
    assert whole["choices"][0]["finish_reason"] == "tool_calls"
    assert whole["created"] == 1_735_689_600


def test_a_moment_that_is_none_is_the_gateways() -> None:
    line = {"created_at": "yesterday", "message": {"content": "x"}, "done": True}
    assert DIALECT.decode(json.dumps(line).encode(), target())["created"] == 7


def test_logprobs_are_the_hubs() -> None:
    entry = {"token": "Hi", "logprob": -0.5, "top_logprobs": [{"token": "Ho", "logprob": -1}]}
    data, _ = stream({"message": {"content": "Hi"}, "logprobs": [entry], "done": True})
    (logprobs,) = [chunk["choices"][0]["logprobs"] for chunk in data if "logprobs" in chunk["choices"][0]]
    (token,) = logprobs["content"]
    assert (token["token"], token["logprob"], token["bytes"]) == ("Hi", -0.5, [72, 105])
    assert token["top_logprobs"][0]["token"] == "Ho"


def test_an_answer_in_the_words_of_generate_is_one_too() -> None:
    said = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "response": "Hi", "done": True, "done_reason": "stop", "eval_count": 1}
    answer = DIALECT.decode(json.dumps(said).encode(), target())
    assert answer["choices"][0]["message"]["content"] == "Hi"
    data, error = stream({**said, "response": "H", "done": False}, {**said, "response": "i"})
    assert error is None
    assert hub_stream_answers(data)[0].text == "Hi"
