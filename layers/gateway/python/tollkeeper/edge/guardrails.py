"""`GET /guardrails/list` and `POST /guardrails/apply_guardrail`: which guardrails there are, and one of them for a text of the caller's.

https://docs.litellm.ai/docs/apply_guardrail
"""

from starlette.types import ASGIApp

from tollkeeper.admission.guards import Guards
from tollkeeper.dialects.base import Json
from tollkeeper.edge.door import Door, Visitor
from tollkeeper.errors import BadRequest, NotFound
from tollkeeper.guardrails.check import Asked

APPLY = "/guardrails/apply_guardrail"
LIST = "/guardrails/list"


class GuardrailsEdge:
    """`rows` are the routes."""

    def __init__(self, door: Door, guards: Guards) -> None:
        self._door, self._guards = door, guards

    def rows(self) -> list[tuple[str, str, ASGIApp]]:
        listed, applied = self._door.app(LIST, self._list), self._door.app(APPLY, self._apply)
        return [
            *(("GET", path, listed) for path in (LIST, "/v2/guardrails/list")),
            *(("POST", path, applied) for path in (APPLY, "/apply_guardrail")),
        ]

    async def _list(self, visitor: Visitor) -> Json:
        """No address, credential or pattern is shown."""
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

    async def _apply(self, visitor: Visitor) -> Json:
        body, principal = await visitor.json(), visitor.principal
        name, text = body.get("guardrail_name"), body.get("text")
        if not isinstance(text, str):
            raise BadRequest("'text' must be a string.", param="text")
        if not isinstance(name, str) or name not in self._guards.rows:
            raise NotFound(f"There is no guardrail {str(name)[:200]!r}.", param="guardrail_name")
        extra = {field: body[field] for field in ("language", "entities") if body.get(field) is not None}
        asked = Asked(visitor.call_id, key_hash=principal.key_hash, user_id=principal.user_id, team_id=principal.team_id, extra=extra)
        [said] = await self._guards.verdict(name, [text], asked)
        return {"response_text": said}
