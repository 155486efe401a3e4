"""Amazon's DynamoDB Local, fetched by `make dynamodb-local` into .cache/dynamodb-local, on a free loopback port."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JARS = ROOT / ".cache" / "dynamodb-local"
LAUNCHER = ROOT / "tests" / "dynamodb-local" / "Loopback.java"


@contextmanager
def dynamodb_local(folder: Path) -> Iterator[str]:
    """The endpoint of a running server, in memory. Skips the test if there is no Java compiler or the jars are not there."""
    if not (shutil.which("java") and shutil.which("javac")):
        pytest.skip("no Java development kit on this machine")
    if not any(JARS.glob("DynamoDBLocal-*.jar")):
        pytest.skip("no DynamoDB Local: run `make dynamodb-local`")
    command = ["java", "-Xmx256m", f"-Djava.library.path={JARS}", "-cp", f"{JARS}/*", str(LAUNCHER)]
    with (folder / "dynamodb-local.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=folder, text=True)
        try:
            yield f"http://127.0.0.1:{_announced_port(process)}"
        finally:
            process.terminate()
            process.communicate(timeout=20)


def _announced_port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("port="):
            return int(line.removeprefix("port="))
    raise RuntimeError(f"DynamoDB Local did not start (exit code {process.wait()}); see dynamodb-local.log")
