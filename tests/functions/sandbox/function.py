"""A function for the runtime tests: what it does is the last segment of the path. It reports on the stage of tests.support.runtime_api."""

import asyncio
import base64
import contextvars
import json

from tollkeeper import settings
from tollkeeper.errors import OurError

SECRET = "sk-0123456789-very-secret"
SSE = [(b"content-type", b"text/event-stream")]
seen = contextvars.ContextVar("seen", default="nothing")
counter = {"served": 0}


async def say(line: str) -> None:
    """Returns when the test has taken notice; `waits <name>` when the test releases that name."""
    host, _, port = settings.secret_env("STAGE").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(line.encode() + b"\n")
    await reader.readline()
    writer.close()
    await writer.wait_closed()


async def drain() -> None:
    await say(f"drained {counter['served']}")


async def before_snapshot() -> None:
    await say("before_snapshot")
    if settings.secret_env("FAIL") == "before_snapshot":
        raise RuntimeError(SECRET)


async def after_restore() -> None:
    await say("after_restore")
    if settings.secret_env("FAIL") == "after_restore":
        raise RuntimeError(SECRET)


async def app(scope, receive, send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    counter["served"] += 1
    await globals()[scope["path"].rpartition("/")[2]](scope, receive, send)


async def lifespan(scope, receive, send) -> None:
    await receive()
    await say("started")
    if settings.secret_env("FAIL") == "startup":
        raise OurError("The table tollkeeper-directory does not exist.")
    scope["state"]["pool"] = "open"
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await say("stopped")
    await send({"type": "lifespan.shutdown.complete"})


async def start(send, headers=SSE, status=200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def body(send, data: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def steps(scope, receive, send) -> None:
    await start(send)
    await body(send, b"data: one\n\n")
    await say("waits second")
    await body(send, b"")
    await body(send, b"data: two\n\n")
    await say("waits third")
    await body(send, b"data: [DONE]\n\n", more=False)
    await say("afterwards")


async def fails_before(scope, receive, send) -> None:
    await start(send)
    raise ValueError(SECRET)


async def fails_middle(scope, receive, send) -> None:
    await start(send)
    await body(send, b"data: one\n\n")
    raise ValueError(SECRET)


async def fails_after(scope, receive, send) -> None:
    await start(send)
    await body(send, b"whole", more=False)
    raise ValueError(SECRET)


async def cancels_itself(scope, receive, send) -> None:
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


async def says_nothing(scope, receive, send) -> None:
    pass


async def stops_short(scope, receive, send) -> None:
    await start(send)
    await body(send, b"data: one\n\n")


async def goes_on(scope, receive, send) -> None:
    await start(send)
    await body(send, b"data: one\n\n")
    await say("waits broken")
    for _ in range(50):
        await body(send, b"data: " + b"x" * 1000 + b"\n\n")
    await body(send, b"data: [DONE]\n\n", more=False)
    await say("finished")


async def floods(scope, receive, send) -> None:
    async def meanwhile() -> None:
        for _ in range(20):
            await say("still flooding")

    task = asyncio.create_task(meanwhile())
    await start(send)
    for i in range(64):
        await body(send, b"x" * (1 << 20), more=i < 63)
    await say("flooded")
    await task


async def notices(scope, receive, send) -> None:
    await start(send)
    await body(send, b"data: one\n\n")
    await receive()
    await say((await receive())["type"])


async def big_head(scope, receive, send) -> None:
    await start(send, [(b"content-type", b"text/plain"), (b"x-big", b"x" * 20_000), (b"x-small", b"y")])
    await body(send, b"fits", more=False)


async def not_text(scope, receive, send) -> None:
    await start(send, [(b"content-type", b"audio/mpeg"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")])
    await body(send, b"\xff\xfb", more=True)
    await body(send, b"\x00", more=False)


async def echo(scope, receive, send) -> None:
    message = await receive()
    context = scope["aws.context"]
    facts = {
        "body": base64.b64encode(message["body"]).decode(),
        "more_body": message["more_body"],
        "path": scope["path"],
        "root_path": scope["root_path"],
        "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
        "deadline": scope["extensions"].get("tollkeeper.deadline"),
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "tenant": context.tenant_id,
        "trace": [context.trace_id, settings.secret_env("_X_AMZN_TRACE_ID")],
        "state": scope["state"],
        "served": counter["served"],
        "context": seen.get(),
    }
    seen.set("the last caller's")
    await start(send, [(b"content-type", b"application/json")])
    await body(send, json.dumps(facts).encode(), more=False)
