"""The front door sends each request to the function that has its route."""

from types import SimpleNamespace

from infra.functions import ALL

from tollkeeper.admin.app import create_app as create_admin
from tollkeeper.clock import system
from tollkeeper.edge.app import EdgeParts, create_app
from tollkeeper.edge.problems import openai_error

OWNERS = {prefix.rstrip("/"): row.name for row in ALL.values() for prefix in row.paths}


def sent_to(path: str) -> str:
    """As API Gateway decides it: the most specific resource wins."""
    return OWNERS[max((prefix for prefix in OWNERS if path == prefix or path.startswith(f"{prefix}/")), key=len)]


def test_every_management_route_reaches_the_management_function():
    app = create_admin(SimpleNamespace(clock=system), openai_error)
    assert {path: sent_to(path) for path in app.openapi()["paths"]} == dict.fromkeys(app.openapi()["paths"], "keys")


def test_every_llm_route_reaches_the_proxy():
    async def nothing() -> None:
        pass

    parts = EdgeParts(None, system, max_request_bytes=1, heartbeat_seconds=1, ready=nothing, on_stop=nothing)
    paths = [route.path for route in create_app(parts).routes]
    assert "/v1/chat/completions" in paths
    assert {path: sent_to(path) for path in paths} == dict.fromkeys(paths, "proxy")


def test_no_two_functions_have_the_same_path():
    paths = [prefix for row in ALL.values() for prefix in row.paths]
    assert len(paths) == len(set(paths))
