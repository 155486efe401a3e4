"""Imagen and Gemini's image models by the official openai client against the real program, and variations."""

import base64
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.support.gateway import GatewayProcess, config_of, model
from tests.support.upstream import Received, Reply, Upstream, as_json

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
PAINTED = base64.b64encode(b"painted").decode()
USAGE = {
    "promptTokenCount": 7,
    "candidatesTokenCount": 1290,
    "totalTokenCount": 1297,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 7}],
    "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
}


def google(request: Received) -> Reply:
    if request.path.endswith(":predict"):
        count = request.json["parameters"]["sampleCount"]
        return as_json({"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": PAINTED}] * count})
    if request.path.endswith(":generateContent"):
        draft = {"inlineData": {"mimeType": "image/png", "data": "ZHJhZnQ="}, "thought": True}
        parts = [draft, {"text": "Here it is."}, {"inlineData": {"mimeType": "image/png", "data": PAINTED}}]
        return as_json({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}], "usageMetadata": USAGE})
    return as_json({"created": 1, "data": [{"b64_json": PAINTED}]})


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(google) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    base = f"{upstream.url}/v1beta"
    vertex = f"{upstream.url}/v1/projects/p/locations/us-central1/publishers/google"
    tokens = {"input_cost_per_token": 3e-7, "output_cost_per_image_token": 3e-5, "output_cost_per_token": 2.5e-6}
    config = config_of(
        model("imagen", "gemini/imagen-4.0-generate-001", base, output_cost_per_image=0.04),
        model("editor", "gemini/imagen-3.0-capability-001", vertex, output_cost_per_image=0.04),
        model("banana", "gemini/gemini-2.5-flash-image", base, **tokens),
        model("talker", "gemini/gemini-2.5-flash", base, **tokens),
        model("dalle", "openai/dall-e-2", f"{upstream.url}/v1", output_cost_per_image=0.02),
        model("painter", "openai/gpt-image-1", f"{upstream.url}/v1", **tokens),
        router_settings={"num_retries": 0},
    )
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), config).start()
    yield process
    process.stop()


@pytest.fixture
def client(gateway: GatewayProcess, upstream: Upstream) -> Iterator[openai.OpenAI]:
    upstream.handler = google
    upstream.received.clear()
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.new_key(max_budget=20), max_retries=0) as made:
        yield made


def cost(gateway: GatewayProcess) -> int:
    found: int = gateway.ledger()[-1]["cost"]
    return found


def test_imagen_is_asked_in_its_words_and_paid_by_the_image(client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream) -> None:
    answer = client.images.generate(model="imagen", prompt="A fox", n=6, size="1792x1024", output_format="jpeg", output_compression=80)
    assert answer.data is not None
    assert [image.b64_json for image in answer.data] == [PAINTED] * 6
    assert answer.created > 0
    first, second = sorted((each.json for each in upstream.received), key=lambda body: -body["parameters"]["sampleCount"])
    options = {"mimeType": "image/jpeg", "compressionQuality": 80}
    assert first == {"instances": [{"prompt": "A fox"}], "parameters": {"sampleCount": 4, "aspectRatio": "16:9", "outputOptions": options}}
    assert second["parameters"]["sampleCount"] == 2
    assert upstream.received[0].path == "/v1beta/models/imagen-4.0-generate-001:predict"
    assert cost(gateway) == 6 * 40_000_000


@pytest.mark.parametrize(
    ("name", "size", "shape"),
    [
        ("imagen", "1024x1024", {"aspectRatio": "1:1"}),
        ("imagen", "1024x1536", {"aspectRatio": "3:4"}),
        ("imagen", "2048x2048", {"aspectRatio": "1:1", "sampleImageSize": "2K"}),
        ("imagen", "auto", {}),
        ("banana", "1536x1024", {"aspectRatio": "3:2"}),
        ("banana", "4096x4096", {"aspectRatio": "1:1"}),
    ],
)
def test_a_size_is_the_nearest_shape(client: openai.OpenAI, upstream: Upstream, name: str, size: Any, shape: dict[str, str]) -> None:
    client.images.generate(model=name, prompt="A fox", size=size)
    sent = upstream.received[-1].json
    found = sent["parameters"] if name == "imagen" else sent["generationConfig"].get("imageConfig", {})
    assert {field: value for field, value in found.items() if field != "sampleCount"} == shape


def test_what_only_google_knows_passes(client: openai.OpenAI, upstream: Upstream) -> None:
    extra = {"negativePrompt": "dogs", "aspectRatio": "9:16"}
    client.images.generate(model="imagen", prompt="A fox", extra_body=extra)
    assert upstream.received[-1].json["parameters"] == {"sampleCount": 1, **extra}
    client.images.generate(model="banana", prompt="A fox", extra_body={"aspectRatio": "9:16", "safetySettings": []})
    sent = upstream.received[-1].json
    assert (sent["generationConfig"]["imageConfig"], sent["safetySettings"]) == ({"aspectRatio": "9:16"}, [])


