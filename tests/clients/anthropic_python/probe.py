"""Anthropic's own client in all it does here; prints what it got as JSON."""

import json
import os
from typing import Any

import anthropic

client = anthropic.Anthropic(base_url=os.environ["GATEWAY_URL"], api_key=os.environ["GATEWAY_KEY"], max_retries=0)
MODELS = ("claude", "gpt", "gemini")
ASK: Any = [{"role": "user", "content": "Say hello"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [{"name": "get_weather", "description": "Of a city", "input_schema": SCHEMA}]


def chat(model: str) -> dict[str, Any]:
    system: Any = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    answer = client.messages.create(model=model, max_tokens=100, messages=ASK, system=system)
    return {"text": answer.content[0].text, "stop": answer.stop_reason, "out": answer.usage.output_tokens, "model": answer.model}


def stream(model: str) -> dict[str, Any]:
    with client.messages.stream(model=model, max_tokens=100, messages=ASK) as events:
        text = "".join(events.text_stream)
        return {"text": text, "stop": events.get_final_message().stop_reason}


def tools(model: str) -> dict[str, Any]:
    question: Any = [{"role": "user", "content": "Weather in Paris?"}]
    with client.messages.stream(model=model, max_tokens=100, messages=question, tools=TOOLS) as events:
        first = events.get_final_message()
    call = next(block for block in first.content if block.type == "tool_use")
    result = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny-in-paris"}]
    history: Any = [*question, {"role": "assistant", "content": first.content}, {"role": "user", "content": result}]
    second = client.messages.create(model=model, max_tokens=100, messages=history, tools=TOOLS)
    return {"name": call.name, "args": call.input, "then": second.content[0].text, "stop": first.stop_reason}


def failure() -> dict[str, Any]:
    try:
        client.messages.create(model="nobody", max_tokens=5, messages=ASK)
    except anthropic.BadRequestError as error:
        return {"status": error.status_code, "type": error.body["error"]["type"]}
    return {}


print(
    json.dumps(
        {
            "version": anthropic.__version__,
            "chat": {each: chat(each) for each in MODELS},
            "stream": {each: stream(each) for each in MODELS},
            "tools": {each: tools(each) for each in MODELS},
            "betas": client.beta.messages.create(model="claude", max_tokens=5, messages=ASK, betas=["x-1"]).content[0].text,
            "counted": {each: client.messages.count_tokens(model=each, messages=ASK).input_tokens > 0 for each in MODELS},
            "models": sorted(each.id for each in client.models.list()),
            "model": client.models.retrieve("gpt").id,
            "failure": failure(),
        }
    )
)
