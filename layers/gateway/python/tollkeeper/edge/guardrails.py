"""`GET /guardrails/list` and `POST /guardrails/apply_guardrail`: which guardrails there are, and one of them for a text of the caller's.

https://docs.litellm.ai/docs/apply_guardrail
"""

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp

from tollkeeper.admission.guards import Guards
from tollkeeper.clock import Clock
from tollkeeper.dialects.base import Json
from tollkeeper.edge.http import ClientGone, Receive, Scope, Send, headers_of, query_of, read_json, send_json
from tollkeeper.edge.problems import openai_error
from tollkeeper.errors import BadRequest, NotFound
from tollkeeper.guardrails.check import Asked
from tollkeeper.pipeline import Gateway

APPLY = "/guardrails/apply_guardrail"
LIST = "/guardrails/list"


class GuardrailsEdge:
    """`rows` are the routes."""

    def __init__(self, gateway: Gateway, guards: Guards, clock: Clock, max_bytes: int) -> None:
        self._gateway, self._guards, self._clock, self._max_bytes = gateway, guards, clock, max_bytes

    def rows(self) -> list[tuple[str, str, ASGIApp]]:
        listed, applied = _Endpoint(self._list, self._clock), _Endpoint(self._apply, self._clock)
        return [
            *(("GET", path, listed) for path in (LIST, "/v2/guardrails/list")),
            *(("POST", path, applied) for path in (APPLY, "/apply_guardrail")),
        ]

    async def _list(self, scope: Scope, receive: Receive, call_id: str) -> Json:
        """No address, credential or pattern is shown."""
        await self._gateway.caller(headers_of(scope), query_of(scope), LIST)
        return {
            "guardrails": [
                {
                    "guardrail_id": row.name,
                    "guardrail_name": row.name,
                    "litellm_params": {"guardrail": row.kind, "mode": list(row.stages), "default_on": row.default_on},
                    "guardrail_info": row.info,
                    "guardrail_definition_location": "config",
                }
                for row, _ in self._guards.rows.values()
            ]
        }

    async def _apply(self, scope: Scope, receive: Receive, call_id: str) -> Json:
        headers = headers_of(scope)
        principal = await self._gateway.caller(headers, query_of(scope), APPLY)
        body, _ = await read_json(receive, headers, self._max_bytes)
        name, text = body.get("guardrail_name"), body.get("text")
        if not isinstance(text, str):
            raise BadRequest("'text' must be a string.", param="text")
        if not isinstance(name, str) or name not in self._guards.rows:
            raise NotFound(f"There is no guardrail {str(name)[:200]!r}.", param="guardrail_name")
        extra = {field: body[field] for field in ("language", "entities") if body.get(field) is not None}
        asked = Asked(call_id, key_hash=principal.key_hash, user_id=principal.user_id, team_id=principal.team_id, extra=extra)
        [said] = await self._guards.verdict(name, [text], asked)
        return {"response_text": said}


class _Endpoint:
    """Starlette hands raw ASGI to objects."""

    def __init__(self, answer: Callable[[Scope, Receive, str], Awaitable[Json]], clock: Clock) -> None:
        self._answer, self._clock = answer, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call_id = self._clock.new_id()
        try:
            await send_json(send, 200, {"x-litellm-call-id": call_id}, await self._answer(scope, receive, call_id))
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the edge is where every failure gets its answer
            await send_json(send, *openai_error(error, call_id))
