"""What counts as text, in each API's words; and what a changed text leaves untouched."""

from typing import Any

import pytest

from tollkeeper.dialects.multipart import FORM, File
from tollkeeper.guardrails.texts import ANSWERED, ASKED, replaced, slots_of

IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/secret.png", "detail": "low"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "send", "arguments": '{"to": "tool words"}'}}

REQUESTS: list[tuple[str, dict[str, Any], list[str]]] = [
    (
        "chat",
        {
            "model": "m",
            "user": "u-1",
            "messages": [
                {"role": "system", "content": "rules"},
                {"role": "user", "name": "ann", "content": [{"type": "text", "text": "see this"}, IMAGE, SOUND]},
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "call_1", "content": "result"},
            ],
            "tools": [{"type": "function", "function": {"name": "send", "description": "no text of the caller's"}}],
        },
        ["rules", "see this", '{"to": "tool words"}', "result"],
    ),
    (
        "messages",
        {
            "model": "m",
            "system": [{"type": "text", "text": "rules", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a paper"}}],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "signed", "signature": "abc"},
                        {"type": "tool_use", "id": "t1", "name": "send", "input": {"type": "mail", "to": ["x", {"deep": "y"}]}},
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "done"}]}]},
                {"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}]},
            ],
        },
        ["rules", "a paper", "mail", "x", "y", "done"],
    ),
    (
        "responses",
        {
            "model": "m",
            "instructions": "rules",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "ask"}]},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "result"},
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"},
            ],
        },
        ["rules", "ask", "{}", "result"],
    ),
    ("a kept prompt", {"model": "m", "prompt": {"id": "pmpt_1", "variables": {"name": "Jo", "n": 1}}}, ["Jo"]),
    (
        "a guess",
        {"model": "m", "messages": [{"role": "user", "content": "fix"}], "prediction": {"type": "content", "content": "x"}},
        ["fix", "x"],
    ),
    ("an object", {"messages": [{"role": "user", "content": [{"type": "text", "text": {"value": "ask"}}]}]}, ["ask"]),
    ("responses, plain", {"model": "m", "input": "ask"}, ["ask"]),
    (
        "generate",
        {
            "model": "m",
            "systemInstruction": {"parts": [{"text": "rules"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "ask"}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"q": "words"}}, "thoughtSignature": "abc"}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "result"}}}]},
            ],
        },
        ["rules", "ask", "words", "result"],
    ),
    ("completions", {"model": "m", "prompt": ["a", "b"], "suffix": "c"}, ["a", "b", "c"]),
    ("tokens", {"model": "m", "prompt": [1, 2, 3]}, []),
    ("embeddings", {"model": "m", "input": ["a", "b"]}, ["a", "b"]),
    ("rerank", {"model": "m", "query": "q", "documents": ["a", {"text": "b", "id": "7"}]}, ["q", "a", "b"]),
    ("images", {"model": "m", "prompt": "a cat", "size": "1024x1024"}, ["a cat"]),
]


@pytest.mark.parametrize(("body", "texts"), [row[1:] for row in REQUESTS], ids=[row[0] for row in REQUESTS])
def test_the_texts_of_a_request_and_nothing_else(body: dict[str, Any], texts: list[str]) -> None:
    assert [slot.text for slot in slots_of(body, ASKED)] == texts
    changed = replaced(body, ASKED, [f"<{number}>" for number in range(len(texts))])
    assert [slot.text for slot in slots_of(changed, ASKED)] == [f"<{number}>" for number in range(len(texts))]
    # The caller's own is as it was, and the rest is the same.
    assert [slot.text for slot in slots_of(body, ASKED)] == texts
    assert replaced(changed, ASKED, texts) == body


ANSWERS: list[tuple[str, dict[str, Any], list[str]]] = [
    (
        "chat",
        {
            "id": "chatcmpl-1",
            "model": "m",
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "said", "tool_calls": [CALL]}},
                {"index": 1, "message": {"role": "assistant", "content": None, "refusal": "no", "reasoning_content": "hm"}},
            ],
        },
        ["said", '{"to": "tool words"}', "no", "hm"],
    ),
    (
        "messages",
        {
            "id": "msg_1",
            "type": "message",
            "content": [{"type": "text", "text": "said"}, {"type": "tool_use", "id": "t", "input": {"a": "b"}}],
        },
        ["said", "b"],
    ),
    (
        "responses",
        {
            "id": "resp_1",
            "object": "response",
            "output": [{"type": "message", "id": "i", "content": [{"type": "output_text", "text": "said", "annotations": []}]}],
            "instructions": "rules",
        },
        ["said"],
    ),
    ("generate", {"candidates": [{"content": {"role": "model", "parts": [{"text": "said"}]}, "finishReason": "STOP"}]}, ["said"]),
    ("transcription", {"text": "said", "segments": [{"id": 0, "text": "said", "start": 0.0}]}, ["said", "said"]),
    ("embeddings", {"object": "list", "data": [{"embedding": "AACAPw==", "index": 0}]}, []),
]


@pytest.mark.parametrize(("body", "texts"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
def test_the_texts_of_an_answer(body: dict[str, Any], texts: list[str]) -> None:
    assert [slot.text for slot in slots_of(body, ANSWERED)] == texts


def test_a_form_has_its_texts_in_its_fields_and_a_field_may_be_there_twice() -> None:
    sound = File("a.mp3", "audio/mpeg", b"ID3")
    body = {"model": "m", "prompt": "b", FORM: [("prompt", "a"), ("file", sound), ("prompt", "b"), ("model", "m")]}
    assert [slot.text for slot in slots_of(body, ASKED)] == ["a", "b"]
    changed = replaced(body, ASKED, ["<a>", "<b>"])
    assert changed == {"model": "m", "prompt": "<b>", FORM: [("prompt", "<a>"), ("file", sound), ("prompt", "<b>"), ("model", "m")]}
    assert body[FORM][0] == ("prompt", "a")
    # No caller makes a form of JSON.
    for form in ([], [["prompt", "x"]], "x"):
        assert [slot.text for slot in slots_of({"form": form, "prompt": "seen"}, ASKED)] == ["seen"]
