"""Answers without a provider: LiteLLM's `mock_response`, and the demo model of `make dev`.

A script becomes OpenAI wire bytes, which then take the same way as a provider's: decoded, metered, priced. It is one of

- a text: the answer (streamed word by word); LiteLLM's error names (`litellm.RateLimitError`, …) make that error instead
- an object with `choices`: a whole chat.completion, as it stands
- `Exception: content_filter_policy` (refused as content) and `Exception: mock_streaming_error` (broken after the first words)
- `{"demo": true}`: answers sensibly to whatever is asked: calls the first tool, fills the JSON schema, or talks
- a list of steps: a text; {"reasoning": text}; {"tool_call": {"name", "arguments"}}; {"sleep": seconds};
  {"error": {"status", "message", "type", "code", "retry_after"}} (a status line if nothing was said yet, in-band afterwards);
  {"cut": true} (the connection just ends); {"usage": {...}}; {"finish": reason}

Beside a script a request may say `mock_tool_calls` (OpenAI's tool calls, added to the answer), `mock_delay` (seconds before it) and
`mock_timeout: true` (no answer at all). `mock_testing_fallbacks`, `mock_testing_context_fallbacks`, `mock_testing_content_policy_fallbacks`
and `mock_testing_rate_limit_error` make the first model group fail, so that its fallbacks can be seen to work.
https://docs.litellm.ai/docs/completion/mock_requests https://docs.litellm.ai/docs/proxy/reliability#test-fallbacks
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import orjson

from tollkeeper.clock import Clock
from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects.base import Json
from tollkeeper.errors import (
    BadRequest,
    ContentPolicyViolation,
    ContextWindowExceeded,
    UpstreamError,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from tollkeeper.providers.examples import example_of

BASE_URL = "scripted://"
DEFAULT_USAGE: Json = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
"""What LiteLLM reports for a mocked call."""

ERRORS: Mapping[str, tuple[int, str, str | None]] = {
    "litellm.RateLimitError": (429, "rate_limit_error", "rate_limit_exceeded"),
    "litellm.InternalServerError": (500, "server_error", None),
    "litellm.ServiceUnavailableError": (503, "server_error", None),
    "litellm.AuthenticationError": (401, "authentication_error", "invalid_api_key"),
    "litellm.BadRequestError": (400, "invalid_request_error", None),
    "litellm.NotFoundError": (404, "invalid_request_error", "model_not_found"),
    "litellm.ContextWindowExceededError": (400, "invalid_request_error", "context_length_exceeded"),
    "litellm.ContentPolicyViolationError": (400, "invalid_request_error", "content_policy_violation"),
    "litellm.Timeout": (408, "timeout_error", None),
}

Script = str | Json | list[Any]
Step = tuple[float, bytes]


_REHEARSALS: Mapping[str, Callable[[str], UpstreamError]] = {
    "mock_testing_fallbacks": UpstreamFailed,
    "mock_testing_context_fallbacks": lambda message: ContextWindowExceeded(message, code="context_length_exceeded"),
    "mock_testing_content_policy_fallbacks": lambda message: ContentPolicyViolation(message, code="content_policy_violation"),
    "mock_testing_rate_limit_error": UpstreamRateLimited,
}
_SCRIPTING = ("mock_response", "mock_tool_calls", "mock_timeout")
_MOST_ANSWERS, _LONGEST_DELAY = 128, 3600.0


def script_for(deployment: Deployment, request: Json) -> Script | None:
    """The request's own script wins, as in LiteLLM. None: a provider is to be asked."""
    script: Script | None = request.get("mock_response")
    if script is None and (request.get("mock_tool_calls") or request.get("mock_timeout")):
        return []
    return script if script is not None else deployment.mock_response


def is_rehearsal(request: Mapping[str, Any]) -> bool:
    """Whether the caller itself decides how this call goes: that must say nothing of the deployment."""
    return any(request.get(name) not in (None, False) for name in _SCRIPTING) or rehearsed_failure(request) is not None


def rehearsed_failure(request: Mapping[str, Any]) -> UpstreamError | None:
    """What the first model group is to fail with, if the request asks for that."""
    for name, made in _REHEARSALS.items():
        if request.get(name) is True:
            return made(f"Mocked error: the request said {name}.")
    return None


