"""API Gateway's REST proxy event (payload 1.0) → ASGI, and an ASGI answer → what API Gateway takes. Pure functions.

Input: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
Streamed output: https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html

An event is forgiving where API Gateway is: any map may be null, headers come in a single and a multi-value map, either of
which may be missing (a test event from the console has one, SAM's the other).
"""

import binascii
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlencode

from tollkeeper.auth.iam import PRINCIPAL_HEADER
from tollkeeper.errors import BadRequest

Headers = list[tuple[bytes, bytes]]

PRELUDE_LIMIT = 16 * 1024
"""API Gateway looks for the metadata and its delimiter in the first 16 KB of the stream."""
DELIMITER = bytes(8)

# One hop's business: API Gateway frames the body for its own client.
_HOP_BY_HOP = frozenset((b"connection", b"keep-alive", b"transfer-encoding", b"upgrade"))
# Without these the answer means something else; the rest may go when the prelude does not fit.
_ESSENTIAL = frozenset(("content-type", "content-encoding", "location", "retry-after", "www-authenticate"))
# What is left as it is when a path is put back into its percent-encoded form.
_PATH_SAFE = "/%:@!$&'()*+,;=-._~"


def to_request(event: object) -> tuple[dict[str, Any], bytes]:
    """Event → (ASGI http scope, body). Raises BadRequest for what is not an HTTP event, and for a body that is not base64."""
    if not isinstance(event, Mapping) or not isinstance(event.get("httpMethod"), str) or not isinstance(event.get("path"), str):
        raise BadRequest("This function answers API Gateway proxy events (payload 1.0); the event has no httpMethod and path.")
    context = _map(event.get("requestContext"))
    body = _body(event)
    headers = _headers(event, body)
    values = dict(headers)
    if arn := principal_arn(context):
        headers.append((PRINCIPAL_HEADER, arn.encode("latin-1", "replace")))
    root, route = _paths(event, context)
    raw_path = quote(root + route, safe=_PATH_SAFE, errors="replace")
    scope = {
        "type": "http",
        # 2.3: a send after the client has gone is swallowed, as in uvicorn; from 2.4 on it would have to raise.
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": str(context.get("protocol") or "HTTP/1.1").rpartition("/")[2].removesuffix(".0"),
        "method": event["httpMethod"].upper(),
        "scheme": "http" if values.get(b"x-forwarded-proto") == b"http" else "https",
        "path": unquote(raw_path),
        "raw_path": raw_path.encode("ascii"),
        "root_path": unquote(root),
        "query_string": _query(event),
        "headers": headers,
        "client": _client(context),
        "server": _server(values, context),
    }
    return scope, body


def principal_arn(context: Mapping[str, Any]) -> str | None:
    """Who signed the request, where the route has an IAM authorizer."""
    arn = _map(context.get("identity")).get("userArn")
    return arn if isinstance(arn, str) and arn.startswith("arn:") else None


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _body(event: Mapping[str, Any]) -> bytes:
    text = event.get("body") or ""
    if not isinstance(text, str):
        raise BadRequest("The event's body is not a text.")
    if not event.get("isBase64Encoded"):
        # JSON may carry half of a surrogate pair, which UTF-8 cannot.
        return text.encode("utf-8", "replace")
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError:
        raise BadRequest("The event says its body is base64, and it is not.") from None


def _multi(event: Mapping[str, Any], single: str, multiple: str) -> Iterator[tuple[str, str]]:
    """Every (name, value), from the multi-value map where it has the name, else from the single one."""
    many = {name: values for name, values in _map(event.get(multiple)).items() if isinstance(values, list)}
    seen = {name.lower() for name in many}
    for name, values in many.items():
        yield from ((name, str(value)) for value in values if value is not None)
    for name, value in _map(event.get(single)).items():
        if name.lower() not in seen:
            yield name, "" if value is None else str(value)


def _headers(event: Mapping[str, Any], body: bytes) -> Headers:
    headers: Headers = []
    cookies: list[bytes] = []
    for name, value in _multi(event, "headers", "multiValueHeaders"):
        key = name.lower().encode("latin-1", "replace")
        if key == b"cookie":
            cookies.append(_header_bytes(value))
        elif key not in _HOP_BY_HOP and key not in (b"content-length", PRINCIPAL_HEADER):
            headers.append((key, _header_bytes(value)))
    if cookies:
        # HTTP/2 may split the cookie header, and applications look at one (RFC 9113, 8.2.3).
        headers.append((b"cookie", b"; ".join(cookies)))
    if body:
        # The client's own length is of the body before API Gateway made base64 or text of it.
        headers.append((b"content-length", str(len(body)).encode()))
    return headers


