"""Calls the gateway makes itself: embeddings for an auto-router, and the copies that a `silent_model` gets.

They take the same way as everybody's, through budgets and ledger. Embeddings belong to the caller whose request needs them; a copy is the
administrator's experiment, and belongs to nobody but the gateway.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from tollkeeper.admission.reception import EmbedFor
from tollkeeper.admission.visit import Call, Visit
from tollkeeper.auth.principal import MASTER_USER, Principal, principal_of
from tollkeeper.auth.records import KeyRecord
from tollkeeper.catalog.endpoints import EMBEDDINGS
from tollkeeper.clock import Clock
from tollkeeper.dialects.base import Json
from tollkeeper.errors import TollkeeperError, UpstreamProtocolError
from tollkeeper.routing.asked import Requirement
from tollkeeper.routing.auto import Embed, Vector

log = logging.getLogger("tollkeeper.pipeline")

Serve = Callable[[Call], Awaitable[Json]]
"""The pipeline: a call → the answer's body. Raises TollkeeperError."""
SILENT = "silent_model"
_SILENT_KEY = KeyRecord(key_hash=SILENT, key_name=SILENT, key_alias=SILENT, user_id=MASTER_USER)
_NOT_COPIED = ("stream", "stream_options", "fallbacks", "tags", "metadata", "user")


def embedder(call: Call, serve: Serve, clock: Clock) -> EmbedFor:
    """For auto-routers that go by meaning: the embeddings are calls of this caller, booked as such."""

    def of(principal: Principal, require: tuple[Requirement, ...]) -> Embed:
        async def embed(model: str, texts: list[str]) -> list[Vector]:
            own = replace(embedding_call(call, principal, model, texts), id=clock.new_id(), require=require)
            return vectors_of(await serve(own))

        return embed

    return of


async def mirrored(copy: Call, serve: Serve) -> None:
    """Sends what `silent_copy` made; whatever becomes of it is no caller's concern."""
    try:
        await serve(copy)
    except TollkeeperError as error:
        log.info("silent_call_failed model=%s %s", copy.body["model"], error.type)


def embedding_call(call: Call, principal: Principal, model: str, texts: list[str]) -> Call:
    """Its id is the caller's, until it is given one."""
    body = {"model": model, "input": texts}
    return Call(
        call.id,
        call.shown_id,
        body,
        orjson.dumps(body),
        {},
        deadline=call.deadline,
        endpoint=EMBEDDINGS,
        principal=principal,
        internal=True,
    )


def vectors_of(answer: Mapping[str, Any]) -> list[Vector]:
    """In the order of the texts. Raises UpstreamProtocolError."""
    try:
        rows = sorted(answer["data"], key=lambda row: row["index"])
        return [[float(number) for number in row["embedding"]] for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise UpstreamProtocolError("The embedding model's answer has no vectors.") from error


def silent_copy(visit: Visit, clock: Clock) -> Call | None:
    """The copy for the `silent_model` of the deployment that answered; None: it has none, or this is no caller's own request.

    Whatever the request requires of a deployment, it requires of this one.
    """
    call, deployment = visit.call, visit.account.deployment
    if call.internal or deployment is None or deployment.silent_model is None:
        return None
    body = {name: value for name, value in call.body.items() if name not in _NOT_COPIED}
    return replace(
        call,
        id=clock.new_id(),
        body={**body, "model": deployment.silent_model},
        headers={},
        query={},
        principal=principal_of(_SILENT_KEY, is_master=True),
        internal=True,
        alias="",
        require=visit.require,
    )
