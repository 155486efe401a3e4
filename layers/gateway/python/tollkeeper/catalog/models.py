"""What single models can do and hold: context window, output limit, modalities, tools, reasoning, structured output. Pinned data.

models.tsv has a line for each model: `provider/model`, mode, input limit, output limit, features; its first line says where from and of
which day. dev/model_facts.py writes it. It is read while a configuration is compiled, never by the proxy. Families, and what dialects do
differently for them, are in profiles.py.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).with_name("models.tsv")

FEATURES = {
    "tools": "supports_function_calling",
    "parallel": "supports_parallel_function_calling",
    "choice": "supports_tool_choice",
    "schema": "supports_response_schema",
    "vision": "supports_vision",
    "pdf": "supports_pdf_input",
    "hears": "supports_audio_input",
    "speaks": "supports_audio_output",
    "sees": "supports_video_input",
    "reasons": "supports_reasoning",
    "caches": "supports_prompt_caching",
    "searches": "supports_web_search",
    "computer": "supports_computer_use",
    "prefill": "supports_assistant_prefill",
    "system": "supports_system_messages",
}
"""Our word → the name that /model/info has for it, which is LiteLLM's."""
MODES = {
    name: name
    for name in (
        "chat", "responses", "completion", "embedding", "rerank", "moderation", "image_generation", "image_edit", "audio_transcription",
        "audio_speech",
    )
}  # fmt: skip
_BEDROCK_PLACE = re.compile(r"^(?:us-gov|us|eu|apac|ap|au|ca|jp|global)\.")
_ALSO = {"vertex_ai_beta": "vertex_ai", "cohere_chat": "cohere", "ollama_chat": "ollama", "azure_text": "azure", "aiohttp_openai": "openai"}


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """Token limits are None where nobody says. `features` are words of FEATURES."""

    mode: str
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    features: frozenset[str] = frozenset()

    def info(self) -> dict[str, Any]:
        """As model_info has it. A `completion` model's mode is left out: several of them chat, too; endpoints.mode_of knows the rest."""
        limits = {"max_input_tokens": self.max_input_tokens, "max_output_tokens": self.max_output_tokens}
        known = {name: limit for name, limit in limits.items() if limit is not None}
        mode = {} if self.mode == "completion" else {"mode": self.mode}
        return {**mode, **known, **{FEATURES[word]: True for word in sorted(self.features)}}


def source() -> str:
    """Where the data is from, and of which day."""
    return DATA.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def profile_of(provider: str, model: str, base_model: str | None = None) -> ModelProfile | None:
    """By the provider's name for the model; `base_model` (`azure/gpt-4o`, or bare) says what a deployment's own name does not."""
    provider = _ALSO.get(provider, provider)
    if base_model:
        known = _table()
        return known.get(base_model) or known.get(f"{provider}/{base_model}") or known.get(f"openai/{base_model}")
    name = _BEDROCK_PLACE.sub("", model) if provider in {"bedrock", "bedrock_mantle"} else model
    found = _table().get(f"{provider}/{model}") or _table().get(f"{provider}/{name}")
    if found is None and "azure" in provider:
        found = _table().get(f"openai/{model}")
    return found


@cache
def _table() -> dict[str, ModelProfile]:
    lines = DATA.read_text(encoding="utf-8").splitlines()
    return dict(map(_row, (line for line in lines if line and not line.startswith("#"))))


def _row(line: str) -> tuple[str, ModelProfile]:
    name, mode, read, written, features = line.split("\t")
    return name, ModelProfile(mode, int(read) if read else None, int(written) if written else None, frozenset(features.split()))