def test_gemini_paints_one_at_a_time_and_is_paid_by_the_token(client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream) -> None:
    answer = client.images.generate(model="banana", prompt="A fox", n=2)
    assert answer.data is not None
    assert [image.b64_json for image in answer.data] == [PAINTED] * 2, "drafts of its thoughts are none"
    sent = {"contents": [{"role": "user", "parts": [{"text": "A fox"}]}], "generationConfig": {"responseModalities": ["IMAGE"]}}
    assert [each.json for each in upstream.received] == [sent] * 2
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (14, 2580)
    assert cost(gateway) == 14 * 300 + 2580 * 30_000


def test_as_a_url_where_one_is_asked_for(client: openai.OpenAI) -> None:
    answer = client.images.generate(model="banana", prompt="A fox", response_format="url")
    assert answer.data is not None
    assert answer.data[0].url == f"data:image/png;base64,{PAINTED}"


def test_a_picture_is_edited(client: openai.OpenAI, upstream: Upstream) -> None:
    pictures = [("a.png", PNG, "image/png"), ("b.webp", PNG, "image/webp")]
    client.images.edit(model="banana", image=pictures, prompt="Add a hat")
    parts = upstream.received[-1].json["contents"][0]["parts"]
    assert [part["inlineData"]["mimeType"] for part in parts[:2]] == ["image/png", "image/webp"]
    assert base64.b64decode(parts[0]["inlineData"]["data"]) == PNG
    assert parts[2] == {"text": "Add a hat"}
    client.images.edit(model="editor", image=pictures[0], mask=("m.png", PNG, "image/png"), prompt="Add a hat", n=2)
    sent = upstream.received[-1].json
    assert [row["referenceType"] for row in sent["instances"][0]["referenceImages"]] == ["REFERENCE_TYPE_RAW", "REFERENCE_TYPE_MASK"]
    assert sent["parameters"] == {"sampleCount": 2, "editMode": "EDIT_MODE_INPAINT_INSERTION"}
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(model="banana", image=pictures[0], mask=("m.png", PNG, "image/png"), prompt="Add a hat")
    assert caught.value.param == "mask"


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("imagen", {"predictions": [{"raiFilteredReason": "Unsafe prompt 42."}]}, "Unsafe prompt 42"),
        ("imagen", {}, "filters"),
        ("banana", {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, "PROHIBITED_CONTENT"),
        ("banana", {"candidates": [{"finishReason": "IMAGE_SAFETY", "content": {}}], "usageMetadata": USAGE}, "IMAGE_SAFETY"),
        ("banana", {"candidates": [{"finishReason": "STOP", "content": {"parts": [{"text": "I cannot."}]}}]}, "I cannot."),
    ],
)
def test_what_google_does_not_paint_says_why(client: openai.OpenAI, upstream: Upstream, name: str, body: Any, said: str) -> None:
    upstream.handler = lambda _: as_json(body)
    with pytest.raises(openai.BadRequestError, match=said) as caught:
        client.images.generate(model=name, prompt="A fox")
    assert caught.value.code == "content_policy_violation"


def test_what_it_does_not_take_is_named(client: openai.OpenAI) -> None:
    for fields, param in (({"quality": "high"}, "quality"), ({"size": "large"}, "size"), ({"stream": True}, "stream")):
        with pytest.raises(openai.BadRequestError) as caught:
            client.images.generate(model="imagen", prompt="A fox", **fields)
        assert caught.value.param == param


def test_it_still_talks(client: openai.OpenAI) -> None:
    said: Any = client.chat.completions.create(model="banana", messages=[{"role": "user", "content": "A fox"}])
    assert said.choices[0].message.content == "Here it is."


DEPRECATED = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
"""OpenAI's client has put variations away; the endpoint is still there."""


@DEPRECATED
def test_variations(client: openai.OpenAI, gateway: GatewayProcess, upstream: Upstream) -> None:
    answer = client.images.create_variation(model="dalle", image=("a.png", PNG, "image/png"), n=1, size="512x512")
    assert answer.data is not None
    assert answer.data[0].b64_json == PAINTED
    assert upstream.received[-1].path == "/v1/images/variations"
    assert b"dall-e-2" in upstream.received[-1].body
    entry = gateway.ledger()[-1]
    assert (entry["call_type"], entry["cost"]) == ("aimage_variation", 20_000_000)


@DEPRECATED
@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("painter", "/v1/images/generations, /v1/images/edits"),
        ("imagen", "/v1/images/generations, /v1/images/edits"),
        ("talker", "/v1/chat/completions"),
    ],
)
def test_variations_of_another_model_name_what_it_serves(client: openai.OpenAI, name: str, instead: str) -> None:
    with pytest.raises(openai.BadRequestError, match=instead):
        client.images.create_variation(model=name, image=("a.png", PNG, "image/png"))
    with pytest.raises(openai.BadRequestError, match="/v1/chat/completions"):
        client.images.generate(model="talker", prompt="A fox")
