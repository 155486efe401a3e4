"""What every client is run against: one scripted provider of several makes, and a gateway configuration in front of it.

The provider says the same through each make's wire format: "Hello there!"; a call of `get_weather` for Paris when that tool is there and
nobody has answered it; "It is sunny." when the tool's result is in the conversation; a JSON object when a schema is asked for.
"""

import base64
import json
from typing import Any

from tests.support.gateway import config_of, model
from tests.support.upstream import Received, Reply, as_json, as_sse, chunk, completion, text_stream

TEXT, SUNNY, RECORD = "Hello there!", "It is sunny.", '{"city":"Paris","degrees":21}'
ARGUMENTS = '{"city":"Paris"}'
MP3 = b"ID3\x04" + bytes(range(256)) * 8
PRICES = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}


def config(upstream: str) -> dict[str, Any]:
    openai = f"{upstream}/v1"
    return config_of(
        model("gpt", "openai/gpt-4o-mini", openai, **PRICES),
        model("o3", "openai/o3", openai, **PRICES),
        model("claude", "anthropic/claude-sonnet-4-5", upstream, **PRICES),
        model("gemini", "gemini/gemini-2.5-flash", f"{upstream}/v1beta", **PRICES),
        model("demo", "openai/demo", "http://127.0.0.1:9/v1", mock_response={"demo": True}),
        model("embedder", "openai/text-embedding-3-small", openai, input_cost_per_token=2e-8, output_cost_per_token=0),
        model("reranker", "cohere/rerank-v3.5", upstream, input_cost_per_query=0.002),
        model("moderator", "openai/omni-moderation-latest", openai, input_cost_per_token=0, output_cost_per_token=0),
        model("painter", "openai/gpt-image-1", openai, input_cost_per_token=5e-6, output_cost_per_token=4e-5),
        model("whisper", "openai/whisper-1", openai, input_cost_per_second=0.0001),
        model("speaker", "openai/tts-1", openai, input_cost_per_character=1.5e-5),
    )


def provider(request: Received) -> Reply:
    path = request.path.partition("?")[0]
    if path.endswith("/messages"):
        return _anthropic(request.json)
    if ":generateContent" in path or ":streamGenerateContent" in path:
        return _gemini(request.json, streamed="stream" in path)
    for ending, answer in _OTHERS.items():
        if path.endswith(ending):
            return answer(request)
    if path.endswith("/chat/completions"):
        return _chat(request.json)
    return as_json({"error": {"message": f"no such address: {path}", "type": "invalid_request_error", "code": None, "param": None}}, 404)


def _wanted(body: dict[str, Any], raw: str) -> str:
    """text | call | sunny | record"""
    if "sunny-in-paris" in raw:
        return "sunny"
    if body.get("tools") and "get_weather" in raw:
        return "call"
    return "record" if "degrees" in raw else "text"


def _said(wanted: str) -> str:
    return {"sunny": SUNNY, "record": RECORD}.get(wanted, TEXT)


def _chat(body: dict[str, Any]) -> Reply:
    wanted = _wanted(body, json.dumps(body))
    if wanted == "call":
        call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": ARGUMENTS}}
        if body.get("stream"):
            pieces = [{"index": 0, **call, "function": {"name": "get_weather", "arguments": ""}}]
            pieces += [{"index": 0, "function": {"arguments": piece}} for piece in (ARGUMENTS[:5], ARGUMENTS[5:])]
            ends = [chunk({}, "tool_calls"), {**chunk({}), "choices": [], "usage": completion()["usage"]}]
            return as_sse(chunk({"role": "assistant", "content": None}), *(chunk({"tool_calls": [piece]}) for piece in pieces), *ends)
        message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}
        return as_json(completion(choices=[choice]))
    text = _said(wanted)
    return as_sse(*text_stream(*_pieces(text))) if body.get("stream") else as_json(completion(text))


def _pieces(text: str) -> list[str]:
    return [text[place : place + 4] for place in range(0, len(text), 4)]


