"""Interfaces that continue a prompt: TGI, SageMaker's TGI containers, Replicate."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.support.recordings import hub_answers, hub_stream_answers, splits
from tests.support.wire import decode_stream

from tollkeeper.dialects import registry
from tollkeeper.dialects.base import Ask, Target, WireRequest
from tollkeeper.dialects.eventstream import encode_message
from tollkeeper.dialects.prompt_template import take_prompt
from tollkeeper.dialects.replicate import Replicate
from tollkeeper.errors import BadRequest, UnsupportedParams, UpstreamFailed, UpstreamProtocolError, UpstreamRejected

Json = dict[str, Any]
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": [{"type": "text", "text": "Bye"}]},
]


SAID = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Bye")]


def llama(role: str, text: str) -> str:
    return f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>"


def target(model: str = "m", base_url: str = "https://up.example", **more: Any) -> Target:
    return Target(model, base_url, "alias", provider="acme", created=1_700_000_000, **more)


def encoded(dialect: str, at: Target, **fields: Any) -> tuple[str, Json]:
    wire = registry.get(dialect).encode({"model": "alias", "messages": TALK, **fields}, at)
    return wire.url, json.loads(wire.body)


@pytest.mark.parametrize(
    ("model", "prompt"),
    [
        ("acme-1", "Be brief.\n\nUser: Hi\n\nAssistant: Hello\n\nUser: Bye\n\nAssistant:"),
        (
            "meta-llama/Llama-3.1-8B-Instruct",
            "<|begin_of_text|>" + "".join(map(llama, *zip(*SAID, strict=True))) + "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        ("meta-llama/Llama-2-7b", "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello</s>[INST] Bye [/INST]"),
        ("mistralai/Mistral-7B-Instruct", "<s>[INST] Be brief.\n\nHi [/INST] Hello</s>[INST] Bye [/INST]"),
        (
            "Qwen/Qwen2.5-7B",
            (
                "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
                "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"
            ),
        ),
        (
            "google/gemma-2-9b",
            (
                "<bos><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello<end_of_turn>\n<start_of_turn>user\nBye"
                "<end_of_turn>\n<start_of_turn>model\n"
            ),
        ),
    ],
)
def test_a_chat_is_written_as_the_family_was_trained_to_see_it(model: str, prompt: str) -> None:
    assert take_prompt({"messages": TALK}, target(model)) == prompt


def test_a_deployment_brings_its_own_template_in_litellms_words() -> None:
    own = {
        "roles": {"system": {"pre_message": "<S>", "post_message": "</S>"}, "user": {"pre_message": "<U>", "post_message": "</U>"}},
        "initial_prompt_value": "!",
        "final_prompt_value": "?",
    }
    body = {"messages": TALK, **own}
    assert take_prompt(body, target("llama-3")) == "!<S>Be brief.</S><U>Hi</U>Hello<U>Bye</U>?"
    assert body == {}


def test_a_system_text_without_a_user_is_not_lost() -> None:
    assert take_prompt({"messages": TALK[:1]}, target("mistral-7b")) == "<s>[INST] Be brief. [/INST]"


@pytest.mark.parametrize("dialect", ["tgi_generate", "sagemaker_tgi", "replicate"])
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}]}, "messages"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"n": 2}, "n"),
        ({"messages": "hello"}, "messages"),
    ],
)
def test_what_a_prompt_cannot_say_is_refused_by_name(dialect: str, fields: Json, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        encoded(dialect, target(), **fields)
    assert caught.value.param == param
    assert "acme" in caught.value.message or param == "messages"
    if param in {"tools", "n"}:
        assert isinstance(caught.value, UnsupportedParams)
        assert f'"{param}":' not in json.dumps(encoded(dialect, target(drop_params=True), **fields)[1])


# TGI


def test_tgi_gets_its_own_names_and_no_value_it_refuses() -> None:
    url, body = encoded(
        "tgi_generate", target(base_url="https://up.example/generate"), max_tokens=9, temperature=0, top_p=1, stop="END", seed=3, user="u"
    )
    assert url == "https://up.example/generate"
    assert body["stream"] is False
    assert body["parameters"] == {
        "seed": 3,
        "stop": ["END"],
        "details": True,
        "return_full_text": False,
        "decoder_input_details": True,
        "max_new_tokens": 9,
    }
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    url, body = encoded(
        "tgi_generate", target(base_url="https://up.example/generate?v=1"), stream=True, response_format=form, max_new_tokens=4
    )
    assert url == "https://up.example/generate_stream?v=1"
    assert body["parameters"]["grammar"] == {"type": "json", "value": schema}
    assert body["parameters"]["max_new_tokens"] == 4
    assert not {"response_format", "max_new_tokens", "temperature"} & body.keys()


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_whole_tgi_answer_counts_its_prefill(wrapped: bool) -> None:
    tokens = [{"id": 1, "text": "He", "logprob": -0.5, "special": False}, {"id": 2, "text": "</s>", "logprob": 0, "special": True}]
    details = {"finish_reason": "length", "generated_tokens": 2, "prefill": [{"id": 0}, {"id": 1}, {"id": 2}], "tokens": tokens}
    said: Any = {"generated_text": "He", "details": details}
    answer = registry.get("tgi_generate").decode(json.dumps([said] if wrapped else said).encode(), target())
    ChatCompletion.model_validate(answer, strict=True)
    choice = answer["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("He", "length")
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert [token["token"] for token in choice["logprobs"]["content"]] == ["He"]
    bare = registry.get("tgi_generate").decode(b'[{"generated_text": "Hi"}]', target())
    assert "usage" not in bare


def tgi_events() -> list[Json]:
    def token(text: str, **more: Any) -> Json:
        return {
            "index": 1,
            "token": {"id": 1, "text": text, "logprob": -1.0, "special": False},
            "generated_text": None,
            "details": None,
            **more,
        }

    end = {"finish_reason": "eos_token", "generated_tokens": 3, "input_length": 7, "seed": None}
    special = {"id": 2, "text": "</s>", "logprob": 0.0, "special": True}
    return [token("Hel"), token("lo"), token("", token=special, generated_text="Hello", details=end)]


def sse(*events: Any) -> bytes:
    return b"".join(b"data:" + json.dumps(event).encode() + b"\n\n" for event in events)


def payloads(stream: bytes, every: int = 13) -> bytes:
    headers = {":message-type": "event", ":event-type": "PayloadPart"}
    return b"".join(encode_message(headers, stream[start : start + every]) for start in range(0, len(stream), every))


@pytest.mark.parametrize(("dialect", "body"), [("tgi_generate", sse(*tgi_events())), ("sagemaker_tgi", payloads(sse(*tgi_events())))])
def test_tgi_streams_tokens_and_ends_with_the_details(dialect: str, body: bytes) -> None:
    for pieces in splits(body, everywhere_below=900):
        chunks, error = decode_stream(pieces, registry.get(dialect).stream_decoder(target()))
        assert error is None
        data = [json.loads(chunk.payload()) for chunk in chunks]
        for chunk in data:
            ChatCompletionChunk.model_validate(chunk, strict=True)
        answer = hub_stream_answers(data)[0]
        assert (answer.text, answer.finish) == ("Hello", "stop")
        assert data[-1]["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def test_a_tgi_stream_that_breaks_is_an_error() -> None:
    decoder = registry.get("tgi_generate").stream_decoder(target())
    chunks, error = decode_stream([sse(tgi_events()[0], {"error": "Model is overloaded", "error_type": "overloaded"})], decoder)
    assert [chunk.text_bytes for chunk in chunks] == [0, 3]
    assert error is not None
    assert "overloaded" in str(error)
    _, error = decode_stream([sse(*tgi_events()[:2])], registry.get("tgi_generate").stream_decoder(target()))
    assert isinstance(error, UpstreamProtocolError)


def test_tgis_errors_are_typed() -> None:
    said = b'{"error": "Input validation error: `stop` supports up to 4 stop sequences", "error_type": "validation"}'
    error = registry.get("tgi_generate").decode_error(422, {}, said, target())
    assert (type(error), error.status) == (UpstreamRejected, 422)
    with pytest.raises(UpstreamProtocolError):
        registry.get("tgi_generate").decode(b"<html>", target())
    with pytest.raises(UpstreamProtocolError):
        registry.get("tgi_generate").decode(b'{"x": 1}', target())


def test_a_sagemaker_endpoint_is_invoked() -> None:
    at = target("my-endpoint", "https://runtime.sagemaker.eu-west-1.amazonaws.com")
    url, body = encoded("sagemaker_tgi", at)
    assert url.endswith("/endpoints/my-endpoint/invocations")
    assert "stream" not in body
    url, body = encoded("sagemaker_tgi", at, stream=True)
    assert url.endswith("/endpoints/my-endpoint/invocations-response-stream")
    assert body["stream"] is True


# Replicate

REPLICATE = target("meta/meta-llama-3-8b-instruct", "https://api.replicate.com/v1")
URLS = {"get": "https://api.replicate.com/v1/predictions/p1", "stream": "https://stream.replicate.com/v1/files/abc"}


def prediction(status: str, **fields: Any) -> bytes:
    return json.dumps({"id": "p1", "status": status, "urls": URLS, **fields}).encode()


@pytest.mark.parametrize(
    ("model", "path", "version"),
    [
        ("meta/llama", "/models/meta/llama/predictions", None),
        ("meta/llama:" + "a" * 64, "/predictions", "a" * 64),
        ("b" * 64, "/predictions", "b" * 64),
        ("deployments/acme/prod", "/deployments/acme/prod/predictions", None),
    ],
)
def test_where_a_prediction_is_made(model: str, path: str, version: str | None) -> None:
    url, body = encoded("replicate", target(model, "https://api.replicate.com/v1"))
    assert url == "https://api.replicate.com/v1" + path
    assert body.get("version") == version


def test_a_question_is_the_prompt_and_limits_have_every_name_a_model_may_give_them() -> None:
    _, body = encoded(
        "replicate", REPLICATE, messages=[TALK[0], TALK[1]], max_tokens=7, temperature=0.5, stop=["a", "b"], input={"top_k": 3}
    )
    assert body["input"] == {
        "system_prompt": "Be brief.",
        "prompt": "Hi",
        "stop_sequences": "a,b",
        "max_tokens": 7,
        "max_new_tokens": 7,
        "temperature": 0.5,
        "top_k": 3,
    }
    _, body = encoded("replicate", REPLICATE, max_tokens=7, input={"max_tokens": 9000})
    assert body["input"]["max_tokens"] == 7
    assert "<|start_header_id|>assistant" in body["input"]["prompt"]


def asked(steps: Any, *bodies: bytes) -> tuple[list[Ask], Any]:
    """(what was asked for, what came of it)"""
    asks = [next(steps)]
    for body in bodies:
        try:
            asks.append(steps.send([body]))
        except StopIteration as done:
            return asks, done.value
    raise AssertionError("it wanted more")


def test_a_prediction_is_polled_until_it_is_finished() -> None:
    steps = Replicate().exchange({"messages": TALK}, REPLICATE)
    done = prediction("succeeded", output=["Bye", "!"], metrics={"input_token_count": 5, "output_token_count": 2})
    asks, answer = asked(steps, prediction("starting"), prediction("processing"), done)
    ChatCompletion.model_validate(answer, strict=True)
    assert answer["id"] == "chatcmpl-p1"
    assert hub_answers(answer)[0].text == "Bye!"
    assert answer["usage"]["total_tokens"] == 7
    assert [(ask.wait, ask.requests[0].method, ask.requests[0].url) for ask in asks[1:]] == [
        (0.5, "GET", URLS["get"]),
        (1.0, "GET", URLS["get"]),
    ]
    assert all(ask.requests[0].credential for ask in asks)
    assert asks[0].requests[0].headers["prefer"] == "wait=60"


def test_a_stream_is_read_where_the_prediction_says_without_our_credential() -> None:
    steps = Replicate().opening({"messages": TALK, "stream": True}, REPLICATE)
    asks, wire = asked(steps, prediction("starting"))
    assert json.loads(asks[0].requests[0].body)["stream"] is True
    assert isinstance(wire, WireRequest)
    assert (wire.url, wire.method, wire.credential, wire.headers["accept"]) == (URLS["stream"], "GET", False, "text/event-stream")


@pytest.mark.parametrize(
    "said", [prediction("failed", error="CUDA out of memory"), prediction("canceled"), b'{"detail": "no"}', b"[]", b"<html>"]
)
def test_a_prediction_that_failed_is_an_error(said: bytes) -> None:
    with pytest.raises((UpstreamFailed, UpstreamProtocolError)) as caught:
        asked(Replicate().exchange({"messages": TALK}, REPLICATE), said)
    assert ("CUDA" in str(caught.value)) == (b"CUDA" in said)


def test_an_address_that_is_none_is_not_followed() -> None:
    lost = json.dumps({"id": "p1", "status": "starting", "urls": {"get": "file:///etc/passwd"}}).encode()
    with pytest.raises(UpstreamProtocolError):
        asked(Replicate().exchange({"messages": TALK}, REPLICATE), lost)


STREAM = (
    b": hi\n\nevent: output\nid: 1\ndata: Once\n\nevent: logs\ndata: noise\n\nevent: output\ndata:  upon\ndata: a time\n\n"
    b"event: done\nid: 9\ndata: {}\n\n"
)


def test_replicates_events_are_the_answer() -> None:
    for pieces in splits(STREAM):
        chunks, error = decode_stream(pieces, Replicate().stream_decoder(REPLICATE))
        assert error is None
        data = [json.loads(chunk.payload()) for chunk in chunks]
        for chunk in data:
            ChatCompletionChunk.model_validate(chunk, strict=True)
        answer = hub_stream_answers(data)[0]
        assert (answer.text, answer.finish) == ("Once upon\na time", "stop")


@pytest.mark.parametrize(
    ("tail", "kind"),
    [
        (b'event: error\ndata: {"detail": "boom"}\n\n', UpstreamFailed),
        (b"event: error\ndata: boom\n\n", UpstreamFailed),
        (b'event: done\ndata: {"reason": "canceled"}\n\n', UpstreamFailed),
        (b"", UpstreamProtocolError),
    ],
)
def test_a_replicate_stream_that_breaks_is_an_error(tail: bytes, kind: type[Exception]) -> None:
    chunks, error = decode_stream([b"event: output\ndata: Once\n\n" + tail], Replicate().stream_decoder(REPLICATE))
    assert isinstance(error, kind)
    assert hub_stream_answers([chunk.data for chunk in chunks])[0].text == "Once"
