"""Asks a replayed provider through its own client, and says what that client understood. Runs in an environment of its own.

`python ask.py <client>`: cases on standard input, one JSON object a line, `{"url", "model", "stream"}`; for each a line comes out:
`{"text", "reasoning", "tools": [[name, arguments]], "length", "tokens": [input, output]}`. `length`: whether the limit cut it.
"""

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

HELLO = [{"role": "user", "content": "Hello"}]


class Said:
    """What was understood so far."""

    def __init__(self) -> None:
        self.text = self.reasoning = ""
        self.tools: dict[Any, list[Any]] = {}
        self.length = False
        self.tokens: list[int] | None = None

    def call(self, key: Any, name: str | None, arguments: Any) -> None:
        known = self.tools.setdefault(key, ["", ""])
        known[0] += name or ""
        known[1] = arguments if isinstance(arguments, dict) else known[1] + (arguments or "")

    def line(self) -> str:
        tools = [[name, json.loads(given or "{}") if isinstance(given, str) else given] for name, given in self.tools.values()]
        said = {"text": self.text, "reasoning": self.reasoning, "tools": tools, "length": self.length, "tokens": self.tokens}
        return json.dumps(said)


def google(case: dict[str, Any], said: Said) -> None:
    from google import genai

    client = genai.Client(api_key="k", http_options={"base_url": case["url"], "api_version": "v1beta"})
    ask = client.models.generate_content_stream if case["stream"] else client.models.generate_content
    answer: Any = ask(model=case["model"], contents="Hello")
    for piece in answer if case["stream"] else [answer]:
        for candidate in piece.candidates or ():
            for part in (candidate.content and candidate.content.parts) or ():
                if part.function_call:
                    said.call(len(said.tools), part.function_call.name, dict(part.function_call.args or {}))
                elif part.text and part.thought:
                    said.reasoning += part.text
                elif part.text:
                    said.text += part.text
            said.length |= str(candidate.finish_reason).endswith("MAX_TOKENS")
        if usage := piece.usage_metadata:
            read = (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0)
            said.tokens = [read, (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)]


def cohere(case: dict[str, Any], said: Said) -> None:
    from cohere import ClientV2

    client = ClientV2(api_key="k", base_url=case["url"])
    if not case["stream"]:
        answer = client.chat(model=case["model"], messages=HELLO)
        for part in answer.message.content or ():
            said.text += getattr(part, "text", "") or ""
            said.reasoning += getattr(part, "thinking", "") or ""
        said.reasoning += answer.message.tool_plan or ""
        for call in answer.message.tool_calls or ():
            said.call(call.id, call.function.name, call.function.arguments)
        cohere_end(answer.finish_reason, answer.usage, said)
        return
    for event in client.chat_stream(model=case["model"], messages=HELLO):
        message = getattr(getattr(event, "delta", None), "message", None)
        if event.type in {"content-start", "content-delta"}:
            said.text += getattr(message.content, "text", "") or ""
            said.reasoning += getattr(message.content, "thinking", "") or ""
        elif event.type == "tool-plan-delta":
            said.reasoning += message.tool_plan or ""
        elif event.type == "tool-call-start":
            said.call(event.index, message.tool_calls.function.name, message.tool_calls.function.arguments)
        elif event.type == "tool-call-delta":
            said.call(event.index, None, message.tool_calls.function.arguments)
        elif event.type == "message-end":
            cohere_end(event.delta.finish_reason, event.delta.usage, said)


def cohere_end(finish: str | None, usage: Any, said: Said) -> None:
    said.length = finish == "MAX_TOKENS"
    if usage and usage.tokens:
        said.tokens = [int(usage.tokens.input_tokens or 0), int(usage.tokens.output_tokens or 0)]


def mistral(case: dict[str, Any], said: Said) -> None:
    from mistralai.client import Mistral

    client = Mistral(api_key="k", server_url=case["url"])
    ask = client.chat.stream if case["stream"] else client.chat.complete
    answer: Any = ask(model=case["model"], messages=HELLO)
    for event in answer if case["stream"] else [answer]:
        piece = event.data if case["stream"] else event
        for choice in piece.choices:
            if choice.index:
                continue
            message = choice.delta if case["stream"] else choice.message
            mistral_content(message.content, said)
            for place, call in enumerate(message.tool_calls or ()):
                key = call.index if case["stream"] and call.index else place
                said.call((key, call.id), call.function.name, call.function.arguments)
            said.length |= choice.finish_reason == "length"
        if usage := piece.usage:
            said.tokens = [usage.prompt_tokens or 0, usage.completion_tokens or 0]


def mistral_content(content: Any, said: Said) -> None:
    for part in [content] if isinstance(content, str) else content or ():
        if isinstance(part, str):
            said.text += part
        elif part.type == "thinking":
            said.reasoning += "".join(getattr(piece, "text", "") for piece in part.thinking)
        else:
            said.text += getattr(part, "text", "") or ""


def ollama(case: dict[str, Any], said: Said) -> None:
    from ollama import Client

    answer = Client(host=case["url"]).chat(model=case["model"], messages=HELLO, stream=case["stream"])
    pieces: Iterable[Any] = answer if case["stream"] else [answer]
    for piece in pieces:
        said.text += piece.message.content or ""
        said.reasoning += piece.message.thinking or ""
        for call in piece.message.tool_calls or ():
            said.call(len(said.tools), call.function.name, dict(call.function.arguments))
        if piece.done:
            said.length = piece.done_reason == "length"
            said.tokens = [piece.prompt_eval_count or 0, piece.eval_count or 0]


CLIENTS: dict[str, Callable[[dict[str, Any], Said], None]] = {"google": google, "cohere": cohere, "mistral": mistral, "ollama": ollama}

if __name__ == "__main__":
    for line in sys.stdin:
        said = Said()
        CLIENTS[sys.argv[1]](json.loads(line), said)
        print(said.line(), flush=True)
