"""Vertex AI: which credentials become which token, and what is then sent where."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from tests.support.stores import StillClock
from tests.support.wiring import Said, ScriptedTransport, wire

from tollkeeper.clock import iso
from tollkeeper.errors import UpstreamAuthFailed, UpstreamFailed
from tollkeeper.providers.google import GoogleTokens, rs256
from tollkeeper.providers.tokens import Issuer
from tollkeeper.providers.transport import NeverSent, OutboundRequest
from tollkeeper.store.aws import Credentials, StaticCredentials

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
ACCOUNT = {
    "type": "service_account",
    "project_id": "p",
    "private_key_id": "kid-1",
    "private_key": PEM,
    "client_email": "llm@p.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}
GEMINI = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 2, "candidatesTokenCount": 1, "totalTokenCount": 3},
    "responseId": "r1",
}
CLAUDE = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 2, "output_tokens": 1},
}


def row(model: str = "vertex_ai/gemini-2.5-pro", **params: Any) -> dict[str, Any]:
    given = {"model": model, "vertex_project": "my-project", "vertex_location": "europe-west4", **params}
    return {"model_name": "fast", "litellm_params": given}


class Google:
    """The token endpoint and the models behind it; only the newest token is taken."""

    def __init__(self) -> None:
        self.asked: list[OutboundRequest] = []
        self.revoked = False

    def __call__(self, request: OutboundRequest) -> Said:
        if "aiplatform" not in request.url:
            self.asked.append(request)
            self.revoked = False
            return Said(body={"access_token": f"token-{len(self.asked)}", "expires_in": 3599, "token_type": "Bearer"})
        if self.revoked or (request.headers or {})["authorization"] != f"Bearer token-{len(self.asked)}":
            return Said(401, {"error": {"code": 401, "message": "Invalid credentials", "status": "UNAUTHENTICATED"}})
        return Said(body=CLAUDE if "anthropic" in request.url else GEMINI)


def form_of(request: OutboundRequest) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


def decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.mark.parametrize("how", ["json", "mapping", "variable", "file", "path in GOOGLE_APPLICATION_CREDENTIALS"])
async def test_a_service_account_signs_for_a_token_that_many_calls_use(how: str, tmp_path: Path) -> None:
    file = tmp_path / "account.json"
    file.write_text(json.dumps(ACCOUNT))
    given, env = {
        "json": ({"vertex_credentials": json.dumps(ACCOUNT)}, {}),
        "mapping": ({"vertex_credentials": ACCOUNT}, {}),
        "variable": ({"vertex_credentials": "os.environ/SA"}, {"SA": json.dumps(ACCOUNT)}),
        "file": ({"vertex_credentials": str(file)}, {}),
        "path in GOOGLE_APPLICATION_CREDENTIALS": ({}, {"GOOGLE_APPLICATION_CREDENTIALS": str(file)}),
    }[how]
    google = Google()
    wired = await wire(google, row(**given), env=env)
    for _ in range(3):
        assert (await wired.chat()).json()["choices"][0]["message"]["content"] == "Hello"
    (asked,) = google.asked
    assert asked.url == ACCOUNT["token_uri"]
    form = form_of(asked)
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    head, claims, signature = form["assertion"].split(".")
    assert decoded(head) == {"alg": "RS256", "typ": "JWT", "kid": "kid-1"}
    now = int(wired.clock.now())
    assert decoded(claims) == {
        "iss": ACCOUNT["client_email"],
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": ACCOUNT["token_uri"],
        "iat": now,
        "exp": now + 3600,
    }
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    KEY.public_key().verify(raw, f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
    sent = wired.transport.sent[-1]
    place = "projects/my-project/locations/europe-west4/publishers/google/models/gemini-2.5-pro:generateContent"
    assert sent.url == f"https://europe-west4-aiplatform.googleapis.com/v1/{place}"


async def test_a_token_is_replaced_before_it_ends_and_after_it_was_refused() -> None:
    google = Google()
    wired = await wire(google, row(vertex_credentials=json.dumps(ACCOUNT)), router_settings={"num_retries": 0})
    assert (await wired.chat()).status_code == 200
    wired.clock.advance(3599 - 299)
    assert (await wired.chat()).status_code == 200
    assert len(google.asked) == 2
    wired.clock.advance(60)
    google.revoked = True
    assert (await wired.chat()).status_code == 200
    assert len(google.asked) == 3
    google.revoked = True
    answer = await wired.chat()
    assert (answer.status_code, len(google.asked)) == (401, 3), "a token that is new is not replaced for one refusal"


async def test_claude_on_vertex_is_asked_in_its_own_words_and_priced() -> None:
    wired = await wire(Google(), row("vertex_ai/claude-sonnet-4-5@20250929", vertex_credentials=json.dumps(ACCOUNT)))
    assert (await wired.chat(max_tokens=5)).json()["choices"][0]["message"]["content"] == "Hello"
    sent = wired.transport.sent[-1]
    assert sent.url.endswith("/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict")
    body = json.loads(sent.body)
    assert (body["anthropic_version"], body["max_tokens"], "model" in body) == ("vertex-2023-10-16", 5, False)
    (entry,) = await wired.ledger()
    assert entry["cost"] > 0


async def test_an_express_mode_key_needs_no_token() -> None:
    google = Google()
    wired = await wire(lambda request: Said(body=GEMINI), row(api_key="os.environ/K"), env={"K": "express"})
    assert (await wired.chat()).status_code == 200
    assert (wired.transport.sent[0].headers or {})["x-goog-api-key"] == "express"
    assert google.asked == []


# The other kinds of credentials, at the seam below


Answers = Callable[[OutboundRequest], Said]


def tokens(answer: Answers, region: str = "eu-central-1") -> tuple[GoogleTokens, ScriptedTransport]:
    transport = ScriptedTransport(answer)
    source = StaticCredentials(Credentials("AKIDEXAMPLE", "secret", "session"))
    return GoogleTokens(Issuer(transport), StillClock(), lambda: source, region), transport


def given(_: OutboundRequest) -> Said:
    return Said(body={"access_token": "federated", "expires_in": 3600})


async def test_a_refresh_token_is_exchanged() -> None:
    google, transport = tokens(given)
    user = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    assert (await google.fetch(json.dumps(user))).value == "federated"
    assert transport.sent[0].url == "https://oauth2.googleapis.com/token"
    assert form_of(transport.sent[0]) == {"grant_type": "refresh_token", "client_id": "c", "client_secret": "s", "refresh_token": "r"}


FEDERATED = {
    "type": "external_account",
    "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/aws",
    "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
    "token_url": "https://sts.googleapis.com/v1/token",
    "credential_source": {
        "environment_id": "aws1",
        "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
    },
}


async def test_on_aws_the_functions_own_identity_is_enough() -> None:
    google, transport = tokens(given)
    assert (await google.fetch(json.dumps(FEDERATED))).value == "federated"
    form = form_of(transport.sent[0])
    assert transport.sent[0].url == FEDERATED["token_url"]
    assert (form["audience"], form["subject_token_type"]) == (FEDERATED["audience"], FEDERATED["subject_token_type"])
    subject = json.loads(unquote(form["subject_token"]))
    assert subject["url"] == "https://sts.eu-central-1.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
    headers = {pair["key"]: pair["value"] for pair in subject["headers"]}
    assert headers["x-goog-cloud-target-resource"] == FEDERATED["audience"]
    assert headers["x-amz-security-token"] == "session"
    assert headers["authorization"] == botocores(subject["url"], headers)


def botocores(url: str, headers: dict[str, str]) -> str:
    names = headers["authorization"].split("SignedHeaders=")[1].split(",")[0]
    base, _, query = url.partition("?")
    request = AWSRequest("POST", base + "/", data=b"", headers={name: headers[name] for name in names.split(";")})
    request.params = {name: values[0] for name, values in parse_qs(query).items()}
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(BotoCredentials("AKIDEXAMPLE", "secret", "session"), "sts", "eu-central-1")
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    scope = f"{headers['x-amz-date'][:8]}/eu-central-1/sts/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={names}, Signature={signature}"


async def test_a_federated_identity_may_act_as_a_service_account() -> None:
    until = iso(1_790_001_000.0)

    def answer(request: OutboundRequest) -> Said:
        if "iamcredentials" in request.url:
            assert (request.headers or {})["authorization"] == "Bearer federated"
            return Said(body={"accessToken": "impersonated", "expireTime": until})
        return given(request)

    google, _ = tokens(answer)
    url = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@p.iam.gserviceaccount.com:generateAccessToken"
    token = await google.fetch(json.dumps({**FEDERATED, "service_account_impersonation_url": url}))
    assert (token.value, token.expires) == ("impersonated", 1_790_001_000.0)


@pytest.mark.parametrize(
    ("form", "text"), [({}, "oidc-token\n"), ({"type": "json", "subject_token_field_name": "t"}, '{"t": "oidc-token"}')]
)
async def test_a_subject_token_may_lie_in_a_file(form: dict[str, str], text: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(text)
    google, transport = tokens(given)
    source = {"file": str(tmp_path / "token"), "format": form}
    await google.fetch(json.dumps({**FEDERATED, "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "credential_source": source}))
    assert form_of(transport.sent[0])["subject_token"] == "oidc-token"


async def test_without_credentials_the_metadata_server_is_asked() -> None:
    google, transport = tokens(given)
    assert (await google.fetch(None)).value == "federated"
    (asked,) = transport.sent
    assert (asked.method, (asked.headers or {})["metadata-flavor"]) == ("GET", "Google")
    assert asked.url.startswith("http://metadata.google.internal/")


def unreachable(_: OutboundRequest) -> Said:
    raise NeverSent("Connection error")


@pytest.mark.parametrize(
    ("credentials", "answer", "error", "said"),
    [
        (None, unreachable, UpstreamAuthFailed, "set vertex_credentials or GOOGLE_APPLICATION_CREDENTIALS"),
        ("/nowhere/at/all.json", given, UpstreamAuthFailed, "neither JSON nor the path"),
        ("{not json", given, UpstreamAuthFailed, "not a JSON object"),
        ('{"type": "morse"}', given, UpstreamAuthFailed, "'morse' are not supported"),
        ('{"type": "service_account", "client_email": "a"}', given, UpstreamAuthFailed, "no private_key"),
        (json.dumps({**ACCOUNT, "private_key": "no key"}), given, UpstreamAuthFailed, "not an RSA key"),
        (json.dumps({**ACCOUNT, "token_uri": "http://evil.example/t"}), given, UpstreamAuthFailed, "not an https URL"),
        (json.dumps(ACCOUNT), unreachable, NeverSent, "Google did not answer"),
        (
            json.dumps(ACCOUNT),
            lambda _: Said(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}),
            UpstreamAuthFailed,
            "invalid_grant: Invalid JWT Signature",
        ),
        (json.dumps(ACCOUNT), lambda _: Said(503, b"<html>"), UpstreamFailed, "HTTP 503"),
        (json.dumps(ACCOUNT), lambda _: Said(200, b"<html>"), UpstreamFailed, "no token"),
        (json.dumps(ACCOUNT), lambda _: Said(200, {"expires_in": 1}), UpstreamFailed, "without an access token"),
    ],
)
async def test_what_is_wrong_is_said_without_the_secret(
    credentials: str | None, answer: Answers, error: type[Exception], said: str
) -> None:
    google, _ = tokens(answer)
    with pytest.raises(error, match=said) as caught:
        await google.fetch(credentials)
    assert "PRIVATE KEY" not in str(caught.value)


# RFC 7515, appendix A.2 (https://datatracker.ietf.org/doc/html/rfc7515#appendix-A.2): the key, what is signed, and its signature

N = """ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b
32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJ
H7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"""
D = """Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCg
u-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl
_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ"""
SIGNED = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
SIGNATURE = """cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKB
YNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1p
hCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"""


def bytes_of(text: str) -> bytes:
    text = text.replace("\n", "")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(text: str) -> int:
    return int.from_bytes(bytes_of(text), "big")


def test_the_signature_is_that_of_the_published_example() -> None:
    n, e, d = number(N), 65537, number(D)
    p, q = rsa.rsa_recover_prime_factors(n, e, d)
    public = rsa.RSAPublicNumbers(e, n)
    parts = (d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public)
    key = rsa.RSAPrivateNumbers(p, q, *parts).private_key()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    assert rs256(SIGNED.encode(), pem.decode()) == bytes_of(SIGNATURE)
