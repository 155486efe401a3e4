"""Which path is which endpoint."""

from collections.abc import Iterable

from starlette.types import ASGIApp

from tollkeeper.edge.anthropic import MESSAGES_API, CountTokens
from tollkeeper.edge.completions import COMPLETIONS_API
from tollkeeper.edge.elsewhere import Realtime, telemetry
from tollkeeper.edge.explain import Explain
from tollkeeper.edge.gemini import BATCH_EMBED_API, EMBED_API, GENERATE_API, CountGenerate, StreamGenerate
from tollkeeper.edge.media import IMAGE_EDITS_API, IMAGE_VARIATIONS_API, IMAGES_API, SPEECH_API, TRANSCRIPTIONS_API, TRANSLATIONS_API
from tollkeeper.edge.models import ModelsEdge
from tollkeeper.edge.openai import CHAT_API
from tollkeeper.edge.plain import EMBEDDINGS_API, MODERATIONS_API, RERANK_API
from tollkeeper.edge.responses import COMPACT_API
from tollkeeper.edge.responses_api import CountInput, CreateResponse, KeptResponses
from tollkeeper.edge.responses_background import Background
from tollkeeper.edge.serving import Desk
from tollkeeper.edge.transform import Transform
from tollkeeper.edge.utils import Utils
from tollkeeper.store.archive import Archive

Row = tuple[str, str, ASGIApp]
_V1 = ("/v1", "")
_GOOGLE = ("/v1beta", *_V1)
_RESPONSES = (*_V1, "/openai/v1", "/openai")
"""Azure's clients name the model of a response in its body, though they have a path of their own."""
_NAMED_IN_PATH = ("/engines/{model:path}", "/v1/engines/{model:path}", "/openai/deployments/{model:path}")
"""Azure's clients and the oldest of OpenAI's name the model in the path.
https://learn.microsoft.com/azure/ai-foundry/openai/reference"""


def with_and_without_v1(rows: Iterable[Row]) -> list[Row]:
    """As LiteLLM serves them. Paths are given without it."""
    return [(method, prefix + path, app) for method, path, app in rows for prefix in _V1]


def llm_routes(desk: Desk, archive: Archive | None = None, background: Background | None = None) -> list[Row]:
    """(method, path, app)"""
    models, utils = ModelsEdge(desk), Utils(desk)
    messages, rerank = desk.endpoint(MESSAGES_API), desk.endpoint(RERANK_API)
    apis = (
        ("/chat/completions", CHAT_API),
        ("/completions", COMPLETIONS_API),
        ("/embeddings", EMBEDDINGS_API),
        ("/images/generations", IMAGES_API),
        ("/images/edits", IMAGE_EDITS_API),
        ("/images/variations", IMAGE_VARIATIONS_API),
        ("/audio/transcriptions", TRANSCRIPTIONS_API),
        ("/audio/translations", TRANSLATIONS_API),
        ("/audio/speech", SPEECH_API),
    )
    everywhere = [(path, desk.endpoint(api)) for path, api in apis]
    return [
        *(("POST", prefix + path, app) for path, app in everywhere for prefix in (*_V1, *_NAMED_IN_PATH)),
        *_response_routes(desk, archive, background),
        *(("POST", prefix + "/moderations", desk.endpoint(MODERATIONS_API)) for prefix in _V1),
        *(("POST", prefix + "/rerank", rerank) for prefix in (*_V1, "/v2")),
        ("POST", "/v1/messages", messages),
        ("POST", "/v1/messages/count_tokens", CountTokens(desk)),
        ("POST", "/utils/token_counter", utils.token_counter),
        ("GET", "/utils/supported_openai_params", utils.supported_params),
        ("POST", "/utils/transform_request", Transform(desk)),
        ("POST", "/cost/estimate", utils.cost_estimate),
        ("POST", "/routing/explain", Explain(desk)),
        ("GET", "/utils/model_info", utils.model_info),
        ("POST", "/api/event_logging/batch", telemetry),
        *(("*", prefix + path, Realtime(desk.clock)) for prefix in (*_V1, "/openai/v1") for path in ("/realtime", "/realtime/{rest:path}")),
        *_gemini_routes(desk),
        *(("GET", prefix + "/models", models.models) for prefix in _GOOGLE),
        *(("GET", prefix + "/models/{model:path}", models.model) for prefix in _GOOGLE),
    ]


def _response_routes(desk: Desk, archive: Archive | None, background: Background | None) -> list[Row]:
    kept = KeptResponses(desk, archive, background)
    rows: list[Row] = [
        ("POST", "", CreateResponse(desk, archive, background)),
        ("POST", "/input_tokens", CountInput(desk)),
        ("POST", "/compact", desk.endpoint(COMPACT_API)),
        ("GET", "/{response_id}", kept.get),
        ("DELETE", "/{response_id}", kept.delete),
        ("POST", "/{response_id}/cancel", kept.cancel),
        ("GET", "/{response_id}/input_items", kept.input_items),
    ]
    return [(method, f"{prefix}/responses{path}", app) for prefix in _RESPONSES for method, path, app in rows]


def _gemini_routes(desk: Desk) -> list[Row]:
    """Before those of OpenAI's models, whose names may have colons and slashes too."""
    methods: dict[str, ASGIApp] = {
        "generateContent": desk.endpoint(GENERATE_API),
        "streamGenerateContent": StreamGenerate(desk),
        "countTokens": CountGenerate(desk),
        "embedContent": desk.endpoint(EMBED_API),
        "batchEmbedContents": desk.endpoint(BATCH_EMBED_API),
    }
    return [("POST", f"{prefix}/models/{{model:path}}:{name}", app) for prefix in _GOOGLE for name, app in methods.items()]
