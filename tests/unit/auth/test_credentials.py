import base64

import pytest

from tollkeeper.auth.credentials import KeyFinder

KEY = "sk-0123456789abcdef"


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", f"Bearer {KEY}"),
        ("authorization", f"bearer  {KEY} "),
        ("Authorization", f"BEARER {KEY}"),
        ("Authorization", KEY),
        ("Authorization", f"Basic {KEY}"),
        ("Authorization", basic(f"anybody:{KEY}")),
        ("Authorization", basic(f"{KEY}:")),
        (
            "Authorization",
            f"AWS4-HMAC-SHA256 Credential=Bearer {KEY}/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=1",
        ),
        ("API-Key", KEY),
        ("api-key", KEY),
        ("x-api-key", KEY),
        ("x-goog-api-key", KEY),
        ("Ocp-Apim-Subscription-Key", KEY),
        ("x-litellm-api-key", KEY),
        ("x-litellm-api-key", f"Bearer {KEY}"),
    ],
)
def test_every_header_that_litellm_reads(name, value):
    assert KeyFinder().find({name: value}) == KEY
    assert KeyFinder().find([(b"host", b"gateway"), (name.lower().encode(), value.encode())]) == KEY


def test_the_google_query_parameter():
    assert KeyFinder().find({}, {"key": KEY}) == KEY
    assert KeyFinder().find({"x-api-key": "sk-header"}, {"key": KEY}) == "sk-header"


def test_litellms_own_header_wins_over_an_upstream_token():
    headers = {"authorization": "Bearer upstream-token", "x-litellm-api-key": KEY, "x-api-key": "other"}
    assert KeyFinder().find(headers) == KEY


def test_the_configured_header_wins_over_all_in_any_case():
    headers = {"x-company-key": f"Bearer {KEY}", "x-litellm-api-key": "other", "authorization": "Bearer other"}
    assert KeyFinder("X-Company-Key").find(headers) == KEY
    assert KeyFinder().find({"x-company-key": KEY}) is None


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": ""}, {"authorization": "Bearer "}, {"authorization": "Bearer   ", "x-api-key": " "}]
)
def test_nothing_is_no_key(headers):
    assert KeyFinder().find(headers) is None
    assert KeyFinder().find(headers, {"key": ""}) is None


def test_an_empty_header_leaves_room_for_the_next():
    assert KeyFinder().find({"authorization": "Bearer ", "x-api-key": KEY}) == KEY


@pytest.mark.parametrize("value", [b"Bearer \xff\xfe", b"Basic !!!", b"Basic /w==", b"AWS4-HMAC-SHA256 Credential=AKIA/x", b"\x00"])
def test_bytes_that_are_no_key_are_no_accident(value):
    assert isinstance(KeyFinder().find([(b"authorization", value)]), str)
