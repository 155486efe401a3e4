"""The configuration of `make dev` without one: the demo model always, and what was found on this machine."""

from typing import Any

import orjson

DEMO_PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.000002}
"""The demo model costs nothing to run. It has a price so that budgets, spend and reports show something."""
FREE = {"input_cost_per_token": 0, "output_cost_per_token": 0}
VLLM_BASE = "http://127.0.0.1:8000/v1"


def demo_config(*, openai: bool, anthropic: bool, ollama: list[str], vllm: list[str]) -> str:
    """A gateway.yaml (JSON is YAML). `ollama` and `vllm` are the names their servers list; the two flags say whether a key is set."""
    demo = {"model_name": "demo", "litellm_params": {"model": "demo", "mock_response": {"demo": True}}, "model_info": DEMO_PRICES}
    cloud = [name for name, found in (("openai", openai), ("anthropic", anthropic)) if found]
    models = [
        demo,
        *(_entry(f"{provider}/*", {}) for provider in cloud),
        *(_entry(f"ollama/{name}", {}, FREE) for name in ollama),
        *(_entry(f"hosted_vllm/{name}", {"api_base": VLLM_BASE}, FREE) for name in vllm),
    ]
    return orjson.dumps({"model_list": models}, option=orjson.OPT_INDENT_2).decode()


def _entry(model: str, params: dict[str, Any], info: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"model_name": model, "litellm_params": {"model": model, **params}, "model_info": info or {}}
