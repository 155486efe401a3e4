"""A model that thinks for a quarter of an hour: API Gateway ends a stream that is silent for five minutes, so it never is.

https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html
"""

import asyncio
from itertools import pairwise

from tests.support.virtual_time import run

from tollkeeper.edge.sse import HEARTBEAT, EventStream
from tollkeeper.settings import Settings

LONGEST_SILENCE = 5 * 60
LONGEST_ANSWER = 15 * 60


def played(produce):
    """(second, message) of everything sent while `produce(stream)` answers."""

    async def main(loop):
        sent = []

        async def send(message):
            sent.append((loop.time(), message))

        async def receive():
            await asyncio.Event().wait()

        stream = EventStream(receive, send, Settings().heartbeat_seconds)
        await stream.run(lambda: produce(stream), {})
        return sent

    return run(main)


async def thinks(stream):
    await asyncio.sleep(LONGEST_ANSWER - 1)
    await stream.write(b"data: at last\n\n")
    await stream.end()


async def talks(stream):
    await stream.begin({})
    for _ in range(100):
        await asyncio.sleep(5)
        await stream.write(b"data: word\n\n")
    await stream.end()


def test_a_silent_quarter_of_an_hour_is_never_silent_on_the_wire():
    sent = played(thinks)
    times = [0.0, *(second for second, _ in sent)]
    assert max(after - before for before, after in pairwise(times)) <= Settings().heartbeat_seconds < LONGEST_SILENCE
    bodies = [message["body"] for _, message in sent if message["type"] == "http.response.body"]
    assert bodies[-2:] == [b"data: at last\n\n", b""]
    assert set(bodies[:-2]) == {HEARTBEAT}
    assert len(bodies) - 2 == (LONGEST_ANSWER - 1) // Settings().heartbeat_seconds


def test_the_status_line_leaves_with_the_first_heartbeat():
    (second, first), *_ = played(thinks)
    assert (second, first["type"], first["status"]) == (Settings().heartbeat_seconds, "http.response.start", 200)


def test_a_stream_that_talks_needs_no_heartbeat():
    assert HEARTBEAT not in [message.get("body") for _, message in played(talks)]
