"""Clients people use, each in a locked environment of its own, over HTTP against the real program and providers of three makes.

`tests/clients/<name>/` holds a client's lock and a probe that prints what it got. An environment is made once, in
`.cache/clients/` (or TOLLKEEPER_TEST_CLIENTS), from the lock; without a package registry the test is skipped.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.clients.provider import MP3, RECORD, SUNNY, TEXT, config, provider
from tests.support.gateway import ROOT, GatewayProcess
from tests.support.upstream import Upstream

pytestmark = pytest.mark.slow
CLIENTS = ROOT / "tests" / "clients"
CACHE = Path(os.environ.get("TOLLKEEPER_TEST_CLIENTS", ROOT / ".cache" / "clients"))
MODELS = ("gpt", "claude", "gemini")
CALLED = {"name": "get_weather", "args": {"city": "Paris"}}
VECTORS = [[0.25, -0.5, 1.0], [0.25, -0.5, 1.0]]
REPORT = json.loads(RECORD)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with Upstream(provider) as upstream:
        process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config(upstream.url)).start()
        yield process
        process.stop()


def environment(name: str) -> Path:
    """A client's environment, made from its lock if it is not there."""
    node = (CLIENTS / name / "package-lock.json").exists()
    lock = CLIENTS / name / ("package-lock.json" if node else "requirements.txt")
    folder = CACHE / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    done = folder / ".done"
    if done.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if node:
        for file in ("package.json", "package-lock.json"):
            shutil.copy(CLIENTS / name / file, folder)
        command = [shutil.which("npm") or pytest.skip("needs Node"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    else:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        command = [folder / "bin" / "python", "-m", "pip", "install", "-q", "--require-hashes", "-r", lock]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"its packages cannot be had here: {made.stderr.strip()[-200:]}")
    done.touch()
    return folder


def probed(name: str, gateway: GatewayProcess) -> dict[str, Any]:
    """What the client's probe printed last."""
    folder = environment(name)
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "GATEWAY_URL": gateway.url, "GATEWAY_KEY": gateway.new_key()}
    if (CLIENTS / name / "probe.mjs").exists():
        shutil.copy(CLIENTS / name / "probe.mjs", folder)
        command: list[Any] = ["node", "probe.mjs"]
    else:
        command = [folder / "bin" / "python", CLIENTS / name / "probe.py"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def everywhere(value: Any, names: tuple[str, ...] = MODELS) -> dict[str, Any]:
    return dict.fromkeys(names, value)


def test_openai_python(gateway: GatewayProcess) -> None:
    got = probed("openai_python", gateway)
    assert (got["chat"], got["stream"]) == (everywhere(TEXT), everywhere(TEXT))
    assert got["tools"] == everywhere({**CALLED, "then": SUNNY})
    assert got["structured"] == everywhere(REPORT)
    ends = ["response.created", "response.completed"]
    assert got["responses"] == everywhere({"text": TEXT, "streamed": TEXT, "ends": ends, "parsed": REPORT, "again": TEXT})
    assert got["embeddings"] == VECTORS
    assert (got["moderation"], got["image"], got["speech"], got["transcript"]) == (False, "aGVsbG8=", len(MP3), TEXT)
    assert set(MODELS) <= set(got["models"])
    assert got["failure"] == {"status": 400, "param": "model"}


def test_openai_node(gateway: GatewayProcess) -> None:
    got = probed("openai_node", gateway)
    assert (got["chat"], got["stream"]) == (everywhere(TEXT), everywhere(TEXT))
    assert got["tools"] == everywhere({**CALLED, "then": SUNNY})
    assert got["responses"] == everywhere({"text": TEXT, "again": TEXT, "streamed": TEXT})
    assert got["embeddings"] == VECTORS
    assert got["failure"] == {"status": 400, "param": "model"}


@pytest.mark.parametrize("name", ["anthropic_python", "anthropic_node"])
def test_anthropic(gateway: GatewayProcess, name: str) -> None:
    got = probed(name, gateway)
    assert got["chat"] == {each: {"text": TEXT, "stop": "end_turn", "out": 12, "model": each} for each in MODELS}
    assert got["stream"] == everywhere({"text": TEXT, "stop": "end_turn"})
    assert got["tools"] == everywhere({**CALLED, "then": SUNNY, "stop": "tool_use"})
    assert got["counted"] == everywhere(True)
    assert set(MODELS) <= set(got["models"])
    assert got["failure"] == {"status": 400, "type": "invalid_request_error"}


def test_google_genai(gateway: GatewayProcess) -> None:
    got = probed("google_genai", gateway)
    assert got["chat"] == {each: {"text": TEXT, "finish": "STOP", "tokens": 21, "model": each} for each in MODELS}
    assert got["stream"] == everywhere({"text": TEXT, "tokens": 21})
    assert got["tools"] == everywhere({**CALLED, "then": SUNNY})
    assert got["streamed_tools"] == everywhere(CALLED)
    assert got["automatic"] == everywhere(SUNNY)
    assert got["structured"] == everywhere(REPORT)
    assert got["counted"]["gemini"] == 42
    assert got["embeddings"] == VECTORS
    assert {f"models/{each}" for each in MODELS} <= set(got["models"])
    assert got["failure"]["status"] == "INVALID_ARGUMENT"


def test_cohere(gateway: GatewayProcess) -> None:
    got = probed("cohere_python", gateway)
    assert got["rerank"] == [[1, 0.9], [0, 0.1]]
    assert (got["chat"], got["stream"], got["tools"]) == (TEXT, TEXT, CALLED)
    assert got["embeddings"] == VECTORS


def test_langchain_openai(gateway: GatewayProcess) -> None:
    got = probed("langchain_openai", gateway)
    assert (got["chat"], got["stream"], got["responses"]) == (everywhere(TEXT), everywhere(TEXT), TEXT)
    assert got["tools"] == everywhere({**CALLED, "then": SUNNY})
    assert got["structured"] == everywhere(REPORT)
    assert got["embeddings"] == VECTORS


def test_llama_index(gateway: GatewayProcess) -> None:
    got = probed("llama_index", gateway)
    assert (got["chat"], got["stream"]) == (everywhere(TEXT), everywhere(TEXT))
    assert got["tools"] == everywhere({**CALLED, "then": SUNNY})
    assert got["embeddings"] == VECTORS


def test_vercel_ai(gateway: GatewayProcess) -> None:
    got = probed("vercel_ai", gateway)
    names = tuple(f"{speaker}/{each}" for speaker in ("compatible", "responses", "anthropic", "google") for each in MODELS)
    assert (got["chat"], got["stream"]) == (everywhere(TEXT, names), everywhere(TEXT, names))
    assert got["tools"] == everywhere({**CALLED, "then": SUNNY}, names)
    assert got["embeddings"] == VECTORS


def test_litellm_sdk(gateway: GatewayProcess) -> None:
    got = probed("litellm_sdk", gateway)
    assert (got["chat"], got["stream"], got["responses"]) == (everywhere(TEXT), everywhere(TEXT), TEXT)
    assert got["tools"] == everywhere({**CALLED, "then": SUNNY})
    assert got["elsewhere"] == [TEXT, TEXT]
    assert (got["embeddings"], got["rerank"], got["failure"]) == (VECTORS, [1, 0], "BadRequestError")


def test_llm_cli(gateway: GatewayProcess) -> None:
    got = probed("llm_cli", gateway)
    assert (got["chat"], got["stream"], got["tools"]) == (everywhere(TEXT), everywhere(TEXT), everywhere(SUNNY))
    assert got["structured"] == everywhere(REPORT)
