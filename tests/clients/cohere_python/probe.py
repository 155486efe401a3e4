"""Cohere's own client: rerank at any model, and Cohere's own API by way of the gateway; prints what it got as JSON."""

import json
import os
from importlib.metadata import version

import cohere

URL, KEY = os.environ["GATEWAY_URL"], os.environ["GATEWAY_KEY"]
gateway = cohere.ClientV2(api_key=KEY, base_url=URL)
through = cohere.ClientV2(api_key=KEY, base_url=URL + "/cohere")
ASK = [{"role": "user", "content": "Say hello"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Of a city", "parameters": WEATHER}}]

ranked = gateway.rerank(model="reranker", query="q", documents=["a", "b"], top_n=2)
chat = through.chat(model="command-r", messages=ASK)
streamed = [
    event.delta.message.content.text for event in through.chat_stream(model="command-r", messages=ASK) if event.type == "content-delta"
]
called = through.chat(model="command-r", messages=[{"role": "user", "content": "Weather in Paris?"}], tools=TOOLS).message.tool_calls[0]
vectors = through.embed(model="embed-v4.0", texts=["a", "b"], input_type="search_document", embedding_types=["float"])
print(
    json.dumps(
        {
            "version": version("cohere"),
            "rerank": [(row.index, row.relevance_score) for row in ranked.results],
            "chat": chat.message.content[0].text,
            "stream": "".join(streamed),
            "tools": {"name": called.function.name, "args": json.loads(called.function.arguments)},
            "embeddings": vectors.embeddings.float_,
        }
    )
)
