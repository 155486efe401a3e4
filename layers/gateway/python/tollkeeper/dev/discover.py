"""What can be used without a configuration: the demo model always; providers whose keys are set; Ollama and vLLM on this machine."""

import asyncio

import httpx

from tollkeeper.config.compile import compile_config
from tollkeeper.config.demo import demo_config
from tollkeeper.config.snapshot import Snapshot
from tollkeeper.settings import secret_env

PROBE_SECONDS = 0.3
OLLAMA, VLLM = "http://127.0.0.1:11434/v1", "http://127.0.0.1:8000/v1"


def discover() -> Snapshot:
    """Asks the two local ports side by side; a port that does not answer like a model server is left out."""
    ollama, vllm = asyncio.run(_probe_all())
    config = demo_config(
        openai=secret_env("OPENAI_API_KEY") is not None, anthropic=secret_env("ANTHROPIC_API_KEY") is not None, ollama=ollama, vllm=vllm
    )
    return compile_config(config, env=secret_env)


async def _probe_all() -> tuple[list[str], list[str]]:
    async with httpx.AsyncClient(timeout=PROBE_SECONDS, trust_env=False) as client:
        ollama, vllm = await asyncio.gather(_models_of(client, OLLAMA), _models_of(client, VLLM))
    return ollama, vllm


async def _models_of(client: httpx.AsyncClient, base: str) -> list[str]:
    try:
        listed = (await client.get(f"{base}/models")).json()
        return [row["id"] for row in listed["data"] if isinstance(row["id"], str)]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return []
