"""What a client may ask about models without calling one: token counts, parameters, prices, costs. Nothing here spends money."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from tollkeeper.admission.visit import Call
from tollkeeper.catalog.endpoints import Endpoint, mode_of
from tollkeeper.config.litellm_keys import PRICE_RATES
from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects import registry
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.usage import Usage
from tollkeeper.edge.counting import estimated_tokens
from tollkeeper.edge.http import ClientGone, Receive, Scope, Send, headers_of, query_of, send_json
from tollkeeper.edge.problems import openai_error
from tollkeeper.edge.serving import Api, Desk, model_named
from tollkeeper.errors import BadRequest
from tollkeeper.ledger.cost import CostBreakdown, cost_of
from tollkeeper.money import FEMTO_PER_USD, nano_to_usd
from tollkeeper.providers.target import target_for

Answering = Callable[[Scope, Receive, str], Awaitable[Json]]

_COUNTED = ("prompt", "messages", "contents", "tools", "system", "input")
_TOKENS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "reasoning_tokens")
_SAMPLES: Mapping[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"},
    "frequency_penalty": 0.5,
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "max_completion_tokens": 2000,
    "max_tokens": 2000,
    "modalities": ["text", "audio"],
    "n": 2,
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "x"},
    "presence_penalty": 0.5,
    "reasoning_effort": "low",
    "response_format": {"type": "json_object"},
    "seed": 7,
    "service_tier": "flex",
    "stop": ["END"],
    "stream": True,
    "temperature": 0.5,
    "tool_choice": "auto",
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
    "top_logprobs": 2,
    "top_p": 0.5,
    "user": "u-1",
}
"""A value of each of OpenAI's parameters that asks for something."""


class Utils:
    """Raw ASGI endpoints; method names are the routes' endpoints."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def token_counter(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send, self._token_count)

    async def supported_params(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send, self._supported)

    async def cost_estimate(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send, self._cost)

    async def model_info(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send, self._model_info)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, answer: Answering) -> None:
        call_id = self._desk.clock.new_id()
        try:
            await send_json(send, 200, {"x-litellm-call-id": call_id}, await answer(scope, receive, call_id))
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the edge is where every failure gets its answer
            await send_json(send, *openai_error(error, call_id))

    async def _token_count(self, scope: Scope, receive: Receive, call_id: str) -> Json:
        call = await self._desk.read(scope, receive, call_id, _api("/utils/token_counter", _check_counted))
        group = await self._desk.gateway.group(call)
        counted = {name: call.body[name] for name in _COUNTED if call.body.get(name) is not None}
        return {
            "total_tokens": estimated_tokens(counted),
            "request_model": call.body["model"],
            "model_used": group.deployments[0].model,
            "tokenizer_type": "estimate",
            "count_source": "local_estimate",
            "error": False,
            "error_message": None,
        }

    async def _supported(self, scope: Scope, receive: Receive, call_id: str) -> Json:
        headers, query = headers_of(scope), query_of(scope)
        route = "/utils/supported_openai_params"
        body = model_named({"model": query.get("model")}, route)
        group = await self._desk.gateway.group(Call(call_id, call_id, body, b"", headers, query, endpoint=_endpoint(route)))
        common = [name for name in _SAMPLES if all(takes(row, name) for row in group.deployments)]
        return {"supported_openai_params": common}

    async def _cost(self, scope: Scope, receive: Receive, call_id: str) -> Json:
        call = await self._desk.read(scope, receive, call_id, _api("/cost/estimate", _check_cost))
        group, body = await self._desk.gateway.group(call), call.body
        usage = Usage(
            input=body["input_tokens"],
            output=body["output_tokens"],
            cache_read=body["cache_read_input_tokens"],
            cache_creation=body["cache_creation_input_tokens"],
            reasoning=body["reasoning_tokens"],
        )
        priced = [(row, cost_of(usage, row.prices)) for row in group.deployments if row.prices is not None]
        if not priced:
            raise BadRequest(f"The price of {body['model'][:200]} is not known.", param="model", code="price_unknown")
        dearest, cost = max(priced, key=lambda pair: pair[1].total)
        return {**estimate_of(cost, body), "model": body["model"], "provider": dearest.provider}

    async def _model_info(self, scope: Scope, receive: Receive, call_id: str) -> Json:
        headers, query = headers_of(scope), query_of(scope)
        route = "/utils/model_info"
        body = model_named({"model": query.get("model")}, route)
        group = await self._desk.gateway.group(Call(call_id, call_id, body, b"", headers, query, endpoint=_endpoint(route)))
        return info_of(body["model"], group.deployments)


def info_of(name: str, rows: Sequence[Deployment]) -> Json:
    """LiteLLM's fields; where deployments differ, what holds for all of them, and the dearest price."""
    inputs, outputs = [row.max_input_tokens for row in rows], [row.max_output_tokens for row in rows]
    common = [parameter for parameter in _SAMPLES if all(takes(row, parameter) for row in rows)]
    prices = {field: _dearest(rows, rate) for field, rate in _PRICES.items()}
    return {
        "key": name,
        "litellm_provider": rows[0].provider,
        "mode": mode_of(rows[0]),
        "max_tokens": _least(outputs),
        "max_input_tokens": _least(inputs),
        "max_output_tokens": _least(outputs),
        **prices,
        "supported_openai_params": common,
        "supports_function_calling": "tools" in common,
        "supports_response_schema": "response_format" in common,
        "supports_reasoning": "reasoning_effort" in common,
    }


