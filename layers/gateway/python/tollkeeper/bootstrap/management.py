"""The management API's app, and everything in one for a laptop."""

import asyncio

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from tollkeeper.auth.iam import PRINCIPAL_HEADER
from tollkeeper.auth.records import TeamRecord, UserRecord
from tollkeeper.awslambda.events import principal_arn
from tollkeeper.bootstrap.running import Running
from tollkeeper.edge.lazy import LazyApp
from tollkeeper.edge.problems import openai_error


def keys_app(running: Running) -> ASGIApp:
    """functions/keys: keys, teams, users, models; imports FastAPI."""
    _let_newcomers_in(running)
    return _management_app(running)


def reports_app(running: Running) -> ASGIApp:
    """functions/reports: the same routes behind a role that may only read; which of them it answers, the front door says."""
    return _management_app(running)


def local_app(running: Running) -> ASGIApp:
    """All in one. What is no LLM route goes to the management API, whose import (two seconds of CPU) keeps no call waiting."""

    async def later() -> ASGIApp:
        return await asyncio.to_thread(keys_app, running)

    management = LazyApp(later, running.drain)

    async def background() -> None:
        await management.warm()
        await running.background()

    _let_newcomers_in(running)
    return running.edge_app(management, background)


def _management_app(running: Running) -> ASGIApp:
    from tollkeeper.admin.app import create_app

    return _with_aws_principal(create_app(running.management, openai_error))


def _let_newcomers_in(running: Running) -> None:
    """Here the directory may be written: users and teams that a token brings become records."""

    async def register(record: UserRecord | TeamRecord) -> None:
        from tollkeeper.admin.newcomers import register as write

        await write(running.management, record)

    running.newcomers.register = register


def _with_aws_principal(app: ASGIApp) -> ASGIApp:
    """The caller that API Gateway's IAM authorizer has proven, from the event Mangum keeps, and from nowhere else."""

    async def named(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (event := scope.get("aws.event")):
            headers = MutableHeaders(scope=scope)
            del headers[PRINCIPAL_HEADER.decode()]
            if arn := principal_arn(event.get("requestContext") or {}):
                headers[PRINCIPAL_HEADER.decode()] = arn
        await app(scope, receive, send)

    return named
