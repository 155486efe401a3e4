"""The ministack emulator as a process of its own, from its own environment (`make ministack`), on a free loopback port."""

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PYTHON = Path(__file__).parents[2] / ".venv-ministack" / "bin" / "python"
START_SECONDS = 30.0


@contextmanager
def ministack(folder: Path) -> Iterator[str]:
    """The endpoint of a running emulator; `folder` takes its log and pid file. Skips the test if its environment is not there."""
    if not PYTHON.exists():
        pytest.skip("no .venv-ministack: run `make ministack`")
    port = _free_port()
    environment = {
        **os.environ,
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_PORT": str(port),
        "GATEWAY_PORT": str(port),
        "SERVICES": "dynamodb,secretsmanager",
        "TMPDIR": str(folder),
    }
    with (folder / "ministack.log").open("wb") as log:
        process = subprocess.Popen([str(PYTHON), "-m", "ministack"], env=environment, stdout=log, stderr=log, cwd=folder)
        try:
            _wait_until_healthy(process, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int) -> None:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/_ministack/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise RuntimeError(f"ministack did not start (exit code {process.poll()}); see ministack.log")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
