"""Signature Version 4 against AWS's published examples and against botocore's signer."""

from typing import Any

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from tollkeeper.clock import from_iso
from tollkeeper.store import aws
from tollkeeper.store.aws import Credentials, endpoint_of, sign, signing_key

EXAMPLE = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
NOON = from_iso("2015-08-30T12:36:00Z")
FORM = "application/x-www-form-urlencoded"

# The Signature Version 4 test suite (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html).
SUITE = {
    "get-vanilla": ("GET", "/", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-vanilla-query-order-key-case": (
        "GET",
        "/?Param2=value2&Param1=value1",
        {},
        b"",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-utf8": ("GET", "/ሴ", {}, b"", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    "get-vanilla-utf8-query": ("GET", "/?ሴ=bar", {}, b"", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
    "post-vanilla": ("POST", "/", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "post-x-www-form-urlencoded": (
        "POST",
        "/",
        {"Content-Type": FORM},
        b"Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
}


@pytest.mark.parametrize("name", SUITE)
def test_aws_published_suite(name: str) -> None:
    method, path, headers, body, signature = SUITE[name]
    url = f"https://example.amazonaws.com{path}"
    signed = sign(method, url, headers, body, service="service", region="us-east-1", credentials=EXAMPLE, now=NOON)
    assert signed["authorization"].rpartition("=")[2] == signature
    assert signed["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, ")


def test_aws_documented_iam_example() -> None:
    headers = {"Content-Type": f"{FORM}; charset=utf-8"}
    url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08"
    signed = sign("GET", url, headers, b"", service="iam", region="us-east-1", credentials=EXAMPLE, now=NOON)
    assert signed["authorization"].endswith("5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7")


def test_aws_documented_key() -> None:
    key = signing_key(EXAMPLE.secret_key, "20150830", "us-east-1", "iam")
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


PATHS = [
    "/",
    "",
    "/model/anthropic.claude-3%3A0/invoke",
    "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123%3Ainference-profile%2Feu.x/converse-stream",
    "/with%20space/and+plus",
    "/a//b/./c/../d/",
    "/a/..",
    "/file.txt",
    "/%C5%BElu%C5%A5/~tilde_-.",
    "/chat:stream",
    "/stage/v1/chat/completions",
]
QUERIES = ["", "a=1", "b=2&a=1&a=0", "empty=&flag=", "q=a%20b%2Bc%2Fd", "k%C5%BE=%F0%9F%8E%88", "X=1&x=2", "a-b=2&a=1"]
BODIES = [b"", b'{"a": 1}', "žluť 🎈".encode(), bytes(range(256))]


def botocore_headers(auth: Any, method: str, url: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
    request = AWSRequest(method=method, url=url, data=body, headers=headers)
    auth.add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@pytest.mark.parametrize("token", ["", "session/token+=="])
@pytest.mark.parametrize("host", ["https://bedrock-runtime.eu-west-1.amazonaws.com", "http://127.0.0.1:8000", "https://h.example:443"])
def test_the_same_signature_as_botocore(host: str, token: str) -> None:
    keys = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", token)
    given = {"Content-Type": "application/json", "X-Amz-Target": "T.Op", "X-Spaces": "  a   b ", "User-Agent": "x", "Accept": "*/*"}
    auth = SigV4Auth(BotoCredentials(keys.access_key, keys.secret_key, token or None), "bedrock", "eu-west-1")
    for path in PATHS:
        for query in QUERIES:
            for body in BODIES:
                url = f"{host}{path}{'?' if query else ''}{query}"
                theirs = botocore_headers(auth, "POST", url, given, body)
                now = from_iso(theirs["x-amz-date"])
                ours = sign("POST", url, given, body, service="bedrock", region="eu-west-1", credentials=keys, now=now)
                assert ours["authorization"] == theirs["authorization"], url
                assert ours.get("x-amz-security-token") == theirs.get("x-amz-security-token")


@pytest.mark.parametrize("path", ["/", "/key%20with%20space/a//b/../c", "/day%3D2026-11-24/%C5%BE.json.gz"])
def test_s3_signs_the_path_as_it_is(path: str) -> None:
    url = f"https://bucket.s3.eu-west-1.amazonaws.com{path}"
    auth = S3SigV4Auth(BotoCredentials("AKIDEXAMPLE", "secret"), "s3", "eu-west-1")
    theirs = botocore_headers(auth, "PUT", url, {}, b"body")
    now = from_iso(theirs["x-amz-date"])
    ours = sign("PUT", url, {}, b"body", service="s3", region="eu-west-1", credentials=Credentials("AKIDEXAMPLE", "secret"), now=now)
    assert ours["authorization"] == theirs["authorization"]
    assert ours["x-amz-content-sha256"] == theirs["x-amz-content-sha256"]


def test_a_streamed_body_is_signed_without_its_hash() -> None:
    signed = sign("PUT", "https://x.example/", {}, None, service="s3", region="r", credentials=EXAMPLE, now=NOON)
    assert signed["x-amz-content-sha256"] == aws.UNSIGNED_PAYLOAD
    assert "x-amz-content-sha256" in signed["authorization"]


def test_an_old_signature_in_the_headers_is_replaced() -> None:
    given = {"Authorization": "Bearer caller", "Host": "example.amazonaws.com"}
    signed = sign("GET", "https://example.amazonaws.com/", given, b"", service="service", region="us-east-1", credentials=EXAMPLE, now=NOON)
    assert [name for name in signed if name.lower() == "authorization"] == ["authorization"]
    assert signed["authorization"].endswith(SUITE["get-vanilla"][4])


def test_credentials_do_not_show_their_secret() -> None:
    text = repr(Credentials("AKIDEXAMPLE", "very secret", "very token"))
    assert "very" not in text


def test_regional_endpoints() -> None:
    assert endpoint_of("dynamodb", "eu-central-1") == "https://dynamodb.eu-central-1.amazonaws.com"
    assert endpoint_of("dynamodb", "cn-north-1") == "https://dynamodb.cn-north-1.amazonaws.com.cn"


def test_a_query_is_signed_as_the_service_will_read_it() -> None:
    raw, encoded = (f"https://x.example/?{query}" for query in ("t=12:30/é&a", "t=12%3A30%2F%C3%A9&a="))
    one, two = (sign("GET", url, {}, b"", service="iam", region="r", credentials=EXAMPLE, now=NOON) for url in (raw, encoded))
    assert one == two
