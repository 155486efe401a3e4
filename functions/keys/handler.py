"""The management API and the console. Handler `handler.handler`, on the managed Python runtime: its answers are small and whole."""

from typing import cast

from mangum import Mangum
from mangum.types import ASGI

from tollkeeper import bootstrap

app, _ = bootstrap.lambda_app(bootstrap.keys_app)
# Mangum wants a coroutine where ASGI asks for an awaitable; ours is one.
handler = Mangum(cast("ASGI", app), lifespan="off")