class ScriptedTransport:
    """Plays scripts. Sleeps are the clock's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def answer(self, script: Script | None, request: Json, first_byte: float | None) -> "ScriptedResponse":
        """Raises UpstreamTimeout when the script sleeps past `first_byte` seconds before it says anything."""
        steps = _steps(script, request)
        try:
            async with asyncio.timeout(first_byte):
                while steps and "sleep" in steps[0]:
                    await self._clock.sleep(float(steps.pop(0)["sleep"]))
        except TimeoutError as error:
            raise UpstreamTimeout("Timeout: the scripted provider did not answer in time.") from error
        told = steps[:1] if request.get("stream") else steps
        if (refusal := next((step["error"] for step in told if "error" in step), None)) is not None:
            return self._refusal(refusal)
        if not request.get("stream") and any("cut" in step for step in steps):
            raise UpstreamUnreachable("Connection error: the scripted provider closed the connection before its answer was complete.")
        shell = {"id": f"chatcmpl-{self._clock.new_id()}", "created": int(self._clock.now()), "model": "scripted"}
        wire = _stream(steps, shell) if request.get("stream") else iter(((0.0, orjson.dumps(_buffered(steps, shell, _answers(request)))),))
        return ScriptedResponse(200, {"content-type": "application/json"}, wire, self._clock)

    def _refusal(self, error: Json) -> "ScriptedResponse":
        headers = {"content-type": "application/json"}
        if error.get("retry_after") is not None:
            headers["retry-after"] = str(error["retry_after"])
        return ScriptedResponse(int(error.get("status", 500)), headers, iter(((0.0, _error_bytes(error)),)), self._clock)


class ScriptedResponse:
    """A transport response made of timed pieces."""

    def __init__(self, status: int, headers: Mapping[str, str], pieces: Iterator[Step], clock: Clock) -> None:
        self.status = status
        self.headers = headers
        self._pieces = pieces
        self._clock = clock

    async def chunks(self) -> AsyncIterator[bytes]:
        for delay, piece in self._pieces:
            if delay:
                await self._clock.sleep(delay)
            yield piece

    async def aclose(self) -> None:
        self._pieces = iter(())


def _steps(script: Script | None, request: Json) -> list[Json]:
    """What the script says, and what the request adds to it."""
    steps = _normalise(script, request)
    calls = request.get("mock_tool_calls") or []
    if not isinstance(calls, list) or not all(isinstance(call, dict) and isinstance(call.get("function"), dict) for call in calls):
        raise BadRequest("mock_tool_calls is a list of tool calls.", param="mock_tool_calls")
    steps += [
        {"tool_call": {"id": call.get("id", f"call_{place}"), "name": "tool", **call["function"]}} for place, call in enumerate(calls)
    ]
    delay = request.get("mock_delay")
    if request.get("mock_timeout"):
        delay = _LONGEST_DELAY
    elif delay is not None and not (isinstance(delay, int | float) and 0 <= delay <= _LONGEST_DELAY):
        raise BadRequest(f"mock_delay is a number of seconds, at most {_LONGEST_DELAY:.0f}.", param="mock_delay")
    return [{"sleep": delay}, *steps] if delay else steps


def _answers(request: Json) -> int:
    n = request.get("n")
    return min(n, _MOST_ANSWERS) if isinstance(n, int) and n > 0 else 1


def _normalise(script: Script | None, request: Json) -> list[Json]:
    """Any form of script → steps, each an object with one key."""
    if isinstance(script, str):
        return _special(script) or [_named_error(script) or {"text": script}]
    if isinstance(script, dict) and "choices" in script:
        return [{"whole": script}]
    if isinstance(script, dict) and script.get("demo"):
        return _demo(request)
    if isinstance(script, list) and all(isinstance(step, str | dict) for step in script):
        return [(_named_error(step) or {"text": step}) if isinstance(step, str) else step for step in script]
    raise BadRequest("mock_response is a text, a chat.completion object, or a list of steps.", param="mock_response")


def _special(text: str) -> list[Json] | None:
    if text.startswith("Exception: content_filter_policy"):
        return [{"error": {"status": 400, "type": "invalid_request_error", "code": "content_policy_violation", "message": text}}]
    if text.startswith("Exception: mock_streaming_error"):
        return [{"text": "This is a mock"}, {"error": {"status": 500, "message": "Mocked error: raised in mid-stream"}}]
    return None


def _named_error(text: str) -> Json | None:
    known = ERRORS.get(text.split(":", 1)[0].strip())
    if known is None:
        return None
    status, kind, code = known
    return {"error": {"status": status, "type": kind, "code": code, "message": f"Mocked error: {text}"}}


def _demo(request: Json) -> list[Json]:
    """What the demo model says: enough for every feature of the client libraries to be tried without a provider."""
    messages = [message for message in request.get("messages") or [] if isinstance(message, dict)]
    tools = [tool["function"] for tool in request.get("tools") or [] if isinstance(tool, dict) and isinstance(tool.get("function"), dict)]
    answered = bool(messages) and messages[-1].get("role") == "tool"
    choice = request.get("tool_choice")
    if tools and not answered and choice != "none":
        wanted = choice.get("function", {}).get("name") if isinstance(choice, dict) else None
        tool = next((tool for tool in tools if tool.get("name") == wanted), tools[0])
        arguments = orjson.dumps(example_of(tool.get("parameters") or {})).decode()
        return [{"tool_call": {"name": tool.get("name", "tool"), "arguments": arguments}}]
    form = request.get("response_format") or {}
    if isinstance(form, dict) and form.get("type") == "json_schema":
        return [{"text": orjson.dumps(example_of((form.get("json_schema") or {}).get("schema") or {})).decode()}]
    if isinstance(form, dict) and form.get("type") == "json_object":
        return [{"text": '{"answer": "demo"}'}]
    last = messages[-1].get("content") if messages else ""
    said = last if isinstance(last, str) else "".join(part.get("text", "") for part in last or [] if isinstance(part, dict))
    return [{"text": f"This is Tollkeeper's demo model; no provider was asked. You said: {said}"}, {"usage": _counted(said)}]


def _counted(said: str) -> Json:
    prompt, completion = max(1, len(said.split())), 11 + len(said.split())
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _error_bytes(error: Json) -> bytes:
    fields = {"message": error.get("message", "Scripted error."), "type": error.get("type", "server_error")}
    return orjson.dumps({"error": {**fields, "param": None, "code": error.get("code")}})


def _buffered(steps: list[Json], shell: Json, answers: int) -> Json:
    message: Json = {"role": "assistant", "content": None}
    usage, finish = DEFAULT_USAGE, None
    for step in steps:
        if "whole" in step:
            whole: Json = step["whole"]
            return whole
        if "text" in step:
            message["content"] = (message["content"] or "") + step["text"]
        elif "reasoning" in step:
            message["reasoning_content"] = message.get("reasoning_content", "") + step["reasoning"]
        elif "tool_call" in step:
            calls = message.setdefault("tool_calls", [])
            calls.append(_tool_call(step["tool_call"], len(calls)))
        usage = step.get("usage", usage)
        finish = step.get("finish", finish)
    finish = finish or ("tool_calls" if "tool_calls" in message else "stop")
    choices = [{"index": index, "message": message, "finish_reason": finish} for index in range(answers)]
    return {**shell, "object": "chat.completion", "choices": choices, "usage": usage}


def _stream(steps: list[Json], shell: Json) -> Iterator[Step]:
    delay, usage, finish, calls = 0.0, DEFAULT_USAGE, "stop", 0
    yield 0.0, _event(shell, {"role": "assistant", "content": ""})
    for step in steps:
        if "cut" in step:
            return
        if "error" in step:
            yield delay, b"data: " + _error_bytes(step["error"]) + b"\n\n"
            return
        if "sleep" in step:
            delay += float(step["sleep"])
            continue
        usage, finish = step.get("usage", usage), step.get("finish", finish)
        for delta in _deltas(step, calls):
            yield delay, _event(shell, delta)
            delay = 0.0
        if "tool_call" in step:
            calls, finish = calls + 1, "tool_calls"
    yield delay, _event(shell, {}, finish=finish)
    yield 0.0, b"data: " + orjson.dumps({**shell, "object": "chat.completion.chunk", "choices": [], "usage": usage}) + b"\n\n"
    yield 0.0, b"data: [DONE]\n\n"


def _deltas(step: Json, calls: int) -> Iterator[Json]:
    if "whole" in step:
        message = (step["whole"].get("choices") or [{}])[0].get("message") or {}
        step = {"text": message.get("content") or ""}
    for key, field in (("text", "content"), ("reasoning", "reasoning_content")):
        for word in _words(step.get(key) or ""):
            yield {field: word}
    if "tool_call" in step:
        yield {"tool_calls": [{**_tool_call(step["tool_call"], calls), "index": calls}]}


def _tool_call(call: Json, index: int) -> Json:
    return {
        "id": call.get("id", f"call_{index}"),
        "type": "function",
        "function": {"name": call["name"], "arguments": call.get("arguments", "{}")},
    }


def _words(text: str) -> Iterator[str]:
    """The text in pieces that end after each space, so that joining them gives it back."""
    start = 0
    for position, char in enumerate(text):
        if char == " ":
            yield text[start : position + 1]
            start = position + 1
    if start < len(text):
        yield text[start:]


def _event(shell: Json, delta: Json, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + orjson.dumps({**shell, "object": "chat.completion.chunk", "choices": [choice]}) + b"\n\n"
