from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from tests.support.runtime_api import ROOT, Sandbox, start_sandbox

StartSandbox = Callable[..., AbstractAsyncContextManager[Sandbox]]


@pytest.fixture
def sandbox(tmp_path: Path) -> StartSandbox:
    """`async with sandbox(handler, VARIABLE=...)`: the test function, or another handler of its module."""

    def start(handler: str = "function.app", **env: str) -> AbstractAsyncContextManager[Sandbox]:
        return start_sandbox(tmp_path, handler, ROOT / "tests/functions/sandbox", **env)

    return start
