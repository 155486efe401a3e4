import json
from typing import Any

import pytest
from tests.support.recordings import hub_stream_answers
from tests.support.wire import decode_stream

from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.cohere_v2 import CohereV2
from tollkeeper.errors import BadRequest, UnsupportedParams, UpstreamFailed, UpstreamTimeout

DIALECT = CohereV2()
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("add", "sub")]
HELLO = [{"role": "user", "content": "Hello"}]


def target(**more: Any) -> Target:
    return Target(**{"model": "command-a", "base_url": "https://api.cohere.com", "alias": "a", "provider": "cohere", "created": 7, **more})


def encoded(messages: list[Json] = HELLO, aim: Target | None = None, **request: Any) -> Json:
    return dict(json.loads(DIALECT.encode({"model": "a", "messages": messages, **request}, aim or target()).body))


@pytest.mark.parametrize("base", ["https://c.example", "https://c.example/v1", "https://c.example/v1/chat", "https://c.example/v2/chat"])
def test_litellms_addresses_all_lead_to_v2(base: str) -> None:
    assert DIALECT.encode({"messages": HELLO}, target(base_url=base)).url == "https://c.example/v2/chat"


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        ({"top_p": 0.5, "top_k": 3}, {"p": 0.5, "k": 3}),
        ({"stop": "X"}, {"stop_sequences": ["X"]}),
        ({"stop": ["X", "Y"]}, {"stop_sequences": ["X", "Y"]}),
        ({"max_tokens": 9, "max_completion_tokens": 5}, {"max_tokens": 5}),
        ({"seed": 1, "frequency_penalty": 0.2, "logprobs": True}, {"seed": 1, "frequency_penalty": 0.2, "logprobs": True}),
        ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ({"reasoning_effort": "low"}, {"thinking": {"type": "enabled", "token_budget": 1024}}),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, {"thinking": {"type": "enabled", "token_budget": 9}}),
        ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
        ({"response_format": {"type": "text"}}, {}),
        ({"documents": [{"data": {"text": "x"}}], "safety_mode": "OFF"}, {"documents": [{"data": {"text": "x"}}], "safety_mode": "OFF"}),
        ({"user": "u", "stream_options": {"include_usage": True}, "n": 1, "parallel_tool_calls": True}, {}),
    ],
)
def test_parameters_get_coheres_names(request_: Json, sent: Json) -> None:
    body = encoded(**request_)
    assert {name: body[name] for name in body.keys() - {"model", "messages"}} == sent


@pytest.mark.parametrize(
    ("choice", "sent", "offered"),
    [
        ("auto", None, ["add", "sub"]),
        ("none", "NONE", ["add", "sub"]),
        ("required", "REQUIRED", ["add", "sub"]),
        ({"type": "function", "function": {"name": "sub"}}, "REQUIRED", ["sub"]),
    ],
)
def test_a_tool_choice_by_name_leaves_only_that_tool(choice: Any, sent: str | None, offered: list[str]) -> None:
    body = encoded(tools=TOOLS, tool_choice=choice)
    assert body.get("tool_choice") == sent
    assert [tool["function"]["name"] for tool in body["tools"]] == offered


def test_strict_is_said_once() -> None:
    strict = [{"type": "function", "function": {"name": "add", "strict": True, "parameters": {"type": "object"}}}]
    body = encoded(tools=strict)
    assert body["strict_tools"] is True
    assert body["tools"] == TOOLS[:1]


