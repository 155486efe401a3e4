import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollkeeper.awslambda.events import DELIMITER, PRELUDE_LIMIT, prelude, to_request, to_response
from tollkeeper.errors import BadRequest


def event(**fields: Any) -> dict[str, Any]:
    return {"httpMethod": "GET", "path": "/v1/models", **fields}


def scope_of(**fields: Any) -> dict[str, Any]:
    return to_request(event(**fields))[0]


def test_the_smallest_event_is_a_request():
    scope, body = to_request(event())
    assert body == b""
    assert scope["type"] == "http"
    assert (scope["method"], scope["path"], scope["raw_path"], scope["root_path"]) == ("GET", "/v1/models", b"/v1/models", "")
    assert (scope["query_string"], scope["headers"], scope["client"], scope["scheme"]) == (b"", [], None, "https")


def test_null_maps_are_empty_ones():
    names = ("headers", "multiValueHeaders", "queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "requestContext")
    nulls = dict.fromkeys((*names, "body", "resource", "isBase64Encoded", "stageVariables"))
    assert to_request(event(**nulls)) == to_request(event())


@pytest.mark.parametrize("bad", [None, [], "x", 1, {}, {"httpMethod": "GET"}, {"path": "/"}, event(httpMethod=None), event(path=None)])
def test_what_is_no_http_event_is_the_callers_mistake(bad):
    with pytest.raises(BadRequest):
        to_request(bad)


@pytest.mark.parametrize("body", ["not base64!", "YQ", "YQ==\n", "ä", {"a": 1}])
def test_a_body_that_is_not_what_the_event_says_is_the_callers_mistake(body):
    with pytest.raises(BadRequest):
        to_request(event(body=body, isBase64Encoded=True))


def test_headers_keep_their_duplicates_and_the_multi_value_map_wins():
    headers = scope_of(headers={"X-A": "2", "X-B": "3"}, multiValueHeaders={"x-a": ["1", "2"]})["headers"]
    assert headers == [(b"x-a", b"1"), (b"x-a", b"2"), (b"x-b", b"3")]


def test_either_header_map_will_do():
    assert scope_of(headers={"X-A": "1"})["headers"] == scope_of(multiValueHeaders={"X-A": ["1"]})["headers"] == [(b"x-a", b"1")]


def test_cookies_are_one_header():
    scope = scope_of(multiValueHeaders={"Cookie": ["a=1", "b=2; c=3"]})
    assert scope["headers"] == [(b"cookie", b"a=1; b=2; c=3")]


def test_the_length_is_the_decoded_bodys_and_hop_by_hop_headers_stay_behind():
    sent = {"Content-Length": "999", "Transfer-Encoding": "chunked", "Connection": "keep-alive"}
    scope, body = to_request(event(headers=sent, body=base64.b64encode(b"\xff\x00").decode(), isBase64Encoded=True))
    assert (scope["headers"], body) == ([(b"content-length", b"2")], b"\xff\x00")


def test_a_text_body_is_utf8_and_half_a_surrogate_pair_does_not_break_it():
    assert to_request(event(body="grüße"))[1] == "grüße".encode()
    assert to_request(event(body='{"text": "\ud83d"}'))[1] == b'{"text": "?"}'


@pytest.mark.parametrize(
    ("fields", "query"),
    [
        ({"queryStringParameters": {"page": "2"}}, b"page=2"),
        (
            {"queryStringParameters": {"a": "2"}, "multiValueQueryStringParameters": {"a": ["1", "2"], "b": ["x y&z"]}},
            b"a=1&a=2&b=x%20y%26z",
        ),
        ({"queryStringParameters": {"flag": ""}}, b"flag="),
        ({"queryStringParameters": {"flag": None}}, b"flag="),
    ],
)
def test_the_query_is_encoded_again(fields, query):
    assert scope_of(**fields)["query_string"] == query


@pytest.mark.parametrize(
    ("fields", "root", "path"),
    [
        # The default endpoint: the stage is in front, but only in requestContext.path.
        ({"requestContext": {"path": "/prod/v1/models"}, "resource": "/v1/models"}, "/prod", "/prod/v1/models"),
        ({"requestContext": {"path": "/v1/v1/models"}}, "/v1", "/v1/v1/models"),
        ({"requestContext": {"path": "/prod/"}, "path": "/", "resource": "/"}, "/prod", "/prod/"),
        # A custom domain without a base path has nothing in front.
        ({"requestContext": {"path": "/v1/models"}, "resource": "/{proxy+}", "pathParameters": {"proxy": "v1/models"}}, "", "/v1/models"),
        # With one, it is in both paths, and only the resource tells.
        (
            {
                "path": "/llm/v1/models",
                "requestContext": {"path": "/llm/v1/models"},
                "resource": "/{proxy+}",
                "pathParameters": {"proxy": "v1/models"},
            },
            "/llm",
            "/llm/v1/models",
        ),
        (
            {
                "path": "/a/b/v1/models/x",
                "requestContext": {"path": "/a/b/v1/models/x"},
                "resource": "/v1/models/{id}",
                "pathParameters": {"id": "x"},
            },
            "/a/b",
            "/a/b/v1/models/x",
        ),
        # Parameters that are missing, or lie, change nothing.
        ({"requestContext": {"path": "/prod/v1/models"}, "resource": "/{proxy+}", "pathParameters": None}, "/prod", "/prod/v1/models"),
        ({"requestContext": {"path": "/other"}, "resource": "/{proxy+}", "pathParameters": {"proxy": "x"}}, "", "/v1/models"),
    ],
)
def test_what_is_in_front_of_the_route_is_the_root_path(fields, root, path):
    scope = scope_of(**fields)
    assert (scope["root_path"], scope["path"]) == (root, path)


@pytest.mark.parametrize("proxy", ["v1/models/openai%2Fgpt-5%20x", "v1/models/openai/gpt-5 x"])
def test_a_percent_encoded_path_is_kept_raw_and_decoded_once(proxy):
    encoded = "/v1/models/openai%2Fgpt-5%20x"
    scope = scope_of(path=encoded, requestContext={"path": "/prod" + encoded}, resource="/{proxy+}", pathParameters={"proxy": proxy})
    assert scope["raw_path"] == b"/prod" + encoded.encode()
    assert (scope["root_path"], scope["path"]) == ("/prod", "/prod/v1/models/openai/gpt-5 x")


def test_a_decoded_path_is_encoded_for_raw_path():
    scope = scope_of(path="/v1/models/größe?#")
    assert (scope["raw_path"], scope["path"]) == (b"/v1/models/gr%C3%B6%C3%9Fe%3F%23", "/v1/models/größe?#")


def test_client_server_scheme_and_version():
    scope = scope_of(
        headers={"Host": "llm.example.com", "X-Forwarded-Port": "8443", "X-Forwarded-Proto": "https"},
        requestContext={"identity": {"sourceIp": "203.0.113.7"}, "protocol": "HTTP/1.1"},
    )
    assert (scope["client"], scope["server"], scope["scheme"]) == (("203.0.113.7", 0), ("llm.example.com", 8443), "https")
    assert scope["http_version"] == "1.1"
    assert scope_of(requestContext={"protocol": "HTTP/2.0"})["http_version"] == "2"
    assert scope_of(headers={"Host": "localhost:9000"})["server"] == ("localhost", 9000)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
field_names = st.sampled_from(
    ["headers", "multiValueHeaders", "queryStringParameters", "multiValueQueryStringParameters", "requestContext", "pathParameters", "body"]
)


@given(st.dictionaries(field_names, json_values), st.text(), st.text())
def test_no_event_breaks_the_translation(fields, path, resource):
    try:
        scope, body = to_request(event(path=path, resource=resource, **fields))
    except BadRequest:
        return
    assert isinstance(body, bytes)
    assert scope["path"].startswith(scope["root_path"])
    assert all(isinstance(part, bytes) for header in scope["headers"] for part in header)


def split(data: bytes) -> dict[str, Any]:
    assert data.endswith(DELIMITER)
    return json.loads(data.removesuffix(DELIMITER))


def test_a_prelude_keeps_duplicates_and_cookies():
    headers = [(b"Content-Type", b"text/plain"), (b"vary", b"a"), (b"vary", b"b"), (b"set-cookie", b"x=1"), (b"connection", b"close")]
    data, dropped = prelude(201, headers)
    assert split(data) == {
        "statusCode": 201,
        "headers": {"content-type": "text/plain"},
        "multiValueHeaders": {"vary": ["a", "b"]},
        "cookies": ["x=1"],
    }
    assert dropped == []


def test_a_prelude_never_exceeds_the_limit_and_gives_up_essential_headers_last():
    headers = [(b"content-type", b"text/plain"), (b"x-small", b"s"), (b"x-large", b"l" * 9000), (b"x-larger", b"l" * 9001)]
    data, dropped = prelude(200, headers)
    assert (split(data)["headers"].keys(), dropped) == ({"content-type", "x-small", "x-large"}, ["x-larger"])

    data, dropped = prelude(302, [(b"location", b"/" * 17000), (b"content-type", b"text/plain"), (b"x-small", b"s")])
    assert (split(data)["headers"], dropped) == ({"content-type": "text/plain"}, ["x-small", "location"])


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=30), st.binary(max_size=9000)), max_size=6))
def test_every_prelude_is_json_within_the_limit(headers):
    data, dropped = prelude(200, headers)
    assert len(data) <= PRELUDE_LIMIT
    assert split(data)["statusCode"] == 200
    assert not {name.lower() for name in dropped} & split(data)["headers"].keys()


def test_buffered_answers_are_text_where_they_can_be():
    answer = to_response(200, [(b"content-type", b"application/json"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")], '"ü"'.encode())
    assert answer == {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "multiValueHeaders": {"set-cookie": ["a=1", "b=2"]},
        "body": '"ü"',
        "isBase64Encoded": False,
    }


@pytest.mark.parametrize(("headers", "body"), [([], b"\xff\xfe"), ([(b"content-encoding", b"gzip")], b"looks like text")])
def test_buffered_answers_are_base64_where_they_must_be(headers, body):
    answer = to_response(200, headers, body)
    assert (answer["isBase64Encoded"], base64.b64decode(answer["body"])) == (True, body)
