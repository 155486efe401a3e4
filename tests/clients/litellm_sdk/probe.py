"""LiteLLM's SDK as a client, as it talks to LiteLLM's own proxy and to a provider's address; prints what it got as JSON."""

import json
import os
from importlib.metadata import version
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

URL, KEY = os.environ["GATEWAY_URL"], os.environ["GATEWAY_KEY"]
ASK = [{"role": "user", "content": "Say hello"}]
MODELS = ("gpt", "claude", "gemini")
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]


def complete(model: str, messages: Any = None, **more: Any) -> Any:
    return litellm.completion(model=f"litellm_proxy/{model}", messages=messages or ASK, api_base=URL, api_key=KEY, num_retries=0, **more)


def tools(model: str) -> dict[str, Any]:
    question = [{"role": "user", "content": "Weather in Paris?"}]
    first = complete(model, question, tools=TOOLS).choices[0].message
    call = first.tool_calls[0]
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny-in-paris"}
    second = complete(model, [*question, first.model_dump(), result], tools=TOOLS)
    return {"name": call.function.name, "args": json.loads(call.function.arguments), "then": second.choices[0].message.content}


def at(prefix: str, model: str, base: str) -> str:
    return litellm.completion(model=f"{prefix}/{model}", messages=ASK, api_base=base, api_key=KEY, max_tokens=20).choices[0].message.content


def failure() -> str:
    try:
        complete("nobody")
    except litellm.BadRequestError as error:
        return type(error).__name__
    return ""


vectors = litellm.embedding(model="litellm_proxy/embedder", input=["a", "b"], api_base=URL, api_key=KEY)
ranked = litellm.rerank(model="litellm_proxy/reranker", query="q", documents=["a", "b"], api_base=URL, api_key=KEY)
print(
    json.dumps(
        {
            "version": version("litellm"),
            "chat": {each: complete(each).choices[0].message.content for each in MODELS},
            "stream": {each: "".join(chunk.choices[0].delta.content or "" for chunk in complete(each, stream=True)) for each in MODELS},
            "tools": {each: tools(each) for each in MODELS},
            "elsewhere": [at("openai", "gpt", URL + "/v1"), at("anthropic", "gpt", URL)],
            "responses": litellm.responses(model="litellm_proxy/gpt", input="Say hello", api_base=URL, api_key=KEY)
            .output[0]
            .content[0]
            .text,
            "embeddings": [row["embedding"] for row in vectors.data],
            "rerank": [row["index"] for row in ranked.results],
            "failure": failure(),
        }
    )
)
