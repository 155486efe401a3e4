"""LlamaIndex with its OpenAI-like model; prints what it got as JSON."""

import json
import os
from importlib.metadata import version
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike

BASE, KEY = os.environ["GATEWAY_URL"] + "/v1", os.environ["GATEWAY_KEY"]
MODELS = ("gpt", "claude", "gemini")
ASK = [ChatMessage(role="user", content="Say hello")]


def get_weather(city: str) -> str:
    """Of a city."""
    return f"sunny-in-{city.lower()}"


WEATHER = FunctionTool.from_defaults(fn=get_weather)


def llm_of(model: str) -> OpenAILike:
    return OpenAILike(model=model, api_base=BASE, api_key=KEY, is_chat_model=True, is_function_calling_model=True, max_retries=0)


def tools(model: str) -> dict[str, Any]:
    llm = llm_of(model)
    question = ChatMessage(role="user", content="Weather in Paris?")
    first = llm.chat_with_tools([WEATHER], chat_history=[question])
    call = llm.get_tool_calls_from_response(first)[0]
    result = ChatMessage(role="tool", content=get_weather(**call.tool_kwargs), additional_kwargs={"tool_call_id": call.tool_id})
    second = llm.chat_with_tools([WEATHER], chat_history=[question, first.message, result])
    return {"name": call.tool_name, "args": call.tool_kwargs, "then": second.message.content}


vectors = OpenAILikeEmbedding(model_name="embedder", api_base=BASE, api_key=KEY, max_retries=1)
print(
    json.dumps(
        {
            "version": version("llama-index-core"),
            "chat": {each: llm_of(each).chat(ASK).message.content for each in MODELS},
            "stream": {each: "".join(chunk.delta or "" for chunk in llm_of(each).stream_chat(ASK)) for each in MODELS},
            "tools": {each: tools(each) for each in MODELS},
            "embeddings": vectors.get_text_embedding_batch(["a", "b"]),
        }
    )
)