@pytest.mark.parametrize("name", ["n", "logit_bias", "parallel_tool_calls", "service_tier", "store", "top_logprobs"])
def test_what_cohere_cannot_do_is_refused_by_name_or_dropped(name: str) -> None:
    value = {"n": 2, "logit_bias": {"1": 1}, "parallel_tool_calls": False, "store": True}.get(name, 3)
    with pytest.raises(UnsupportedParams) as caught:
        encoded(**{name: value})
    assert caught.value.param == name
    assert "cohere" in caught.value.message
    assert name not in encoded(aim=target(drop_params=True), **{name: value})


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "not a url"}}]}], "messages[0].content[0].image_url.url"),
        ([{"role": "nobody", "content": "x"}], "messages[0].role"),
        ([{"role": "assistant", "tool_calls": [{"id": "1"}]}], "messages[0].tool_calls[0]"),
    ],
)
def test_what_cannot_be_said_is_a_typed_400_that_names_the_place(messages: list[Json], words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        encoded(messages)
    assert caught.value.param == "messages"
    assert words in caught.value.message


def test_thoughts_signed_for_anthropic_stay_here() -> None:
    blocks = [{"type": "thinking", "thinking": "theirs", "signature": "s"}, {"type": "thinking", "thinking": "ours"}]
    (message,) = encoded([{"role": "assistant", "content": "x", "thinking_blocks": blocks}])["messages"]
    assert message["content"] == [{"type": "thinking", "thinking": "ours"}, {"type": "text", "text": "x"}]


# Streams


def stream(*events: Json) -> tuple[list[Json], Exception | None]:
    body = b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)
    chunks, error = decode_stream([body + b"data: [DONE]\n\n"], DIALECT.stream_decoder(target()))
    return [chunk.data for chunk in chunks], error


START = {"type": "message-start", "id": "m1", "delta": {"message": {"role": "assistant", "tool_calls": []}}}


def test_a_call_without_arguments_gets_an_empty_object() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": ""}}
    data, error = stream(
        START,
        {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": call}}},
        {"type": "tool-call-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}},
    )
    assert error is None
    assert hub_stream_answers(data)[0].tools == [("now", {})]


@pytest.mark.parametrize("place", ["delta", "event"])
@pytest.mark.parametrize(("reason", "kind"), [("ERROR", UpstreamFailed), ("TIMEOUT", UpstreamTimeout)])
def test_an_answer_that_ends_in_an_error_is_typed_with_its_words(place: str, reason: str, kind: type[Exception]) -> None:
    said = {"error": "model overloaded", "error_type": "server_error"}
    end: Json = {"type": "message-end", "delta": {"finish_reason": reason}}
    (end["delta"] if place == "delta" else end).update(said)
    text = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hel"}}}}
    data, error = stream(START, text, end)
    assert hub_stream_answers(data)[0].text == "Hel"
    assert type(error) is kind
    assert (error.args[0], getattr(error, "code", None)) == ("model overloaded", "server_error")


def test_a_buffered_answer_that_ends_in_an_error_is_raised() -> None:
    body = json.dumps({"id": "1", "finish_reason": "ERROR", "error": "no luck", "message": {"role": "assistant"}}).encode()
    with pytest.raises(UpstreamFailed, match="no luck"):
        DIALECT.decode(body, target())


def test_usage_without_token_counts_is_what_is_billed() -> None:
    body = {
        "id": "1",
        "finish_reason": "COMPLETE",
        "message": {"content": []},
        "usage": {"billed_units": {"input_tokens": 3, "output_tokens": 4}},
    }
    usage = DIALECT.decode(json.dumps(body).encode(), target())["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (3, 4, 7)


def test_a_source_with_an_address_becomes_a_url_citation() -> None:
    source = {"type": "document", "document": {"url": "https://e.example", "title": "E"}}
    message = {"content": [{"type": "text", "text": "see E"}], "citations": [{"start": 4, "end": 5, "text": "E", "sources": [source]}]}
    body = json.dumps({"id": "1", "finish_reason": "COMPLETE", "message": message}).encode()
    said = DIALECT.decode(body, target())["choices"][0]["message"]
    page = {"url": "https://e.example", "title": "E", "start_index": 4, "end_index": 5}
    assert said["annotations"] == [{"type": "url_citation", "url_citation": page}]


def test_logprobs_are_the_hubs() -> None:
    body = {"id": "1", "finish_reason": "COMPLETE", "message": {"content": [{"type": "text", "text": "Hi"}]}}
    body["logprobs"] = [{"token_ids": [1, 2], "text": "Hi", "logprobs": [-0.5, -0.25]}]
    (token,) = DIALECT.decode(json.dumps(body).encode(), target())["choices"][0]["logprobs"]["content"]
    assert token == {"token": "Hi", "logprob": -0.75, "bytes": [72, 105], "top_logprobs": []}
