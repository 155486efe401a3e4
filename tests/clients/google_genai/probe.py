"""Google's client (google-genai) in all it does here; prints what it got as JSON."""

import json
import os
import sys
from typing import Any

from google import genai
from google.genai import errors, types

MODELS = ("gemini", "gpt", "claude")
client = genai.Client(api_key=os.environ["GATEWAY_KEY"], http_options=types.HttpOptions(base_url=os.environ["GATEWAY_URL"]))
SCHEMA = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
DECLARED = types.FunctionDeclaration(name="get_weather", description="Of a city", parameters=SCHEMA)
TOOLS = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[DECLARED])])


def get_weather(city: str) -> str:
    """Of a city."""
    return f"sunny-in-{city.lower()}"


def chat(model: str) -> dict[str, Any]:
    config = types.GenerateContentConfig(system_instruction="Be brief.", max_output_tokens=100, temperature=0.2)
    answer = client.models.generate_content(model=model, contents="Say hello", config=config)
    usage = answer.usage_metadata
    return {
        "text": answer.text,
        "finish": answer.candidates[0].finish_reason.name,
        "tokens": usage.total_token_count,
        "model": answer.model_version,
    }


def stream(model: str) -> dict[str, Any]:
    chunks = list(client.models.generate_content_stream(model=model, contents="Say hello"))
    return {"text": "".join(chunk.text or "" for chunk in chunks), "tokens": chunks[-1].usage_metadata.total_token_count}


def tools(model: str) -> dict[str, Any]:
    question = types.Content(role="user", parts=[types.Part(text="Weather in Paris?")])
    first = client.models.generate_content(model=model, contents=[question], config=TOOLS)
    call = first.function_calls[0]
    result = types.Part.from_function_response(name=call.name, response={"result": get_weather(**call.args)})
    history = [question, first.candidates[0].content, types.Content(role="user", parts=[result])]
    second = client.models.generate_content(model=model, contents=history, config=TOOLS)
    return {"name": call.name, "args": call.args, "then": second.text}


def streamed_tools(model: str) -> dict[str, Any]:
    calls = [
        call
        for chunk in client.models.generate_content_stream(model=model, contents="Weather in Paris?", config=TOOLS)
        for call in chunk.function_calls or []
    ]
    return {"name": calls[0].name, "args": calls[0].args}


def automatic(model: str) -> str:
    """The client calls the function by itself and asks again."""
    conversation = client.chats.create(model=model, config=types.GenerateContentConfig(tools=[get_weather]))
    return conversation.send_message("Weather in Paris?").text


def structured(model: str) -> Any:
    schema = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}, "degrees": {"type": "INTEGER", "nullable": True}}}
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=schema)
    return json.loads(client.models.generate_content(model=model, contents="Weather as JSON", config=config).text)


def embeddings() -> list[list[float]]:
    return [each.values for each in client.models.embed_content(model="embedder", contents=["a", "b"]).embeddings]


def failure() -> dict[str, Any]:
    try:
        client.models.generate_content(model="nobody", contents="x")
    except errors.ClientError as error:
        return {"code": error.code, "status": error.status, "message": error.message}
    return {}


print(
    json.dumps(
        {
            "version": genai.__version__,
            "chat": {model: chat(model) for model in MODELS},
            "stream": {model: stream(model) for model in MODELS},
            "tools": {model: tools(model) for model in MODELS},
            "streamed_tools": {model: streamed_tools(model) for model in MODELS},
            "automatic": {model: automatic(model) for model in MODELS},
            "structured": {model: structured(model) for model in MODELS},
            "counted": {model: client.models.count_tokens(model=model, contents="Say hello").total_tokens for model in MODELS},
            "embeddings": embeddings(),
            "models": sorted(each.name for each in client.models.list()),
            "model": client.models.get(model="gpt").name,
            "failure": failure(),
        }
    )
)
sys.stdout.flush()
