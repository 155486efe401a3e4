"""LangChain's OpenAI integration; prints what it got as JSON."""

import json
import os
from importlib.metadata import version
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

BASE, KEY = os.environ["GATEWAY_URL"] + "/v1", os.environ["GATEWAY_KEY"]
MODELS = ("gpt", "claude", "gemini")


class Report(BaseModel):
    """Weather."""

    city: str
    degrees: int


@tool
def get_weather(city: str) -> str:
    """Of a city."""
    return f"sunny-in-{city.lower()}"


def chat_of(model: str, **more: Any) -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=BASE, api_key=KEY, max_retries=0, **more)


def tools(model: str) -> dict[str, Any]:
    bound = chat_of(model).bind_tools([get_weather])
    question = HumanMessage("Weather in Paris?")
    first = bound.invoke([question])
    call = first.tool_calls[0]
    second = bound.invoke([question, first, ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])])
    return {"name": call["name"], "args": call["args"], "then": second.text}


vectors = OpenAIEmbeddings(model="embedder", base_url=BASE, api_key=KEY, check_embedding_ctx_length=False, max_retries=0)
print(
    json.dumps(
        {
            "version": version("langchain-openai"),
            "chat": {each: chat_of(each).invoke("Say hello").text for each in MODELS},
            "stream": {each: "".join(chunk.text for chunk in chat_of(each).stream("Say hello")) for each in MODELS},
            "responses": chat_of("claude", use_responses_api=True).invoke("Say hello").text,
            "tools": {each: tools(each) for each in MODELS},
            "structured": {
                each: chat_of(each).with_structured_output(Report, method="json_schema").invoke("degrees?").model_dump() for each in MODELS
            },
            "embeddings": vectors.embed_documents(["a", "b"]),
        }
    )
)
