"""Whose batches are run by whom: a deployment is handed its batches where its provider runs them; the rest is run line by line."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tollkeeper.batches.native.anthropic import AnthropicBatches
from tollkeeper.batches.native.base import Asked, BatchFormat, Intake
from tollkeeper.batches.native.bedrock import BedrockBatches
from tollkeeper.batches.native.gemini import GeminiBatches
from tollkeeper.batches.native.openai import AzureBatches, OpenAIBatches
from tollkeeper.batches.native.vertex import VertexBatches
from tollkeeper.config.snapshot import Deployment


class _Way(NamedTuple):
    takes: Callable[[Deployment, Intake], bool]
    made: Callable[[Deployment, Asked], BatchFormat]


_OF_PROVIDER: Mapping[str, _Way] = {
    "azure": _Way(AzureBatches.takes, AzureBatches),
    "bedrock": _Way(BedrockBatches.takes, BedrockBatches),
    "gemini": _Way(GeminiBatches.takes, GeminiBatches),
    "vertex_ai": _Way(VertexBatches.takes, VertexBatches),
    "vertex_ai_beta": _Way(VertexBatches.takes, VertexBatches),
}
_OPENAI = _Way(OpenAIBatches.takes, OpenAIBatches)
_OF_DIALECT: Mapping[str, _Way] = {
    "anthropic_messages": _Way(AnthropicBatches.takes, AnthropicBatches),
    "openai_chat": _OPENAI,
    "openai_responses": _OPENAI,
}


def runs_natively(deployment: Deployment, intake: Intake) -> bool:
    way = _way(deployment)
    return way is not None and way.takes(deployment, intake)


def format_for(deployment: Deployment, asked: Asked) -> BatchFormat | None:
    """None: nobody runs batches of such a deployment but the gateway."""
    way = _way(deployment)
    return way.made(deployment, asked) if way is not None else None


def _way(deployment: Deployment) -> _Way | None:
    return _OF_PROVIDER.get(deployment.provider) or _OF_DIALECT.get(deployment.dialect)
