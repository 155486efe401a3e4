"""Spend, activity and exports: the management API's reports, under a role that may only read. Whole answers, on the managed runtime."""

from typing import cast

from mangum import Mangum
from mangum.types import ASGI

from tollkeeper import bootstrap

app, _ = bootstrap.lambda_app(bootstrap.reports_app)
# Mangum wants a coroutine where ASGI asks for an awaitable; ours is one.
handler = Mangum(cast("ASGI", app), lifespan="off")
