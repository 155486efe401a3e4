"""Whose batches are run by whom: a deployment is handed its batches where the provider runs them, and everything else is run line by line.

openai, anthropic   at the provider's own address; elsewhere where model_info.mode is `batch`, as anything may stand behind it
azure               where model_info.mode is `batch`: batches need a deployment of the type Global Batch or Data Zone Batch, and that
                    one serves no single calls. https://learn.microsoft.com/azure/ai-foundry/openai/how-to/batch
"""

from tollkeeper.batches.native.anthropic import AnthropicBatches
from tollkeeper.batches.native.base import CHAT, Asked, BatchFormat, Intake
from tollkeeper.batches.native.openai import AZURE_ENDPOINTS, AzureBatches, OpenAIBatches
from tollkeeper.catalog.providers import PROVIDERS
from tollkeeper.config.snapshot import Deployment


def runs_natively(deployment: Deployment, intake: Intake) -> bool:
    if deployment.provider == "azure":
        return deployment.mode == "batch" and intake.endpoint in AZURE_ENDPOINTS
    if deployment.dialect == "anthropic_messages":
        return _at_home(deployment, "anthropic") and intake.endpoint == CHAT
    return deployment.dialect in {"openai_chat", "openai_responses"} and _at_home(deployment, "openai")


def format_for(deployment: Deployment, asked: Asked) -> BatchFormat:
    """For a deployment that `runs_natively`."""
    if deployment.provider == "azure":
        return AzureBatches(deployment, asked)
    if deployment.dialect == "anthropic_messages":
        return AnthropicBatches(deployment, asked)
    return OpenAIBatches(deployment, asked)


def _at_home(deployment: Deployment, provider: str) -> bool:
    row = PROVIDERS[provider]
    return deployment.mode == "batch" or (deployment.provider == provider and deployment.base_url == row.base_url)
