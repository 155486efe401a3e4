"""Wire formats in which a deployment serves an endpoint in the endpoint's own words: nothing is translated, so nothing is lost.

The deployment's chat dialect (`Deployment.dialect`) says which. Each is a ChatDialect whose "hub" is the endpoint's own JSON: requests and
answers pass as they came, with the deployment's name for the model on the way out and the caller's on the way back.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Protocol

from tollkeeper.dialects.base import ChatDialect, Json, StreamDecoder, Target
from tollkeeper.errors import UpstreamProtocolError

RAW, CONTENT_TYPE = "raw", "content_type"
"""Of an answer that is no JSON: its bytes, and what they are."""
LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")


class NativeDialect(ChatDialect, Protocol):
    """Chunks of its streams have `raw` as the edge sends them."""

    def usage(self, answer: Json) -> Json | None:
        """What the answer says of usage, as the hub's usage object."""
        ...


_MESSAGES = "tollkeeper.dialects.native_messages"
_PLAIN = "tollkeeper.dialects.native_plain"
_EMBED = "tollkeeper.dialects.native_embeddings"
_RESPONSES = "tollkeeper.dialects.native_responses"
_MEDIA = "tollkeeper.dialects.native_media"
_GEMINI = "tollkeeper.dialects.native_gemini"
_CLOUD = "tollkeeper.dialects.native_cloud_embeddings"
_RERANK = "tollkeeper.dialects.native_rerank"
_GOOGLE_IMAGES = "tollkeeper.dialects.native_google_images"
_SPEECH = "tollkeeper.dialects.native_speech"
_OPENAI_LIKE = ("openai_chat", "openai_responses")
_MEDIA_ENDPOINTS = {
    "images": "Images",
    "image_edits": "ImageEdits",
    "image_variations": "ImageVariations",
    "transcriptions": "Transcriptions",
    "translations": "Translations",
    "speech": "Speech",
}
_NATIVE: Mapping[tuple[str, str], tuple[str, str]] = {
    ("messages", "anthropic_messages"): (_MESSAGES, "NativeMessages"),
    ("messages", "bedrock_invoke"): (_MESSAGES, "NativeInvoke"),
    ("messages", "vertex_anthropic"): (_MESSAGES, "NativeVertex"),
    ("count_tokens", "anthropic_messages"): (_MESSAGES, "NativeCount"),
    ("generate", "gemini_generate"): (_GEMINI, "NativeGenerate"),
    ("count_generate", "gemini_generate"): (_GEMINI, "NativeCountTokens"),
    ("responses", "openai_responses"): (_RESPONSES, "NativeResponses"),
    ("compact", "openai_responses"): (_RESPONSES, "NativeCompact"),
    ("count_response", "openai_responses"): (_RESPONSES, "NativeCountInput"),
    ("forget_response", "openai_responses"): (_RESPONSES, "NativeForget"),
    **{("completions", name): ("tollkeeper.dialects.native_completions", "NativeCompletions") for name in _OPENAI_LIKE},
    **{("embeddings", name): (_PLAIN, "Embeddings") for name in _OPENAI_LIKE},
    **{("moderations", name): (_PLAIN, "Moderations") for name in _OPENAI_LIKE},
    **{("rerank", name): (_RERANK, "Rerank") for name in _OPENAI_LIKE},
    **{(endpoint, name): (_MEDIA, found) for endpoint, found in _MEDIA_ENDPOINTS.items() for name in _OPENAI_LIKE},
    ("images", "gemini_generate"): (_GOOGLE_IMAGES, "GoogleImages"),
    ("image_edits", "gemini_generate"): (_GOOGLE_IMAGES, "GoogleImages"),
    ("transcriptions", "deepgram"): (_SPEECH, "DeepgramTranscriptions"),
    ("speech", "deepgram"): (_SPEECH, "DeepgramSpeech"),
    ("transcriptions", "elevenlabs"): (_SPEECH, "ElevenLabsTranscriptions"),
    ("speech", "elevenlabs"): (_SPEECH, "ElevenLabsSpeech"),
    ("rerank", "cohere_v2"): (_RERANK, "CohereRerank"),
    ("rerank", "bedrock_converse"): (_RERANK, "BedrockRerank"),
    ("embeddings", "cohere_v2"): (_EMBED, "CohereEmbeddings"),
    ("embeddings", "gemini_generate"): (_CLOUD, "GoogleEmbeddings"),
    ("embeddings", "ollama_chat"): (_EMBED, "OllamaEmbeddings"),
    ("embeddings", "bedrock_converse"): (_CLOUD, "BedrockEmbeddings"),
    ("embeddings", "bedrock_family"): (_CLOUD, "BedrockEmbeddings"),
    ("embeddings", "watsonx_chat"): (_CLOUD, "WatsonxEmbeddings"),
    ("embeddings", "sagemaker_tgi"): (_CLOUD, "SageMakerEmbeddings"),
}


@cache
def native(endpoint: str, dialect: str) -> NativeDialect | None:
    """How a deployment of this chat dialect serves the endpoint by itself; None: it does not."""
    found = _NATIVE.get((endpoint, dialect))
    if found is None:
        return None
    module, attribute = found
    made: NativeDialect = getattr(import_module(module), attribute)()
    return made


def has_native(endpoint: str, dialect: str) -> bool:
    """The same without importing it."""
    return (endpoint, dialect) in _NATIVE


def one_limit(body: Json, name: str) -> None:
    """The output limit under the one name that this API obeys; of several the smallest, since a budget may hold money for any of them."""
    given = [body.pop(each) for each in LIMITS if body.get(each) is not None]
    numbers = [limit for limit in given if type(limit) is int]
    if given:
        body[name] = min(numbers) if numbers else given[0]


def framed(kind: str, data: bytes) -> bytes:
    """One server-sent event."""
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


class Streamless:
    """For endpoints that answer in one piece."""

    def stream_decoder(self, target: Target) -> StreamDecoder:
        raise UpstreamProtocolError(f"{target.provider or 'The provider'} does not stream this endpoint.")
