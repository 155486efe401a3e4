"""The LLM endpoints, as rows: what a call is named in the ledger, and which deployments can serve it.

A deployment serves an endpoint natively, in the endpoint's own words (dialects/native.py says which dialects do), or, where the row says
`bridged`, through a chat completion. Call types are LiteLLM's (https://docs.litellm.ai/docs/proxy/logging_spec).
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from tollkeeper.catalog.providers import PROVIDERS
from tollkeeper.config.snapshot import Deployment


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`modes` are those of `model_info.mode`, none meaning any; `output` False: the answer has no tokens that are paid for."""

    name: str
    route: str
    call_type: str
    modes: frozenset[str]
    bridged: bool = False
    output: bool = True


_CHATS = frozenset({"chat", "responses"})

CHAT = Endpoint("chat", "/v1/chat/completions", "acompletion", _CHATS, bridged=True)
MESSAGES = Endpoint("messages", "/v1/messages", "anthropic_messages", _CHATS, bridged=True)
RESPONSES = Endpoint("responses", "/v1/responses", "aresponses", _CHATS, bridged=True)
COMPACT = Endpoint("compact", "/v1/responses/compact", "acompact_responses", _CHATS)
GENERATE = Endpoint("generate", "/v1beta/models/{model}:generateContent", "agenerate_content", _CHATS, bridged=True)
COMPLETIONS = Endpoint("completions", "/v1/completions", "atext_completion", _CHATS | {"completion"}, bridged=True)
EMBEDDINGS = Endpoint("embeddings", "/v1/embeddings", "aembedding", frozenset({"embedding"}), output=False)
MODERATIONS = Endpoint("moderations", "/v1/moderations", "amoderation", frozenset({"moderation"}), output=False)
RERANK = Endpoint("rerank", "/v1/rerank", "arerank", frozenset({"rerank"}), output=False)
_PAINTERS = frozenset({"image_generation"})
IMAGES = Endpoint("images", "/v1/images/generations", "aimage_generation", _PAINTERS, output=False)
IMAGE_EDITS = Endpoint("image_edits", "/v1/images/edits", "aimage_edit", _PAINTERS | {"image_edit"}, output=False)
IMAGE_VARIATIONS = Endpoint("image_variations", "/v1/images/variations", "aimage_variation", frozenset({"image_variation"}), output=False)
TRANSCRIPTIONS = Endpoint("transcriptions", "/v1/audio/transcriptions", "atranscription", frozenset({"audio_transcription"}), output=False)
TRANSLATIONS = Endpoint("translations", "/v1/audio/translations", "atranslation", frozenset({"audio_transcription"}), output=False)
SPEECH = Endpoint("speech", "/v1/audio/speech", "aspeech", frozenset({"audio_speech"}), output=False)
_TOKENS = (CHAT, MESSAGES, RESPONSES, COMPACT, GENERATE, COMPLETIONS, EMBEDDINGS, MODERATIONS, RERANK)
ENDPOINTS = (*_TOKENS, IMAGES, IMAGE_EDITS, IMAGE_VARIATIONS, TRANSCRIPTIONS, TRANSLATIONS, SPEECH)

_MODES = (
    ("moderation", r"moderation"),
    ("rerank", r"rerank"),
    ("embedding", r"embed|(?:^|/)(?:bge|e5|gte|voyage|all-minilm|jina-clip)-|^voyage/"),
    ("completion", r"^(?:text-completion-|azure_text/)|gpt-3\.5-turbo-instruct|(?:^|/)(?:davinci|babbage)-002"),
    ("audio_speech", r"(?:^|[/-])tts(?:-|$)|^deepgram/aura|^elevenlabs/eleven"),
    ("audio_transcription", r"whisper|-transcribe|^deepgram/|^elevenlabs/"),
    ("image_generation", r"dall-e|gpt-image|(?:^|/)imagen|stable-diffusion|(?:^|/)flux"),
)
"""What `provider/model` says of a model whose `model_info.mode` nobody wrote; any other is a chat model."""


def mode_of(deployment: Deployment) -> str:
    """`batch`, which says that the provider takes batches, says nothing of the kind of model."""
    stated = deployment.info.get("mode")
    return deployment.mode if stated and stated != "batch" else _mode_by_name(f"{deployment.provider}/{deployment.model}")


def modes_of(deployment: Deployment) -> frozenset[str]:
    """Its mode, and what the model is known to be for besides."""
    return frozenset({mode_of(deployment)}) | _more_modes(deployment.model)


@lru_cache(maxsize=1024)
def _more_modes(model: str) -> frozenset[str]:
    return next((modes for pattern, modes in _BESIDES if re.search(pattern, model.lower())), frozenset())


_BESIDES = (
    # They talk and paint in one answer, or paint alone. https://ai.google.dev/gemini-api/docs/image-generation
    (r"(?:^|/)gemini-[\w.-]*image", frozenset({"chat", "image_generation"})),
    # The only one of OpenAI's that makes variations. https://platform.openai.com/docs/api-reference/images/createVariation
    (r"dall-e-2", frozenset({"image_variation"})),
)


@lru_cache(maxsize=1024)
def _mode_by_name(model: str) -> str:
    name = model.lower()
    return next((mode for mode, pattern in _MODES if re.search(pattern, name)), "chat")


def speaks_responses(deployment: Deployment) -> bool:
    """A provider that has the Responses API beside its chat API, at its own address: anything may stand behind another one."""
    row = PROVIDERS.get(deployment.provider)
    return deployment.provider in _RESPONSES_TOO and row is not None and deployment.base_url == row.base_url


_RESPONSES_TOO = frozenset({"openai", "xai"})
"""https://platform.openai.com/docs/api-reference/responses https://docs.x.ai/docs/guides/chat"""
