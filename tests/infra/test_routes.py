"""The front door sends each request to the function that has its route."""

from collections.abc import Iterable
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


def astray(paths: Iterable[str], wanted: str) -> list[str]:
    """What is to be done in infra/functions.py, a line for each route that another function gets."""
    return [f"{path} reaches {sent_to(path)}: move it in infra/functions.py to {wanted}" for path in paths if sent_to(path) != wanted]


def test_every_management_route_reaches_the_management_function():
    app = create_admin(SimpleNamespace(clock=system), openai_error)
    pages = [route.path for route in app.routes if hasattr(route, "path")]
    assert "/docs" in pages
    assert astray([*app.openapi()["paths"], *pages], "keys") == []


def test_every_llm_route_reaches_the_proxy():
    async def nothing() -> None:
        pass

    parts = EdgeParts(None, system, max_request_bytes=1, heartbeat_seconds=1, ready=nothing, on_stop=nothing)
    paths = [route.path for route in create_app(parts).routes]
    assert "/v1/chat/completions" in paths
    assert astray(paths, "proxy") == []


def test_no_two_functions_have_the_same_path():
    paths = [prefix for row in ALL.values() for prefix in row.paths]
    assert len(paths) == len(set(paths))
