import pytest

from tollkeeper.awslambda.lifespan import Lifespan, StartupFailed


async def test_startup_fills_the_state_and_shutdown_ends_the_application():
    ended = []

    async def app(scope, receive, send):
        assert (await receive())["type"] == "lifespan.startup"
        scope["state"]["pool"] = 1
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        ended.append(True)
        await send({"type": "lifespan.shutdown.complete"})

    lifespan = Lifespan(app)
    await lifespan.startup()
    assert (lifespan.state, ended) == ({"pool": 1}, [])
    await lifespan.shutdown()
    assert ended == [True]


async def refuses(scope, receive, send):
    raise ValueError("only http here")


async def returns(scope, receive, send):
    pass


async def ends_after_startup(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})


@pytest.mark.parametrize("app", [refuses, returns, ends_after_startup])
async def test_an_application_without_a_whole_lifespan_is_fine(app):
    lifespan = Lifespan(app)
    await lifespan.startup()
    await lifespan.shutdown()


async def test_a_failure_while_starting_is_raised_as_it_is():
    async def app(scope, receive, send):
        await receive()
        raise ValueError("no table")

    with pytest.raises(ValueError, match="no table"):
        await Lifespan(app).startup()


async def test_a_reported_failure_is_raised_as_what_the_application_raises_with_it():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "sk-secret"})
        raise ValueError("no table")

    with pytest.raises(ValueError, match="no table"):
        await Lifespan(app).startup()


async def test_a_reported_failure_alone_does_not_repeat_the_message():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "sk-secret"})

    with pytest.raises(StartupFailed) as caught:
        await Lifespan(app).startup()
    assert "sk-secret" not in str(caught.value)


async def test_a_failure_while_stopping_is_raised():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise ValueError("unclean")

    lifespan = Lifespan(app)
    await lifespan.startup()
    with pytest.raises(ValueError, match="unclean"):
        await lifespan.shutdown()
