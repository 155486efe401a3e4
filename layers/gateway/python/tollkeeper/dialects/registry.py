"""Dialects by name, each imported when it is first asked for: a cold start pays only for what it speaks."""

from functools import cache
from importlib import import_module

from tollkeeper.dialects.base import ChatDialect

_DIALECTS = {
    "openai_chat": ("tollkeeper.dialects.openai_chat", "OpenAIChat"),
    "openai_responses": ("tollkeeper.dialects.responses_api", "OpenAIResponses"),
    "anthropic_messages": ("tollkeeper.dialects.anthropic_messages", "AnthropicMessages"),
    "gemini_generate": ("tollkeeper.dialects.gemini_generate", "GeminiGenerate"),
    "bedrock_converse": ("tollkeeper.dialects.bedrock_converse", "BedrockConverse"),
    "bedrock_invoke": ("tollkeeper.dialects.bedrock_invoke", "BedrockInvoke"),
    "cohere_v2": ("tollkeeper.dialects.cohere_v2", "CohereV2"),
    "ollama_chat": ("tollkeeper.dialects.ollama_chat", "OllamaChat"),
}


@cache
def get(name: str) -> ChatDialect:
    """Raises KeyError for a name that is not in `names()`."""
    module, attribute = _DIALECTS[name]
    dialect: ChatDialect = getattr(import_module(module), attribute)()
    return dialect


def names() -> tuple[str, ...]:
    return tuple(_DIALECTS)
