"""Dialects by name, each imported when it is first asked for: a cold start pays only for what it speaks.

A name with a colon, `package.module:Class`, is somebody's own dialect: a class without constructor arguments that has what
base.ChatDialect asks for. gateway.yaml names it in a row of `tollkeeper.providers`.
"""

from functools import cache
from importlib import import_module

from tollkeeper.dialects.base import ChatDialect
from tollkeeper.errors import ConfigError

_DIALECTS = {
    "openai_chat": ("tollkeeper.dialects.openai_chat", "OpenAIChat"),
    "openai_responses": ("tollkeeper.dialects.responses_api", "OpenAIResponses"),
    "anthropic_messages": ("tollkeeper.dialects.anthropic_messages", "AnthropicMessages"),
    "deepgram": ("tollkeeper.dialects.no_chat", "Deepgram"),
    "elevenlabs": ("tollkeeper.dialects.no_chat", "ElevenLabs"),
    "gemini_generate": ("tollkeeper.dialects.gemini_generate", "GeminiGenerate"),
    "bedrock_converse": ("tollkeeper.dialects.bedrock_converse", "BedrockConverse"),
    "bedrock_invoke": ("tollkeeper.dialects.bedrock_invoke", "BedrockInvoke"),
    "bedrock_family": ("tollkeeper.dialects.bedrock_family", "BedrockFamily"),
    "cohere_v2": ("tollkeeper.dialects.cohere_v2", "CohereV2"),
    "ollama_chat": ("tollkeeper.dialects.ollama_chat", "OllamaChat"),
    "vertex_anthropic": ("tollkeeper.dialects.vertex_anthropic", "VertexAnthropic"),
    "vertex_openai": ("tollkeeper.dialects.vertex_openai", "VertexOpenAI"),
    "sagemaker_chat": ("tollkeeper.dialects.sagemaker_chat", "SageMakerChat"),
    "sagemaker_tgi": ("tollkeeper.dialects.sagemaker_tgi", "SageMakerTgi"),
    "tgi_generate": ("tollkeeper.dialects.tgi_generate", "TgiGenerate"),
    "replicate": ("tollkeeper.dialects.replicate", "Replicate"),
    "watsonx_chat": ("tollkeeper.dialects.watsonx_chat", "WatsonxChat"),
}
_METHODS = ("encode", "decode", "stream_decoder", "decode_error")


@cache
def get(name: str) -> ChatDialect:
    """Raises KeyError for a name that is not in `names()`, ConfigError for a dialect of one's own that cannot be used."""
    if ":" in name:
        return _own(*name.split(":", 1))
    module, attribute = _DIALECTS[name]
    dialect: ChatDialect = getattr(import_module(module), attribute)()
    return dialect


def names() -> tuple[str, ...]:
    return tuple(_DIALECTS)


def _own(module: str, attribute: str) -> ChatDialect:
    try:
        made: ChatDialect = getattr(import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"The dialect {module}:{attribute} cannot be loaded: {error}") from None
    if missing := [method for method in _METHODS if not callable(getattr(made, method, None))]:
        raise ConfigError(f"The dialect {module}:{attribute} has no {', '.join(missing)}; see tollkeeper.dialects.base.ChatDialect.")
    return made
