"""An agent that is a model: a message becomes a chat completion over the whole pipeline, and its answer a message or a task's artifact.

It remembers nothing: every message is a conversation of its own.
"""

import orjson

from tollkeeper.admission.visit import Call
from tollkeeper.catalog.endpoints import CHAT
from tollkeeper.config.snapshot import Upstream
from tollkeeper.dialects.base import Chunk, Json
from tollkeeper.edge.a2a_wire import SEND, STREAM, TASK_METHODS, TASK_NOT_FOUND, Words, content_of, context_of
from tollkeeper.edge.door import Visitor
from tollkeeper.edge.jsonrpc import METHOD_NOT_FOUND, RpcCall, RpcFault, event, fault_from, fault_of, result_of
from tollkeeper.edge.sse import EventStream
from tollkeeper.pipeline import Gateway


class ModelAgent:
    """One per process."""

    def __init__(self, gateway: Gateway, *, heartbeat_seconds: float) -> None:
        self._gateway, self._heartbeat_seconds = gateway, heartbeat_seconds

    async def answer(self, visitor: Visitor, agent: Upstream, call: RpcCall) -> Json | None:
        """None: it was streamed. Raises RpcFault, TollkeeperError."""
        if call.method in SEND:
            words = self._words(visitor, call, modern=SEND[call.method])
            answer = await self._gateway.serve(_chat(visitor, agent, call, stream=False))
            message = ((answer.body or {}).get("choices") or [{}])[0].get("message") or {}
            return result_of(call, words.message(f"{words.task_id}-answer", message.get("content") or message.get("refusal") or ""))
        if call.method in STREAM:
            await self._stream(visitor, agent, call)
            return None
        if call.method in TASK_METHODS:
            raise RpcFault(TASK_NOT_FOUND, "Task not found: this agent keeps no tasks.")
        raise RpcFault(METHOD_NOT_FOUND, f"Method not found: {call.method[:100]}")

    async def _stream(self, visitor: Visitor, agent: Upstream, call: RpcCall) -> None:
        words, chat = self._words(visitor, call, modern=STREAM[call.method]), _chat(visitor, agent, call, stream=True)
        events = EventStream(visitor.receive, visitor.send, self._heartbeat_seconds)
        headers = {"x-litellm-call-id": visitor.call_id}

        async def produce() -> None:
            answer = await self._gateway.serve(chat)
            assert answer.stream is not None
            try:
                if not events.begun:
                    await events.begin({**answer.headers, **headers})
                await events.write(event(result_of(call, words.task())))
                first = True
                async for batch in answer.stream:
                    if text := "".join(_text_of(chunk) for chunk in batch):
                        await events.write(event(result_of(call, words.piece(text, first=first))))
                        first = False
                await events.write(event(result_of(call, words.end("completed"))))
                await events.end()
            finally:
                await answer.stream.aclose()

        try:
            await events.run(produce, headers)
        except Exception as error:
            if not events.begun:
                raise
            fault = fault_from(error, visitor.call_id)
            await events.write(event(result_of(call, words.end("failed", fault.message))))
            await events.write(event(fault_of(fault, call.id)))
            await events.end()

    def _words(self, visitor: Visitor, call: RpcCall, *, modern: bool) -> Words:
        return Words(modern, f"task-{visitor.call_id}", context_of(call.params) or f"context-{visitor.call_id}")


def _chat(visitor: Visitor, agent: Upstream, call: RpcCall, *, stream: bool) -> Call:
    system = agent.terms["system"]
    messages: list[Json] = [{"role": "system", "content": system}] if system else []
    body = {"model": agent.terms["model"], "messages": [*messages, {"role": "user", "content": content_of(call.params)}]}
    if stream:
        body["stream"] = True
    shown = visitor.headers.get("x-litellm-call-id", visitor.call_id)[:128]
    return Call(visitor.call_id, shown, body, orjson.dumps(body), visitor.headers, {}, endpoint=CHAT, principal=visitor.principal)


def _text_of(chunk: Chunk) -> str:
    choices = chunk.data.get("choices") or [{}]
    return (choices[0].get("delta") or {}).get("content") or ""