def _anthropic(body: dict[str, Any]) -> Reply:
    wanted = _wanted(body, json.dumps(body))
    usage = {"input_tokens": 9, "output_tokens": 12, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    block: dict[str, Any] = {"type": "text", "text": _said(wanted)}
    if wanted == "call":
        block = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": json.loads(ARGUMENTS)}
    stop = "tool_use" if wanted == "call" else "end_turn"
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929", "content": [block],
        "stop_reason": stop, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    if not body.get("stream"):
        return as_json(message)
    empty = {**block, "input": {}} if wanted == "call" else {"type": "text", "text": ""}
    delta = {"type": "input_json_delta", "partial_json": ARGUMENTS} if wanted == "call" else {"type": "text_delta", "text": block["text"]}
    events = [
        {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]
    named = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]
    return Reply(200, {"content-type": "text/event-stream"}, named)


def _gemini(body: dict[str, Any], *, streamed: bool) -> Reply:
    wanted = _wanted(body, json.dumps(body))
    part: dict[str, Any] = {"text": _said(wanted)}
    if wanted == "call":
        part = {"functionCall": {"name": "get_weather", "args": json.loads(ARGUMENTS)}, "thoughtSignature": "c2lnbmF0dXJl"}
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 12, "totalTokenCount": 21}
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    answer = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash", "responseId": "r1"}
    if not streamed:
        return as_json(answer)
    return Reply(200, {"content-type": "text/event-stream"}, [b"data: " + json.dumps(answer).encode() + b"\r\n\r\n"])


def _embeddings(request: Received) -> Reply:
    body = request.json
    inputs = body["input"] if isinstance(body["input"], list) and not isinstance(body["input"][0], int) else [body["input"]]
    vector: Any = [0.25, -0.5, 1.0]
    if body.get("encoding_format") == "base64":
        vector = base64.b64encode(bytes.fromhex("0000803e000000bf0000803f")).decode()
    rows = [{"object": "embedding", "index": place, "embedding": vector} for place in range(len(inputs))]
    return as_json({"object": "list", "data": rows, "model": "text-embedding-3-small", "usage": {"prompt_tokens": 8, "total_tokens": 8}})


def _rerank(request: Received) -> Reply:
    results = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    return as_json({"id": "rr-1", "results": results[: request.json.get("top_n") or 2], "meta": meta})


def _moderations(request: Received) -> Reply:
    result = {
        "flagged": False,
        "categories": {"violence": False},
        "category_scores": {"violence": 0.01},
        "category_applied_input_types": {},
    }
    return as_json({"id": "modr-1", "model": "omni-moderation-latest", "results": [result]})


def _images(request: Received) -> Reply:
    usage = {"input_tokens": 14, "input_tokens_details": {"image_tokens": 0, "text_tokens": 14}, "output_tokens": 272, "total_tokens": 286}
    return as_json({"created": 1700000000, "data": [{"b64_json": "aGVsbG8="}], "usage": usage})


def _transcribed(request: Received) -> Reply:
    return as_json({"text": "Hello there!", "usage": {"type": "duration", "seconds": 3}})


def _spoken(request: Received) -> Reply:
    return Reply(200, {"content-type": "audio/mpeg"}, [MP3[:100], MP3[100:]])


def _cohere_chat(request: Received) -> Reply:
    body = request.json
    wanted = _wanted(body, json.dumps(body))
    usage = {"billed_units": {"input_tokens": 9, "output_tokens": 12}, "tokens": {"input_tokens": 9, "output_tokens": 12}}
    message: dict[str, Any] = {"role": "assistant", "content": [{"type": "text", "text": _said(wanted)}]}
    if wanted == "call":
        call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": ARGUMENTS}}
        message = {"role": "assistant", "tool_plan": "Look it up.", "tool_calls": [call]}
    finish = "TOOL_CALL" if wanted == "call" else "COMPLETE"
    if not body.get("stream"):
        return as_json({"id": "c1", "finish_reason": finish, "message": message, "usage": usage})
    start = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    return as_sse(
        {"type": "message-start", "id": "c1", "delta": {"message": start}},
        {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
        *({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": piece}}}} for piece in _pieces(_said(wanted))),
        {"type": "content-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": finish, "usage": usage}},
    )


def _cohere_embed(request: Received) -> Reply:
    vectors = [[0.25, -0.5, 1.0] for _ in request.json["texts"]]
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 8}}
    return as_json(
        {"id": "e1", "embeddings": {"float": vectors}, "texts": request.json["texts"], "meta": meta, "response_type": "embeddings_by_type"}
    )


_OTHERS = {
    "/v2/chat": _cohere_chat,
    "/v2/embed": _cohere_embed,
    "/embeddings": _embeddings,
    "/rerank": _rerank,
    "/moderations": _moderations,
    "/images/generations": _images,
    "/images/edits": _images,
    "/audio/transcriptions": _transcribed,
    "/audio/translations": _transcribed,
    "/audio/speech": _spoken,
    "/messages/count_tokens": lambda _: as_json({"input_tokens": 42}),
    ":countTokens": lambda _: as_json({"totalTokens": 42}),
}
