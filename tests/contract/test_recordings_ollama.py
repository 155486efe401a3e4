"""Every recorded chat with Ollama's own API, both ways, against a reading of the raw bytes that uses none of our code."""

import json
from typing import Any

import pytest
from tests.support.recordings import Answer, Recording, hub_answers, hub_stream_answers, recordings, splits
from tests.support.wire import ALIAS, Json, buffered, decode_stream, said_bytes, shown, streamed, target

from tollkeeper.dialects.ollama_chat import OllamaChat
from tollkeeper.errors import UpstreamProtocolError, UpstreamRejected

DIALECT = OllamaChat()


def chats(**which: Any) -> list[Any]:
    """/api/chat alone: /api/generate is for completions."""
    return [case for case in recordings("ollama.native", **which) if "api_generate" not in (case.id or "")]


def read(lines: list[Json]) -> Answer:
    answer = Answer()
    for line in lines:
        message = line["message"]
        answer.text += message.get("content") or ""
        answer.reasoning += message.get("thinking") or ""
        answer.tools += [(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls") or []]
    done = lines[-1]["done_reason"]
    answer.finish = "tool_calls" if answer.tools and done == "stop" else done
    return answer


def counts(usage: Json) -> tuple[int, int, int]:
    return usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]


def expected_counts(line: Json) -> tuple[int, int, int]:
    prompt, output = line.get("prompt_eval_count", 0), line["eval_count"]
    return prompt, output, prompt + output


@pytest.mark.parametrize("recording", chats(kind="json"))
def test_a_buffered_answer_satisfies_openais_types_and_says_the_same(recording: Recording) -> None:
    raw = json.loads(recording.body)
    answer = buffered(DIALECT, recording)
    assert hub_answers(answer) == {0: read([raw])}
    assert counts(answer["usage"]) == expected_counts(raw)
    calls = answer["choices"][0]["message"].get("tool_calls", [])
    assert [call["id"] for call in calls] == [call["id"] for call in raw["message"].get("tool_calls", [])]


@pytest.mark.parametrize("recording", chats(kind="ndjson"))
def test_a_stream_satisfies_openais_types_and_says_the_same(recording: Recording) -> None:
    lines = [json.loads(line) for line in recording.body.split(b"\n") if line.strip()]
    data = streamed(DIALECT, recording)
    assert hub_stream_answers(data) == {0: read(lines)}
    assert counts(data[-1]["usage"]) == expected_counts(lines[-1])


@pytest.mark.parametrize("recording", chats(kind="ndjson"))
def test_every_split_gives_the_same_chunks(recording: Recording) -> None:
    whole = decode_stream([recording.body], DIALECT.stream_decoder(target(recording)))
    assert sum(chunk.text_bytes for chunk in whole[0]) == said_bytes([chunk.data for chunk in whole[0]])
    for pieces in splits(recording.body):
        chunks, error = decode_stream(pieces, DIALECT.stream_decoder(target(recording)))
        assert shown(chunks) == shown(whole[0])
        assert repr(error) == repr(whole[1])


@pytest.mark.parametrize("recording", chats(kind="ndjson"))
def test_a_stream_cut_before_its_end_is_an_error(recording: Recording) -> None:
    end = recording.body.rstrip().rindex(b"\n") + 2
    for cut in range(0, end, max(1, end // 40)):
        _, error = decode_stream([recording.body[:cut]], DIALECT.stream_decoder(target(recording)))
        assert isinstance(error, UpstreamProtocolError)


@pytest.mark.parametrize("recording", chats(failed=True))
def test_an_error_keeps_the_servers_words(recording: Recording) -> None:
    error = DIALECT.decode_error(recording.status, recording.headers, recording.body, target(recording))
    assert type(error) is UpstreamRejected
    assert (error.status, error.message) == (404, "model 'nonexistent-model:latest' not found")


# Requests


def to_hub(body: Json) -> Json:
    """The recorded request as an OpenAI client would have said it; what Ollama alone has stays."""
    options = dict(body.get("options") or {})
    request: Json = {"model": ALIAS, "messages": [], "stream": body["stream"], **({"options": {}} if "options" in body else {})}
    if "num_predict" in options:
        request["max_tokens"] = options.pop("num_predict")
    request |= options
    request |= {name: body[name] for name in ("tools", "think") if name in body}
    for message in body["messages"]:
        request["messages"].append(_hub_message(message, request["messages"]))
    return request


def _hub_message(message: Json, before: list[Json]) -> Json:
    if message["role"] == "tool":
        call = next(call for said in before for call in said.get("tool_calls", []) if call["function"]["name"] == message["tool_name"])
        return {"role": "tool", "tool_call_id": call["id"], "content": message["content"]}
    said = {"role": message["role"], "content": message["content"]}
    if "thinking" in message:
        said["reasoning_content"] = message["thinking"]
    if "tool_calls" in message:
        said["tool_calls"] = [
            {
                "id": f"call_{place}",
                "type": "function",
                "function": {**call["function"], "arguments": json.dumps(call["function"]["arguments"])},
            }
            for place, call in enumerate(message["tool_calls"])
        ]
    return said


@pytest.mark.parametrize("recording", chats() + chats(failed=True))
def test_the_recorded_request_is_what_its_hub_request_becomes(recording: Recording) -> None:
    request = to_hub(recording.request)
    before = json.dumps(request)
    wire = DIALECT.encode(request, target(recording))
    assert json.dumps(request) == before
    assert wire.url == "https://up.example/api/chat"
    recorded = {name: value for name, value in recording.request.items() if name != "tools" or value}
    assert json.loads(wire.body) == {**recorded, "model": "upstream-model"}
