"""`handler(event, context)`: the application for a runtime that takes whole answers only."""

import json
from types import SimpleNamespace

import pytest

from tollkeeper.awslambda import whole

CONTEXT = SimpleNamespace(aws_request_id="r-1")


def event(path="/v1/models", **fields):
    return {"httpMethod": "GET", "path": path, "headers": {"host": "api"}, "requestContext": {}, "body": None, **fields}


async def nothing():
    pass


@pytest.fixture
def handler():
    """Makes handlers, and ends their event loops."""
    made = []

    def make(app, drain=nothing):
        made.append(whole.Handler(app, drain))
        return made[-1]

    yield make
    for one in made:
        one.close()


def answering(*parts, status=200):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


def test_a_streamed_answer_is_given_whole(handler):
    answer = handler(answering(b"one ", b"two"))(event(), CONTEXT)
    assert (answer["statusCode"], answer["body"], answer["isBase64Encoded"]) == (200, "one two", False)
    assert answer["headers"]["content-type"] == "text/plain"


def test_books_are_closed_before_the_answer_is_given_for_the_process_freezes_then(handler):
    order = []

    async def app(scope, receive, send):
        await answering(b"a")(scope, receive, send)
        order.append("answered")

    async def drain():
        order.append("drained")

    handler(app, drain)(event(), CONTEXT)
    assert order == ["answered", "drained"]


def test_invocations_share_one_event_loop(handler):
    import asyncio

    loops = []

    async def app(scope, receive, send):
        loops.append(asyncio.get_running_loop())
        await answering(b"a")(scope, receive, send)

    play = handler(app)
    for _ in range(2):
        play(event(), CONTEXT)
    assert loops[0] is loops[1]


def test_the_application_sees_the_request_and_its_context(handler):
    seen = {}

    async def app(scope, receive, send):
        seen.update(scope=scope, body=(await receive())["body"])
        await answering(b"")(scope, receive, send)

    handler(app)(event("/v1/chat/completions", httpMethod="POST", body='{"a": 1}'), CONTEXT)
    assert (seen["scope"]["path"], seen["body"], seen["scope"]["aws.context"]) == ("/v1/chat/completions", b'{"a": 1}', CONTEXT)


@pytest.mark.parametrize("raises", [True, False])
def test_an_application_that_fails_is_an_error_of_ours_and_tells_nothing(handler, capsys, raises):
    async def app(scope, receive, send):
        if raises:
            raise ValueError("sk-secret")

    drained = []

    async def drain():
        drained.append(1)

    answer = handler(app, drain)(event(), CONTEXT)
    assert answer["statusCode"] == 500
    assert json.loads(answer["body"])["error"]["message"]
    assert "sk-secret" not in answer["body"] + capsys.readouterr().out
    assert drained == [1]


def test_what_is_no_http_event_is_refused(handler):
    answer = handler(answering(b"a"))({"Records": []}, CONTEXT)
    assert answer["statusCode"] == 400
    assert "requestContext" not in answer["body"]
    assert json.loads(answer["body"])["error"]["type"] == "invalid_request_error"
