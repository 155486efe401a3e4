"""Deepgram and ElevenLabs by the official openai client through the real program: sound to text, text to sound, in their words."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import openai
import pytest
from openai.types.audio import Transcription, TranscriptionVerbose
from tests.support.gateway import MASTER_KEY, GatewayProcess, config_of
from tests.support.upstream import Received, Reply, Upstream, as_json

from tollkeeper.dialects.multipart import File
from tollkeeper.edge.multipart import fields_of

WAV = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00" + bytes(4_000)
SOUND = b"ID3" + bytes(range(256)) * 40
DEEPGRAM = {
    "metadata": {"duration": 2.5, "channels": 1},
    "results": {
        "channels": [
            {
                "detected_language": "en",
                "alternatives": [
                    {
                        "transcript": "Hello there. General.",
                        "words": [
                            {"word": "hello", "punctuated_word": "Hello", "start": 0.1, "end": 0.5, "confidence": 0.9},
                            {"word": "there", "punctuated_word": "there.", "start": 0.5, "end": 1.0},
                            {"word": "general", "punctuated_word": "General.", "start": 1.5, "end": 2.25},
                        ],
                    }
                ],
            }
        ]
    },
}
ELEVEN = {
    "language_code": "eng",
    "text": "Hello there.",
    "words": [
        {"text": "Hello", "start": 0.1, "end": 0.5, "type": "word"},
        {"text": " ", "start": 0.5, "end": 0.6, "type": "spacing"},
        {"text": "there.", "start": 0.6, "end": 1.5, "type": "word"},
    ],
}


def provider(request: Received) -> Reply:
    path = urlsplit(request.path).path
    if path.endswith("/listen"):
        return as_json(DEEPGRAM)
    if path.endswith("/speech-to-text"):
        return as_json(ELEVEN)
    return Reply(200, {"content-type": "audio/mpeg"}, [SOUND[:100], SOUND[100:]])


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(provider) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    def row(name: str, model: str, **info: Any) -> dict[str, Any]:
        return {
            "model_name": name,
            "litellm_params": {"model": model, "api_base": f"{upstream.url}/v1", "api_key": "key-1"},
            "model_info": info,
        }

    config = config_of(
        row("nova", "deepgram/nova-3", input_cost_per_second=0.0001),
        row("aura", "deepgram/aura-2-thalia-en", input_cost_per_character=0.00003),
        row("scribe", "elevenlabs/scribe_v1", input_cost_per_second=0.0001),
        row("eleven", "elevenlabs/eleven_multilingual_v2", input_cost_per_character=0.0001),
        router_settings={"num_retries": 0},
    )
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config).start()
    yield process
    process.stop()


@pytest.fixture
def client(gateway: GatewayProcess, upstream: Upstream) -> Iterator[openai.OpenAI]:
    upstream.handler = provider
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=MASTER_KEY, max_retries=0) as made:
        yield made


def test_deepgram_hears(client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream) -> None:
    said = client.audio.transcriptions.create(model="nova", file=("a.wav", WAV, "audio/wav"), language="en", extra_body={"diarize": "true"})
    Transcription.model_validate(said.model_dump(), strict=True)
    assert said.text == "Hello there. General."
    request = upstream.received[-1]
    query = {name: value[0] for name, value in parse_qs(urlsplit(request.path).query).items()}
    assert query == {"model": "nova-3", "language": "en", "smart_format": "true", "diarize": "true"}
    assert (request.headers["authorization"], request.headers["content-type"], request.body) == ("Token key-1", "audio/wav", WAV)
    assert gateway.ledger()[-1]["cost"] == 250_000


def test_elevenlabs_hears(client: openai.OpenAI, upstream: Upstream) -> None:
    said = client.audio.transcriptions.create(
        model="scribe", file=("a.wav", WAV, "audio/wav"), response_format="verbose_json", language="en"
    )
    assert isinstance(said, TranscriptionVerbose)
    assert (said.text, said.language, said.duration) == ("Hello there.", "eng", 1.5)
    assert [word.word for word in said.words or ()] == ["Hello", "there."]
    request = upstream.received[-1]
    assert (urlsplit(request.path).path, request.headers["xi-api-key"]) == ("/v1/speech-to-text", "key-1")
    form = dict(fields_of(request.body, request.headers["content-type"]))
    assert (form["model_id"], form["language_code"]) == ("scribe_v1", "en")
    assert isinstance(form["file"], File)
    assert form["file"].data == WAV


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("text", "Hello there. General.\n"),
        ("srt", "1\n00:00:00,100 --> 00:00:01,000\nHello there.\n\n2\n00:00:01,500 --> 00:00:02,250\nGeneral.\n"),
        ("vtt", "WEBVTT\n\n00:00:00.100 --> 00:00:01.000\nHello there.\n\n00:00:01.500 --> 00:00:02.250\nGeneral.\n"),
    ],
)
def test_a_transcript_in_every_form(client: openai.OpenAI, form: Any, text: str) -> None:
    assert client.audio.transcriptions.create(model="nova", file=("a.wav", WAV), response_format=form) == text


def test_deepgram_speaks(client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream) -> None:
    sound = client.audio.speech.create(model="aura", voice="alloy", input="Hello", response_format="wav")
    assert sound.content == SOUND
    request = upstream.received[-1]
    query = {name: value[0] for name, value in parse_qs(urlsplit(request.path).query).items()}
    assert query == {"model": "aura-2-thalia-en", "encoding": "linear16", "container": "wav"}
    assert json.loads(request.body) == {"text": "Hello"}
    assert gateway.ledger()[-1]["cost"] == 5 * 30_000


def test_elevenlabs_speaks(client: openai.OpenAI, upstream: Upstream) -> None:
    sound = client.audio.speech.create(model="eleven", voice="onyx", input="Hello", speed=1.1)
    assert sound.content == SOUND
    request = upstream.received[-1]
    assert request.path == "/v1/text-to-speech/pNInz6obpgDQGcFmaJgB/stream?output_format=mp3_44100_128"
    assert json.loads(request.body) == {"text": "Hello", "model_id": "eleven_multilingual_v2", "voice_settings": {"speed": 1.1}}


@pytest.mark.parametrize(
    ("model", "fields", "param"),
    [
        ("nova", {"prompt": "Names: Anakin"}, "prompt"),
        ("aura", {"instructions": "Whisper"}, "instructions"),
        ("aura", {"speed": 2}, "speed"),
        ("eleven", {"response_format": "flac"}, "response_format"),
    ],
)
def test_what_they_cannot_do_is_refused_by_name(client: openai.OpenAI, model: str, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        if model == "nova":
            client.audio.transcriptions.create(model=model, file=("a.wav", WAV), **fields)
        else:
            client.audio.speech.create(**{"model": model, "voice": "alloy", "input": "Hi", **fields})
    assert caught.value.param == param


def test_their_errors_are_typed(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_json({"err_code": "INVALID_QUERY_PARAMETER", "err_msg": "no such model"}, 400)
    with pytest.raises(openai.BadRequestError, match="no such model"):
        client.audio.transcriptions.create(model="nova", file=("a.wav", WAV))
    upstream.handler = lambda _: as_json({"detail": {"status": "quota_exceeded", "message": "This request exceeds your quota"}}, 401)
    with pytest.raises(openai.AuthenticationError, match="exceeds your quota"):
        client.audio.speech.create(model="eleven", voice="alloy", input="Hi")


def test_a_chat_is_refused_with_what_can_be_asked(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="/v1/audio/transcriptions"):
        client.chat.completions.create(model="nova", messages=[{"role": "user", "content": "Hi"}])


def test_what_would_be_sent_is_shown_without_the_key(gateway: GatewayProcess, upstream: Upstream) -> None:
    def shown(kind: str, body: dict[str, Any]) -> httpx.Response:
        answer = {"call_type": kind, "request_body": body}
        headers = {"authorization": f"Bearer {MASTER_KEY}"}
        return httpx.post(f"{gateway.url}/utils/transform_request", json=answer, headers=headers, trust_env=False)

    before = len(upstream.received)
    found = shown("speech", {"model": "aura", "input": "Hello", "voice": "alloy"}).json()
    assert found["raw_request_api_base"] == f"{upstream.url}/v1/speak?model=aura-2-thalia-en&encoding=mp3"
    assert found["raw_request_body"] == {"text": "Hello"}
    assert found["raw_request_headers"]["authorization"] == "Token ****"
    assert shown("juggling", {"model": "aura"}).json()["error"]["param"] == "call_type"
    assert shown("completion", {"model": "nobody"}).status_code == 400
    assert len(upstream.received) == before
