"""Images and sound by the official openai client against the real program: what arrives, comes back, costs, and is refused."""

import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from tests.clients.provider import MP3, config, provider
from tests.support.gateway import GatewayProcess, model
from tests.support.upstream import Received, Reply, Upstream, as_json, as_sse

from tollkeeper.dialects.multipart import File
from tollkeeper.edge.multipart import fields_of

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00" + bytes(16_000)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(provider) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    made = config(upstream.url)
    openai_url = f"{upstream.url}/v1"
    made["model_list"] += [
        model("dalle", "openai/dall-e-3", openai_url, output_cost_per_image=0.04),
        model("listed", "openai/whisper-1", openai_url),
        model("nobody-knows", "openai/whisper-9000", openai_url),
        model("wrongly-priced", "openai/whisper-9000", openai_url, input_cost_per_character=0.1, output_cost_per_token=0.1),
        model("safe", "openai/tts-1", "http://127.0.0.1:9/v1", input_cost_per_character=1.5e-5),
    ]
    made["router_settings"] = {"fallbacks": [{"safe": ["speaker"]}], "num_retries": 0}
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), made).start()
    yield process
    process.stop()


@pytest.fixture
def client(gateway: GatewayProcess, upstream: Upstream) -> Iterator[openai.OpenAI]:
    upstream.handler = provider
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(), max_retries=0) as made:
        yield made


def form_of(request: Received) -> dict[str, Any]:
    return dict(fields_of(request.body, request.headers["content-type"]))


def cost(gateway: GatewayProcess) -> int:
    found: int = gateway.ledger()[-1]["cost"]
    return found


def test_an_image_is_painted_and_paid_by_its_tokens(client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream) -> None:
    answer = client.images.generate(model="painter", prompt="A red square", size="1024x1024", quality="low")
    assert answer.data is not None
    assert answer.data[0].b64_json == "aGVsbG8="
    assert upstream.received[-1].json == {"model": "gpt-image-1", "prompt": "A red square", "size": "1024x1024", "quality": "low"}
    entry = gateway.ledger()[-1]
    assert (entry["call_type"], entry["model"], entry["output_tokens"]) == ("aimage_generation", "painter", 272)
    assert entry["cost"] == 14 * 5_000 + 272 * 40_000


def test_an_image_with_a_price_of_its_own(client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_json({"created": 1, "data": [{"url": "https://x.test/1.png"}, {"url": "https://x.test/2.png"}]})
    client.images.generate(model="dalle", prompt="Two red squares", n=2)
    assert cost(gateway) == 80_000_000


def test_a_streamed_image(client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream) -> None:
    usage = {"input_tokens": 14, "input_tokens_details": {"image_tokens": 0, "text_tokens": 14}, "output_tokens": 272, "total_tokens": 286}
    common = {"background": "auto", "created_at": 1, "output_format": "png", "quality": "low", "size": "1024x1024", "b64_json": "aGVsbG8="}
    partial = {"type": "image_generation.partial_image", "partial_image_index": 0, **common}
    whole = {"type": "image_generation.completed", "usage": usage, **common}
    upstream.handler = lambda _: as_sse(partial, whole, done=False)
    events = list(client.images.generate(model="painter", prompt="A red square", stream=True, partial_images=1))
    assert [event.type for event in events] == ["image_generation.partial_image", "image_generation.completed"]
    assert cost(gateway) == 14 * 5_000 + 272 * 40_000


def test_an_edit_arrives_as_the_form_it_was(client: openai.OpenAI, upstream: Upstream) -> None:
    answer = client.images.edit(
        model="painter", prompt="Make it blue", image=[("a.png", PNG), ("b.png", PNG)], n=1, extra_body={"tags": "x"}
    )
    assert answer.data
    fields = fields_of(upstream.received[-1].body, upstream.received[-1].headers["content-type"])
    assert [(name, value) for name, value in fields if isinstance(value, str)] == [
        ("model", "gpt-image-1"), ("prompt", "Make it blue"), ("n", "1"),
    ]  # fmt: skip
    assert [value.data for _, value in fields if isinstance(value, File)] == [PNG, PNG]


def test_a_transcription_is_paid_by_the_second(client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream) -> None:
    granular: list[Any] = ["word", "segment"]
    answer = client.audio.transcriptions.create(
        model="whisper", file=("a.wav", io.BytesIO(WAV)), language="en", response_format="verbose_json", timestamp_granularities=granular
    )
    assert answer.text == "Hello there!"
    fields = fields_of(upstream.received[-1].body, upstream.received[-1].headers["content-type"])
    assert [value for name, value in fields if name.startswith("timestamp_granularities")] == ["word", "segment"]
    assert form_of(upstream.received[-1])["model"] == "whisper-1"
    assert form_of(upstream.received[-1])["file"] == File("a.wav", "audio/x-wav", WAV) or form_of(upstream.received[-1])["file"].data == WAV
    entry = gateway.ledger()[-1]
    assert (entry["call_type"], entry["cost"]) == ("atranscription", 300_000)


def test_a_listed_price_by_the_hour(client: openai.OpenAI, gateway: GatewayProcess) -> None:
    client.audio.transcriptions.create(model="listed", file=("a.wav", WAV))
    assert cost(gateway) == 3 * 100_000, "$0.36 an hour"


def test_bare_text_and_subtitles(client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream) -> None:
    assert client.audio.transcriptions.create(model="whisper", file=("a.wav", WAV), response_format="text") == "Hello there!\n"
    assert form_of(upstream.received[-1])["response_format"] == "json", "which says how long it was"
    assert cost(gateway) == 300_000
    subtitles = b"1\n00:00:00,000 --> 00:00:04,500\nHello there!\n"
    upstream.handler = lambda _: Reply(200, {"content-type": "text/plain"}, [subtitles])
    assert client.audio.transcriptions.create(model="whisper", file=("a.wav", WAV), response_format="srt") == subtitles.decode()
    assert cost(gateway) == 450_000


def test_tokens_of_a_transcription(client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream) -> None:
    usage = {
        "type": "tokens",
        "input_tokens": 30,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 30},
        "output_tokens": 5,
        "total_tokens": 35,
    }
    upstream.handler = lambda _: as_json({"text": "Hi", "usage": usage})
    client.audio.transcriptions.create(model="whisper", file=("a.wav", WAV))
    assert gateway.ledger()[-1]["input_tokens"] == 30


