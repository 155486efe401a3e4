"""OpenAI's own client in all it does here; prints what it got as JSON."""

import json
import os
from typing import Any

import openai
from pydantic import BaseModel

client = openai.OpenAI(base_url=os.environ["GATEWAY_URL"] + "/v1", api_key=os.environ["GATEWAY_KEY"], max_retries=0)
MODELS = ("gpt", "claude", "gemini")
ASK: Any = [{"role": "user", "content": "Say hello"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]


class Report(BaseModel):
    city: str
    degrees: int


def stream(model: str) -> str:
    chunks = client.chat.completions.create(model=model, messages=ASK, stream=True, max_tokens=50)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def tools(model: str) -> dict[str, Any]:
    question: Any = [{"role": "user", "content": "Weather in Paris?"}]
    first = client.chat.completions.create(model=model, messages=question, tools=TOOLS, max_tokens=50).choices[0].message
    assert first.tool_calls
    call: Any = first.tool_calls[0]
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny-in-paris"}
    second = client.chat.completions.create(model=model, messages=[*question, first, result], tools=TOOLS, max_tokens=50)
    return {"name": call.function.name, "args": json.loads(call.function.arguments), "then": second.choices[0].message.content}


def responses(model: str) -> dict[str, Any]:
    answer = client.responses.create(model=model, input="Say hello")
    with client.responses.stream(model=model, input="Say hello") as events:
        kinds = [event.type for event in events]
        streamed = events.get_final_response()
    parsed = client.responses.parse(model=model, input="Weather as JSON: degrees", text_format=Report).output_parsed
    again = client.responses.retrieve(answer.id)
    client.responses.delete(answer.id)
    return {
        "text": answer.output_text,
        "streamed": streamed.output_text,
        "ends": [kinds[0], kinds[-1]],
        "parsed": parsed.model_dump() if parsed else None,
        "again": again.output_text,
    }


def failure() -> dict[str, Any]:
    try:
        client.chat.completions.create(model="nobody", messages=ASK)
    except openai.BadRequestError as error:
        return {"status": error.status_code, "param": error.param}
    return {}


def parsed(model: str) -> Any:
    messages: Any = [{"role": "user", "content": "Weather as JSON: degrees"}]
    found = client.chat.completions.parse(model=model, messages=messages, response_format=Report, max_tokens=50).choices[0].message.parsed
    return found.model_dump() if found else None


print(
    json.dumps(
        {
            "version": openai.__version__,
            "chat": {
                each: client.chat.completions.create(model=each, messages=ASK, max_tokens=50).choices[0].message.content for each in MODELS
            },
            "stream": {each: stream(each) for each in MODELS},
            "tools": {each: tools(each) for each in MODELS},
            "structured": {each: parsed(each) for each in MODELS},
            "responses": {each: responses(each) for each in MODELS},
            "embeddings": [row.embedding for row in client.embeddings.create(model="embedder", input=["a", "b"]).data],
            "moderation": client.moderations.create(model="moderator", input="x").results[0].flagged,
            "image": (client.images.generate(model="painter", prompt="x").data or [])[0].b64_json,
            "speech": len(client.audio.speech.create(model="speaker", voice="alloy", input="Hi").content),
            "transcript": client.audio.transcriptions.create(model="whisper", file=("a.mp3", b"ID3" * 99)).text,
            "models": sorted(each.id for each in client.models.list()),
            "failure": failure(),
        }
    )
)
