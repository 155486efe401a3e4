"""`POST /utils/transform_request`: what a provider would be sent, without sending it. Secrets are masked.

`{"call_type": "completion", "request_body": {"model": …, "messages": …}}`, as in LiteLLM (https://docs.litellm.ai/docs/proxy/debugging).
"""

from collections.abc import Mapping

from tollkeeper.admission.visit import serves
from tollkeeper.catalog.endpoints import CHAT, ENDPOINTS, Endpoint
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.native import native
from tollkeeper.edge.http import ClientGone, Receive, Scope, Send, send_json
from tollkeeper.edge.problems import openai_error
from tollkeeper.edge.serving import Api, Desk, model_named
from tollkeeper.errors import BadRequest
from tollkeeper.providers.transform import describe

ROUTE = "/utils/transform_request"
_TYPES = {row.call_type.removeprefix("a"): row for row in ENDPOINTS} | {row.call_type: row for row in ENDPOINTS} | {"chat": CHAT}


class Transform:
    """Raw ASGI."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call_id = self._desk.clock.new_id()
        try:
            await send_json(send, 200, {"x-litellm-call-id": call_id}, await self._described(scope, receive, call_id))
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the edge is where every failure gets its answer
            await send_json(send, *openai_error(error, call_id))

    async def _described(self, scope: Scope, receive: Receive, call_id: str) -> Json:
        call = await self._desk.read(scope, receive, call_id, Api(Endpoint("utils", ROUTE, "utils", frozenset()), _check))
        endpoint = _TYPES[call.body.pop("call_type")]
        group = await self._desk.gateway.group(call)
        deployment = next((row for row in group.deployments if serves(row, endpoint)), group.deployments[0])
        words = None if endpoint is CHAT else native(endpoint.name, deployment.dialect)
        if words is None and endpoint is not CHAT:
            raise BadRequest(f"{endpoint.call_type}: {deployment.provider} is asked through a chat completion.", param="call_type")
        found = describe(deployment, call.body, call.body["model"], words)
        return {
            "raw_request_api_base": found["url"],
            "raw_request_body": found["body"],
            "raw_request_headers": found["headers"],
            "error": None,
        }


def _check(body: Json, headers: Mapping[str, str]) -> Json:
    kind, request = body.get("call_type", "completion"), body.get("request_body")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise BadRequest(f"call_type must be one of {', '.join(sorted(_TYPES))}.", param="call_type")
    if not isinstance(request, dict):
        raise BadRequest("request_body must be an object.", param="request_body")
    return {**model_named(request, ROUTE), "call_type": kind}
