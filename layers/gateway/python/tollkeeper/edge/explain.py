"""`POST /routing/explain`: the body and headers of a call, `endpoint` in the query for others than chat completions."""

from collections.abc import Mapping

from tollkeeper.catalog.endpoints import CHAT, ENDPOINTS
from tollkeeper.dialects.base import Json
from tollkeeper.edge.http import ClientGone, Receive, Scope, Send, query_of, send_json
from tollkeeper.edge.problems import openai_error
from tollkeeper.edge.serving import Api, Desk, model_named
from tollkeeper.errors import BadRequest

ROUTE = "/routing/explain"


class Explain:
    """Raw ASGI."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call_id = self._desk.clock.new_id()
        try:
            named = query_of(scope).get("endpoint", CHAT.route)
            endpoint = next((row for row in ENDPOINTS if named in {row.route, row.name, row.route.removeprefix("/v1")}), None)
            if endpoint is None:
                known = ", ".join(row.route for row in ENDPOINTS)
                raise BadRequest(f"There is no endpoint {named[:100]}; write one of {known}.", param="endpoint")
            call = await self._desk.read(scope, receive, call_id, Api(endpoint, _check))
            await send_json(send, 200, {"x-litellm-call-id": call_id}, await self._desk.gateway.explain(call))
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the edge is where every failure gets its answer
            await send_json(send, *openai_error(error, call_id))


def _check(body: Json, headers: Mapping[str, str]) -> Json:
    return model_named(body, ROUTE)
