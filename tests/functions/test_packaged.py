"""The proxy exactly as it is deployed: its layers in an /opt-like folder, its own folder with the compiled configuration, the exec wrapper,
and no other packages. In front of it a streaming API Gateway, behind it a provider that waits for the test, and the official client.
"""

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx
import openai
import pytest
from tests.support.api_gateway import api_gateway
from tests.support.runtime_api import PATIENCE, FakeRuntimeApi, Sandbox
from tests.support.upstream import Upstream, as_json, as_sse, chunk, completion, text_stream

from infra import bundling

MASTER_KEY = "sk-packaged-master"
CONFIG = """
model_list:
  - model_name: scripted
    litellm_params: {model: openai/gpt-4o-mini, api_base: URL, api_key: sk-upstream}
"""
LARGEST_MB = 40
# The same application with a fault in it, which the program itself never has: it raises after the first body bytes have left.
BROKEN = """
from handler import app as whole, drain

async def app(scope, receive, send):
    if scope["type"] != "http":
        return await whole(scope, receive, send)
    async def cut(message):
        await send(message)
        if message.get("body"):
            raise RuntimeError("sk-secret")
    await whole(scope, receive, cut)
"""
ASK = [{"role": "user", "content": "Hello?"}]


@dataclass(frozen=True)
class Package:
    """`opt` is what Lambda unpacks the layers to; `python` an interpreter without our development environment."""

    opt: Path
    python: str

    @property
    def megabytes(self) -> float:
        return sum(path.stat().st_size for path in self.opt.rglob("*") if path.is_file()) / 1e6