def _header_bytes(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace")


def _query(event: Mapping[str, Any]) -> bytes:
    """API Gateway decodes the query before it puts it into the event, so it is encoded again."""
    pairs = list(_multi(event, "queryStringParameters", "multiValueQueryStringParameters"))
    return urlencode(pairs, quote_via=quote, errors="replace").encode("ascii")


def _paths(event: Mapping[str, Any], context: Mapping[str, Any]) -> tuple[str, str]:
    """(what is in front of the route, the route), so that their sum is the path the client asked for.

    In front is the stage (`/prod`, only in requestContext.path) or a custom domain's base path (in both paths, although the
    route does not have it: https://github.com/localstack/localstack/pull/12296). The resource and its parameters tell the route.
    """
    path: str = event["path"] or "/"
    full = context.get("path")
    asked = full if isinstance(full, str) and full.endswith(path) else path
    route = _filled(event)
    if route is None or not unquote(asked).endswith(unquote(route)):
        route = path
    # Parameters may come decoded where paths do not, so what is in front is counted in segments, not in characters.
    depth = unquote(asked).removesuffix(unquote(route)).count("/")
    segments = asked.split("/")
    return "/".join(segments[: depth + 1]), "/" + "/".join(segments[depth + 1 :])


def _filled(event: Mapping[str, Any]) -> str | None:
    """`/v1/{proxy+}` with {"proxy": "models/a"} → `/v1/models/a`; None when the event's resource does not say."""
    resource = event.get("resource")
    if not isinstance(resource, str) or not resource.startswith("/"):
        return None
    parameters = _map(event.get("pathParameters"))
    filled = []
    for segment in resource.split("/"):
        value: object = segment
        if segment.startswith("{") and segment.endswith("}"):
            value = parameters.get(segment[1:-1].removesuffix("+"))
        if not isinstance(value, str):
            return None
        filled.append(value)
    return "/".join(filled)


def _client(context: Mapping[str, Any]) -> tuple[str, int] | None:
    address = _map(context.get("identity")).get("sourceIp")
    return (address, 0) if isinstance(address, str) and address else None


def _server(headers: Mapping[bytes, bytes], context: Mapping[str, Any]) -> tuple[str, int]:
    host = headers.get(b"host", b"").decode("latin-1") or str(context.get("domainName") or "localhost")
    name, _, port = host.partition(":")
    text = port or headers.get(b"x-forwarded-port", b"").decode("latin-1")
    return name, int(text) if text.isdecimal() else 443


def _response_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, list[str]]:
    """By lower-case name; a name that came twice keeps both values."""
    grouped: dict[str, list[str]] = {}
    for name, value in headers:
        if (key := name.lower()) not in _HOP_BY_HOP:
            grouped.setdefault(key.decode("latin-1"), []).append(value.decode("latin-1"))
    return grouped


def prelude(status: int, headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, list[str]]:
    """The metadata and delimiter a streamed answer begins with, and the names of headers left out because they did not fit."""
    grouped = _response_headers(headers)
    by_worth = sorted(grouped, key=lambda name: (name in _ESSENTIAL, -sum(map(len, grouped[name]))))
    dropped: list[str] = []
    while len(data := _metadata(status, grouped)) + len(DELIMITER) > PRELUDE_LIMIT:
        dropped.append(by_worth[len(dropped)])
        del grouped[dropped[-1]]
    return data + DELIMITER, dropped


def _metadata(status: int, grouped: Mapping[str, list[str]]) -> bytes:
    metadata = {
        "statusCode": status,
        "headers": {name: values[0] for name, values in grouped.items() if len(values) == 1 and name != "set-cookie"},
        "multiValueHeaders": {name: values for name, values in grouped.items() if len(values) > 1 and name != "set-cookie"},
        "cookies": grouped.get("set-cookie", []),
    }
    return json.dumps(metadata, separators=(",", ":")).encode("ascii")


def to_response(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> dict[str, Any]:
    """The proxy JSON of a buffered answer. A body that is not UTF-8, or is compressed, goes as base64."""
    grouped = _response_headers(headers)
    text = None if "content-encoding" in grouped else _text(body)
    return {
        "statusCode": status,
        "headers": {name: values[0] for name, values in grouped.items() if len(values) == 1},
        "multiValueHeaders": {name: values for name, values in grouped.items() if len(values) > 1},
        "body": binascii.b2a_base64(body, newline=False).decode("ascii") if text is None else text,
        "isBase64Encoded": text is None,
    }


def _text(body: bytes) -> str | None:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None
