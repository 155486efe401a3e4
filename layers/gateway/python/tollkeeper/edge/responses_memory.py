"""What the Responses API remembers: an answer is kept, and a request that names one goes on from it."""

from dataclasses import replace

import orjson

from tollkeeper.admission.visit import Call
from tollkeeper.catalog.endpoints import RESPONSES
from tollkeeper.dialects.base import Json
from tollkeeper.edge.responses_answer import KEY
from tollkeeper.edge.responses_kept import KIND, UNFINISHED, Kept, items_of, kept_of, may_read, owner_of, retold
from tollkeeper.errors import BadRequest, StoreUnavailable
from tollkeeper.pipeline import Answer, Gateway
from tollkeeper.store.archive import Archive


class Memory:
    """`archive` None: nothing is kept."""

    def __init__(self, gateway: Gateway, archive: Archive | None) -> None:
        self._gateway, self._archive = gateway, archive

    async def recalled(self, call: Call) -> Call:
        """A conversation that is kept here goes on from what is kept; what is not known here is its provider's to find."""
        identifier = call.body.get("previous_response_id")
        call = replace(call, asked={**call.body, KEY: call.id})
        if self._archive is None:
            return replace(call, asked={**call.shown, "store": False})
        if not identifier:
            return call
        if not isinstance(identifier, str):
            raise BadRequest("'previous_response_id' must be a string.", param="previous_response_id", code="invalid_type")
        found = await self._archive.find(KIND, identifier)
        if found is None:
            return call
        principal = call.principal or await self._gateway.caller(call.headers, call.query, RESPONSES.route)
        kept = kept_of(found[1])
        if not may_read(principal, found[0]):
            raise _not_there(f"Previous response with id '{identifier[:100]}' not found.")
        if kept.response.get("status") in UNFINISHED:
            raise _not_there(f"The response '{identifier[:100]}' has not ended: nothing can be said after it yet.")
        return _continued(call, kept)

    async def keep(self, call: Call, answer: Answer, said: Json, known_as: str | None = None) -> bool:
        """Whether it can be asked for again, here or at its provider, which may know it by another id."""
        identifier = said.get("id")
        if self._archive is None or call.shown.get("store") is False or not isinstance(identifier, str) or answer.entry is None:
            return answer.native
        before = call.context.history() if isinstance(call.context, Kept) else []
        deployment = answer.entry.deployment_id if answer.native else None
        kept = Kept(said, items_of(call.shown.get("input"), identifier.removeprefix("resp_")), before, deployment, known_as)
        try:
            owner = owner_of(answer.entry.key_hash, answer.entry.user_id)
            return await self._archive.keep(KIND, identifier, owner, kept.as_json()) or answer.native
        except StoreUnavailable:
            # It has been paid for: an answer that cannot be asked for again is better than none.
            return answer.native


def _continued(call: Call, kept: Kept) -> Call:
    whole = retold(kept, call.body)
    if kept.deployment is None:
        return replace(call, body=whole, raw=orjson.dumps(whole), context=kept)

    def there(body: Json, deployment_id: str) -> Json:
        return {**body, "previous_response_id": kept.provider_id} if deployment_id == kept.deployment else retold(kept, body)

    to_hub = call.to_hub
    return replace(
        call,
        raw=orjson.dumps(whole),
        context=kept,
        to_native=lambda body, deployment: there(body, deployment.id),
        to_hub=None if to_hub is None else lambda body, deployment: to_hub(retold(kept, body), deployment),
    )


def _not_there(message: str) -> BadRequest:
    return BadRequest(message, param="previous_response_id", code="previous_response_not_found")
