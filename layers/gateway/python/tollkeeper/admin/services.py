"""How routes reach what the management API is given (parts.py), and who calls."""

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Request

from tollkeeper.admin.actor import Actor
from tollkeeper.admin.parts import AdminServices
from tollkeeper.auth.principal import Principal

__all__ = ["Acting", "AdminServices", "Services"]

_LONGEST_AUTHOR = 256


def _services(request: Request) -> AdminServices:
    services: AdminServices = request.app.state.services
    return services


Services = Annotated[AdminServices, Depends(_services)]


async def _caller(request: Request, services: Services) -> Principal:
    # `?key=` names the key a route is about, so it is never taken for the caller's own.
    return await services.authenticator.authenticate(request.headers.raw)


Caller = Annotated[Principal, Depends(_caller)]


async def _actor(request: Request, caller: Caller, services: Services) -> Actor:
    route = (request.method if request.method != "HEAD" else "GET", request.scope["route"].path)
    actor = Actor(caller, route, caller.user_id or caller.key_hash, request.scope["request_id"], services.directory)
    actor.enter()
    changed_by = request.headers.get("litellm-changed-by", "")[:_LONGEST_AUTHOR]
    # Only an administrator's tool may say on whose behalf it acts.
    return replace(actor, name=changed_by) if changed_by and actor.is_admin else actor


Acting = Annotated[Actor, Depends(_actor)]
"""The caller of this route, who may call it for some target at least."""


async def authorized(request: Request, services: AdminServices) -> Actor:
    """The caller of a route that asks for one only sometimes. Raises Unauthenticated, Forbidden."""
    return await _actor(request, await _caller(request, services), services)