def package(folder: Path, target: bundling.Target) -> Path:
    """Layers, one over the other, as Lambda merges them."""
    try:
        layers = [bundling.dependencies_layer("proxy", target), bundling.gateway_layer(target), bundling.runtime_layer()]
    except bundling.SettingsError as error:
        pytest.skip(f"the layers cannot be built here: {str(error).splitlines()[-1]}")
    for layer in layers:
        shutil.copytree(layer, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def packaged(tmp_path_factory) -> Package:
    opt = package(tmp_path_factory.mktemp("opt"), bundling.HOST)
    return Package(opt, str(Path(sys.base_prefix) / "bin" / f"python{bundling.HOST.python}"))


@contextlib.asynccontextmanager
async def deployed(packaged: Package, folder: Path, upstream: str, files: Mapping[str, str] = MappingProxyType({}), **env: str):
    """(sandbox, API URL) of the running function."""
    config = folder / "gateway.yaml"
    config.write_text(CONFIG.replace("URL", upstream))
    task = folder / "task"
    shutil.copytree(bundling.function_folder("proxy", bundling.compiled_config(config)), task)
    for name, text in files.items():
        (task / name).write_text(text)
    async with FakeRuntimeApi().serving() as api:
        variables = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(packaged.opt / "python"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "LAMBDA_TASK_ROOT": str(task),
            "_HANDLER": "handler.app",
            "TOLLKEEPER_CONFIG": "gateway.json",
            "TOLLKEEPER_STATE": str(folder / "state"),
            "TOLLKEEPER_MASTER_KEY": MASTER_KEY,
            "TOLLKEEPER_PEPPER": "pepper",
            **env,
        }
        command = (str(packaged.opt / "tollkeeper-runtime"), packaged.python, "/var/runtime/bootstrap.py")
        process = await asyncio.create_subprocess_exec(
            *command, env=variables, cwd=task, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        sandbox = Sandbox(api, process)
        try:
            await sandbox.until("next", times=1)
            async with api_gateway(api) as url:
                yield sandbox, url
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()


@contextlib.asynccontextmanager
async def client(url: str):
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
        yield openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=MASTER_KEY, max_retries=0, http_client=http)


async def test_the_first_word_arrives_before_the_provider_has_said_the_last(packaged, tmp_path):
    heard = threading.Event()
    words = text_stream("one", "two")
    script = as_sse(*words[:2], heard, *words[2:])
    with Upstream(lambda _: script) as upstream:
        async with deployed(packaged, tmp_path, upstream.url) as (_, url), client(url) as ai:
            stream = await ai.chat.completions.create(model="scripted", messages=ASK, stream=True)
            said = []
            async for event in stream:
                said += [choice.delta.content for choice in event.choices if choice.delta.content]
                heard.set()
    assert said == ["one", "two"]


async def test_a_whole_answer_and_the_next_call_in_the_same_sandbox(packaged, tmp_path):
    with Upstream(lambda _: as_json(completion("Hello there"))) as upstream:
        async with deployed(packaged, tmp_path, upstream.url) as (sandbox, url), client(url) as ai:
            for _ in range(2):
                answer = await ai.chat.completions.create(model="scripted", messages=ASK)
                assert answer.choices[0].message.content == "Hello there"
            await sandbox.until("next", times=3)


async def test_a_waiting_caller_gets_heartbeats_before_the_first_word(packaged, tmp_path):
    heard = threading.Event()
    with Upstream(lambda _: as_sse(heard, *text_stream("late"))) as upstream:
        async with deployed(packaged, tmp_path, upstream.url, TOLLKEEPER_HEARTBEAT_SECONDS="0.05") as (sandbox, url), client(url) as ai:
            asking = asyncio.ensure_future(ai.chat.completions.create(model="scripted", messages=ASK, stream=True))
            await sandbox.api.until("chunk", ": ping\n\n", times=3)
            heard.set()
            said = [choice.delta.content async for event in await asking for choice in event.choices if choice.delta.content]
    assert said == ["late"]


async def test_a_provider_that_breaks_off_is_told_in_the_stream(packaged, tmp_path):
    script = as_sse(chunk({"role": "assistant", "content": "half"}), done=False, cut=True)
    with Upstream(lambda _: script) as upstream:
        async with deployed(packaged, tmp_path, upstream.url) as (sandbox, url), client(url) as ai:
            said = []
            with pytest.raises(openai.APIError):
                async for event in await ai.chat.completions.create(model="scripted", messages=ASK, stream=True):
                    said += [choice.delta.content for choice in event.choices if choice.delta.content]
            await sandbox.until("next", times=2)
            assert not any("[DONE]" in detail for what, detail in sandbox.api.log if what == "chunk")
    assert said == ["half"]


async def test_a_failure_of_the_function_itself_ends_the_stream_with_error_trailers_and_no_proper_end(packaged, tmp_path):
    with Upstream(lambda _: as_sse(*text_stream("one", "two"))) as upstream:
        async with deployed(packaged, tmp_path, upstream.url, files={"broken.py": BROKEN}, _HANDLER="broken.app") as (sandbox, url):
            headers = {"authorization": f"Bearer {MASTER_KEY}"}
            body = {"model": "scripted", "messages": ASK, "stream": True}
            async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE, headers=headers) as http:
                with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
                    await http.post(f"{url}/v1/chat/completions", json=body)
            await sandbox.until("next", times=2)
            answer = sandbox.api._all["request-1"]
    assert answer.trailers["lambda-runtime-function-error-type"] == "Function.RuntimeError"
    assert "sk-secret" not in str(answer.trailer_error)


def test_code_and_layers_are_small(packaged, tmp_path):
    folder = package(tmp_path / "opt", bundling.LAMBDA)
    for_lambda = Package(folder, packaged.python)
    assert for_lambda.megabytes < LARGEST_MB
    assert {path.suffix for path in (folder / "python").rglob("*.so")} == {".so"}
    assert not list((folder / "python").rglob("*x86_64*"))


def test_the_proxy_starts_without_the_packages_it_does_not_need(packaged):
    """Each of them would be paid for at every cold start."""
    code = "import sys, json, tollkeeper.bootstrap; print(json.dumps(sorted(sys.modules)))"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(packaged.opt / "python")}
    done = subprocess.run([packaged.python, "-c", code], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert not loaded & {
        "fastapi",
        "pydantic",
        "yaml",
        "boto3",
        "botocore",
        "httpx",
        "genai_prices",
        "mangum",
        "sqlite3",
        "cryptography",
        "joserfc",
    }