def test_a_streamed_transcription(client: openai.OpenAI, upstream: Upstream) -> None:
    usage = {"type": "tokens", "input_tokens": 30, "output_tokens": 5, "total_tokens": 35}
    done = {"type": "transcript.text.done", "text": "Hello", "usage": usage}
    upstream.handler = lambda _: as_sse(
        {"type": "transcript.text.delta", "delta": "Hel"}, {"type": "transcript.text.delta", "delta": "lo"}, done
    )
    stream = client.audio.transcriptions.create(model="whisper", file=("a.wav", WAV), stream=True)
    events = list(stream)
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == "Hello"
    assert form_of(upstream.received[-1])["stream"] == "true"


def test_a_translation(gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = provider
    headers = {"authorization": f"Bearer {gateway.new_key()}"}
    address = f"{gateway.url}/v1/audio/translations"
    answer = httpx.post(address, data={"model": "whisper"}, files={"file": WAV}, headers=headers, trust_env=False)
    assert answer.json()["text"] == "Hello there!"
    assert upstream.received[-1].path == "/v1/audio/translations"


@pytest.mark.parametrize("name", ["speaker", "safe"])
def test_speech_is_bytes_paid_by_the_character(client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream, name: str) -> None:
    answer = client.audio.speech.create(model=name, voice="alloy", input="Hällo")
    assert answer.content == MP3
    assert answer.response.headers["content-type"] == "audio/mpeg"
    assert upstream.received[-1].json == {"model": "tts-1", "voice": "alloy", "input": "Hällo"}
    entry = gateway.ledger()[-1]
    assert (entry["call_type"], entry["cost"], entry["status"]) == ("aspeech", 5 * 15_000, "success")


def test_speech_is_streamed_as_it_comes(gateway: GatewayProcess, client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.handler = lambda _: Reply(200, {"content-type": "audio/pcm"}, [b"\x00\x01" * 50, 0.3, b"\x02\x03" * 50])
    with client.audio.speech.with_streaming_response.create(model="speaker", voice="alloy", input="Hi", response_format="pcm") as answer:
        pieces = list(answer.iter_bytes())
        assert answer.headers["content-type"] == "audio/pcm"
    assert b"".join(pieces) == b"\x00\x01" * 50 + b"\x02\x03" * 50
    assert len(pieces) > 1


def test_mistrals_sound_is_unpacked(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_json({"audio_data": "SUQzBAAA"})
    assert client.audio.speech.create(model="speaker", voice="alloy", input="Hi").content == b"ID3\x04\x00\x00"


def test_speech_as_events(client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream) -> None:
    usage = {"input_tokens": 3, "output_tokens": 20, "total_tokens": 23}
    upstream.handler = lambda _: as_sse(
        {"type": "speech.audio.delta", "audio": "SUQz"}, {"type": "speech.audio.done", "usage": usage}, done=False
    )
    answer = client.audio.speech.create(model="speaker", voice="alloy", input="Hi", stream_format="sse")
    assert answer.response.headers["content-type"].startswith("text/event-stream")
    assert b'"speech.audio.done"' in answer.content
    assert gateway.ledger()[-1]["output_tokens"] == 20


def test_a_providers_refusal(client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_json({"error": {"message": "no such voice", "type": "invalid_request_error", "param": "voice"}}, 400)
    with pytest.raises(openai.BadRequestError, match="no such voice"):
        client.audio.speech.create(model="speaker", voice="nobody", input="Hi")
    assert gateway.ledger()[-1]["cost"] == 0


CALLS: dict[str, Any] = {
    "painter": lambda client: client.images.generate(model="painter", prompt="x", n=10),
    "dalle": lambda client: client.images.generate(model="dalle", prompt="x", n=10),
    "whisper": lambda client: client.audio.transcriptions.create(model="whisper", file=("a.wav", WAV * 20)),
    "speaker": lambda client: client.audio.speech.create(model="speaker", voice="alloy", input="x" * 4_000),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_hard_budget_refuses_what_could_cost_more(gateway: GatewayProcess, upstream: Upstream, name: str) -> None:
    upstream.handler = provider
    before = len(upstream.received)
    poor = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(max_budget=0.001), max_retries=0)
    with poor as client, pytest.raises(openai.APIStatusError) as caught:
        CALLS[name](client)
    assert caught.value.status_code == 422
    assert len(upstream.received) == before
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(max_budget=50), max_retries=0) as client:
        assert CALLS[name](client)


@pytest.mark.parametrize("name", ["nobody-knows", "wrongly-priced"])
def test_a_hard_budget_refuses_an_unknown_price(gateway: GatewayProcess, upstream: Upstream, name: str) -> None:
    capped = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(max_budget=50), max_retries=0)
    with capped as client, pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(model=name, file=("a.wav", WAV))
    assert caught.value.code == "price_unknown"


@pytest.mark.parametrize(
    ("path", "form", "files", "field"),
    [
        ("/audio/transcriptions", {"model": "whisper"}, {"other": b"x"}, "file"),
        ("/audio/transcriptions", {}, {"file": WAV}, "model"),
        ("/images/edits", {"model": "painter", "prompt": "x"}, {"mask": PNG}, "image"),
        ("/images/edits", {"model": "painter"}, {"image": PNG}, "prompt"),
        ("/images/edits", {"model": "painter", "prompt": "x", "n": "99"}, {"image": PNG}, "n"),
    ],
)
def test_a_bad_form_names_the_field(gateway: GatewayProcess, path: str, form: Any, files: Any, field: str) -> None:
    headers = {"authorization": f"Bearer {gateway.new_key()}"}
    answer = httpx.post(f"{gateway.url}/v1{path}", data=form, files=files, headers=headers, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/images/generations", {"model": "painter"}, "prompt"),
        ("/images/generations", {"model": "painter", "prompt": "x", "n": 0}, "n"),
        ("/audio/speech", {"model": "speaker", "voice": "alloy"}, "input"),
        ("/audio/speech", {"model": "speaker", "input": 5}, "input"),
        ("/audio/transcriptions", {"model": "whisper"}, "request_body"),
    ],
)
def test_a_bad_body_names_the_field(gateway: GatewayProcess, path: str, body: Any, field: str) -> None:
    headers = {"authorization": f"Bearer {gateway.new_key()}"}
    answer = httpx.post(f"{gateway.url}/v1{path}", json=body, headers=headers, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)


def test_a_cut_form_and_a_huge_one(gateway: GatewayProcess) -> None:
    headers = {"authorization": f"Bearer {gateway.new_key()}", "content-type": "multipart/form-data; boundary=b"}
    names = (b'name="model"\r\n\r\nwhisper', b'name="file"; filename="a"\r\n\r\nxx')
    cut = b"\r\n".join(b"--b\r\nContent-Disposition: form-data; " + name for name in names)
    assert (
        "ends before its last boundary"
        in httpx.post(f"{gateway.url}/v1/audio/transcriptions", content=cut, headers=headers, trust_env=False).text
    )
    assert (
        httpx.post(f"{gateway.url}/v1/audio/transcriptions", content=bytes(5_000_000), headers=headers, trust_env=False).status_code == 413
    )


def test_a_model_of_another_kind_names_where_it_can_be_called(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"/v1/chat/completions"):
        client.images.generate(model="gpt", prompt="x")
    with pytest.raises(openai.BadRequestError, match=r"/v1/audio/speech"):
        client.chat.completions.create(model="speaker", messages=[{"role": "user", "content": "x"}])


def test_what_nobody_says_is_charged_by_size(client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream) -> None:
    upstream.handler = lambda _: as_json({"text": "Hi"})
    client.audio.transcriptions.create(model="whisper", file=("a.wav", WAV))
    entry = gateway.ledger()[-1]
    assert entry["usage_at_least"]
    assert 0 < entry["cost"] < 1_000_000
    assert json.dumps(entry)