_PRICES = {field: rate for field, rate in PRICE_RATES.items() if "@" not in rate and rate != "request"}


def _least(limits: Sequence[int | None]) -> int | None:
    return None if None in limits else min((limit for limit in limits if limit is not None), default=None)


def _dearest(rows: Sequence[Deployment], rate: str) -> float | None:
    """Dollars per unit of the field, `audio_hour` per second."""
    found = [row.prices.rates[rate].price for row in rows if row.prices is not None and rate in row.prices.rates]
    return max(found) / FEMTO_PER_USD / (_SECONDS if rate == "audio_hour" else 1) if found else None


_SECONDS = 3_600


def takes(deployment: Deployment, name: str) -> bool:
    """Whether the deployment's dialect says this parameter to its model: it is asked to."""
    request: Json = {"model": "m", "messages": [{"role": "user", "content": "x"}], name: _SAMPLES[name]}
    if name == "tool_choice":
        request["tools"] = _SAMPLES["tools"]
    try:
        registry.get(deployment.dialect).encode(request, target_for(deployment, "m", 0))
    except BadRequest:
        return False
    return True


def estimate_of(cost: CostBreakdown, body: Json) -> Json:
    """LiteLLM's fields, dollars: of one request, and of a day's and a month's where their number is given."""
    total = nano_to_usd(cost.total)
    output = nano_to_usd(cost.output + cost.reasoning)
    answer: Json = {
        **{name: body[name] for name in _TOKENS},
        "cost_per_request": total,
        "input_cost_per_request": total - output,
        "output_cost_per_request": output,
    }
    for period, field in (("daily", "num_requests_per_day"), ("monthly", "num_requests_per_month")):
        answer[field] = body.get(field)
        answer[f"{period}_cost"] = None if body.get(field) is None else nano_to_usd(cost.total * body[field])
    return answer


def _check_counted(body: Json, headers: Mapping[str, str]) -> Json:
    if not any(body.get(name) is not None for name in _COUNTED):
        raise BadRequest("One of prompt, messages or contents is needed.", param="messages")
    return model_named(body, "/utils/token_counter")


def _check_cost(body: Json, headers: Mapping[str, str]) -> Json:
    for name in (*_TOKENS, "num_requests_per_day", "num_requests_per_month"):
        value = body.get(name)
        if (value is None and name in _TOKENS[:2]) or (value is not None and (type(value) is not int or not 0 <= value < 2**53)):
            raise BadRequest(f"'{name}' must be a whole number, at least 0.", param=name)
    return model_named(
        {**dict.fromkeys(_TOKENS, 0), **{name: value for name, value in body.items() if value is not None}}, "/cost/estimate"
    )


def _endpoint(route: str) -> Endpoint:
    return Endpoint("utils", route, "", frozenset())


def _api(route: str, check: Callable[[Json, Mapping[str, str]], Json]) -> Api:
    return Api(_endpoint(route), check)
