"""The front door sends each request to the function that has its route."""

import asyncio
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from infra.functions import ALL

from tollkeeper.admin.app import create_app as create_admin
from tollkeeper.bootstrap import Installation
from tollkeeper.bootstrap.front import edge_parts
from tollkeeper.catalog.providers import PROVIDERS
from tollkeeper.clock import system
from tollkeeper.edge.app import create_app
from tollkeeper.edge.problems import openai_error
from tollkeeper.settings import Settings

ASKED_BY_POST = {"/spend/calculate", "/global/spend/refresh", "/global/spend/end_users", "/reports/simulate"}
"""They change nothing."""
REPORTS_MAY = {"/reports/exports"}
"""What the reports function does besides reading."""
OWNERS = {prefix.rstrip("/"): row.name for row in ALL.values() for prefix in row.paths}


def sent_to(path: str) -> str:
    """As API Gateway decides it: the most specific resource wins."""
    return OWNERS[max((prefix for prefix in OWNERS if path == prefix or path.startswith(f"{prefix}/")), key=len)]


def astray(paths: Iterable[str], *wanted: str) -> list[str]:
    """What is to be done in infra/functions.py, a line for each route that another function gets."""
    return [f"{path} reaches {sent_to(path)}: give its prefix to {wanted[0]} there" for path in paths if sent_to(path) not in wanted]


def management() -> dict[str, set[str]]:
    """Path → methods."""
    app = create_admin(SimpleNamespace(clock=system), openai_error)
    pages = {route.path: {"GET"} for route in app.routes if hasattr(route, "path")}
    assert "/docs" in pages
    return pages | {path: {method.upper() for method in methods} for path, methods in app.openapi()["paths"].items()}


@cache
def llm() -> frozenset[str]:
    """Of a whole installation: files, batches, tools and agents too."""
    config = str(Path(__file__).parents[1] / "functions" / "gateway.yaml")
    running = asyncio.run(Installation(Settings(config=config, state=":memory:")).start())
    return frozenset(route.path for route in create_app(edge_parts(running)).routes)


def test_every_management_route_reaches_a_management_function():
    others = [path for path in management() if path not in llm()]
    assert astray([*others, "/end_user/info"], "keys", "reports") == []


def test_what_changes_anything_reaches_the_function_that_may():
    reads = {"GET", "HEAD"}
    changing = [path for path, methods in management().items() if methods - reads and path not in llm()]
    assert astray(set(changing) - ASKED_BY_POST - REPORTS_MAY, "keys") == []


def test_every_report_reaches_the_reports():
    words = ("/spend/", "/daily/", "/activity")
    reports = [path for path, methods in management().items() if methods == {"GET"} and any(word in path for word in words)]
    assert len(reports) > 20
    assert astray([*reports, "/end_user/daily/activity"], "reports") == []


def test_every_llm_route_reaches_the_proxy():
    assert {"/v1/chat/completions", "/v1/files", "/v1/batches", "/v1beta/models"} <= llm()
    assert astray(llm(), "proxy") == []


def test_raw_provider_apis_reach_the_proxy():
    """`/{provider}/{path}`, and LiteLLM's names for them."""
    assert astray((f"/{name}/v1/models" for name in (*PROVIDERS, "vertex-ai", "azure", "cursor", "assemblyai")), "proxy") == []


def test_no_two_functions_have_the_same_path():
    paths = [prefix for row in ALL.values() for prefix in row.paths]
    assert len(paths) == len(set(paths))
