"""Both transports against a provider on a real socket: what arrives, when it arrives, and what every way of failing is called."""

import asyncio
import gzip
import ssl
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
import trustme
from tests.support.gateway import free_port
from tests.support.upstream import Received, Reply, Upstream, as_json

from tollkeeper.errors import UpstreamError, UpstreamProtocolError, UpstreamTimeout, UpstreamUnreachable
from tollkeeper.providers.http1 import Http1Transport
from tollkeeper.providers.httpx_transport import HttpxTransport
from tollkeeper.providers.transport import NeverSent, OutboundRequest, Timeouts, Transport, read_all


@pytest.fixture(params=[Http1Transport, HttpxTransport])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    made: Transport = request.param()
    yield made
    await made.aclose()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(lambda _: as_json({"ok": True})) as server:
        yield server


async def test_a_request_arrives_as_sent_and_its_answer_comes_back(transport: Transport, upstream: Upstream) -> None:
    request = OutboundRequest(f"{upstream.url}/v1/x?q=1", b'{"a":1}', {"Content-Type": "application/json", "Authorization": "Bearer k"})
    response = await transport.send(request)
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    assert await read_all(response) == b'{"ok": true}'
    (seen,) = upstream.received
    assert (seen.method, seen.path, seen.body) == ("POST", "/v1/x?q=1", b'{"a":1}')
    assert seen.headers["authorization"] == "Bearer k"
    assert seen.headers["host"] == f"127.0.0.1:{upstream.port}"


async def test_the_connection_is_used_again(transport: Transport) -> None:
    ports = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports.append(writer.get_extra_info("peername")[1])
        for _ in range(3):
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"content-length: 2" in head.lower()
            await reader.readexactly(2)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    for _ in range(3):
        assert await read_all(await transport.send(OutboundRequest(url, b"{}"))) == b"hi"
    assert len(ports) == 1
    server.close()


async def test_an_unread_body_never_answers_the_next_request(transport: Transport, upstream: Upstream) -> None:
    upstream.handler = lambda request: Reply(200, {}, [b"first", 0.05, b"rest of the first"] if request.path == "/1" else [b"second"])
    first = await transport.send(OutboundRequest(f"{upstream.url}/1", b""))
    assert await anext(aiter(first.chunks())) == b"first"
    await first.aclose()
    assert await read_all(await transport.send(OutboundRequest(f"{upstream.url}/2", b""))) == b"second"


async def test_pieces_arrive_as_they_are_produced(transport: Transport, upstream: Upstream) -> None:
    let_go = threading.Event()
    upstream.handler = lambda _: Reply(200, {"content-type": "text/event-stream"}, [b"one", let_go, b"two"])
    response = await transport.send(OutboundRequest(upstream.url, b""))
    pieces = response.chunks()
    assert await anext(pieces) == b"one"
    let_go.set()
    assert await anext(pieces) == b"two"
    await response.aclose()


async def test_a_large_body_passes_a_slow_reader(transport: Transport, upstream: Upstream) -> None:
    piece = bytes(range(256)) * 4096
    upstream.handler = lambda _: Reply(200, {}, [piece] * 12)
    response = await transport.send(OutboundRequest(upstream.url, b""))
    received = bytearray()
    async for part in response.chunks():
        received += part
        await asyncio.sleep(0)
    await response.aclose()
    assert bytes(received) == piece * 12


async def test_gzip_is_undone_even_though_it_was_not_asked_for(transport: Transport, upstream: Upstream) -> None:
    upstream.handler = lambda _: Reply(200, {"content-encoding": "gzip"}, [gzip.compress(b"squeezed")])
    assert await read_all(await transport.send(OutboundRequest(upstream.url, b""))) == b"squeezed"


async def test_nobody_listening_is_unreachable_and_certainly_not_sent(transport: Transport) -> None:
    with pytest.raises(NeverSent):
        await transport.send(OutboundRequest(f"http://127.0.0.1:{free_port()}/", b""))


@pytest.mark.parametrize("url", ["http://", "ftp://127.0.0.1/x", "nonsense", "http://127.0.0.1:99999/"])
async def test_a_url_that_is_none_is_never_sent(transport: Transport, url: str) -> None:
    with pytest.raises(NeverSent):
        await transport.send(OutboundRequest(url, b""))


async def test_silence_before_the_head_is_a_timeout(transport: Transport, upstream: Upstream) -> None:
    upstream.handler = lambda _: Reply(hang=True)
    with pytest.raises(UpstreamTimeout):
        await transport.send(OutboundRequest(upstream.url, b"", timeouts=Timeouts(first_byte=0.05)))


async def test_silence_between_pieces_is_a_timeout(transport: Transport, upstream: Upstream) -> None:
    never = threading.Event()
    upstream.handler = lambda _: Reply(200, {}, [b"one", never])
    response = await transport.send(OutboundRequest(upstream.url, b"", timeouts=Timeouts(read=0.05)))
    with pytest.raises(UpstreamTimeout):
        await read_all(response)
    never.set()


async def test_a_cut_body_is_not_an_end(transport: Transport, upstream: Upstream) -> None:
    upstream.handler = lambda _: Reply(200, {}, [b"half"], cut=True)
    response = await transport.send(OutboundRequest(upstream.url, b""))
    with pytest.raises(UpstreamUnreachable):
        await read_all(response)


async def test_a_connection_closed_before_the_head_is_unreachable(transport: Transport) -> None:
    async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(slam, "127.0.0.1", 0)
    with pytest.raises(UpstreamUnreachable) as caught:
        await transport.send(OutboundRequest(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", b""))
    assert not isinstance(caught.value, NeverSent)
    server.close()


async def test_what_is_not_http_is_a_typed_error(transport: Transport) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 smtp.example.com ready\r\n" * 10)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    with pytest.raises((UpstreamProtocolError, UpstreamUnreachable)):
        await transport.send(OutboundRequest(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", b""))
    server.close()


async def test_a_body_without_length_ends_with_the_connection(transport: Transport) -> None:
    async def old_style(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall there is")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(old_style, "127.0.0.1", 0)
    response = await transport.send(OutboundRequest(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", b""))
    assert await read_all(response) == b"all there is"
    server.close()


async def test_early_hints_are_passed_over(transport: Transport) -> None:
    async def hinting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
        await writer.drain()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nx-real: 1\r\n\r\nbody")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(hinting, "127.0.0.1", 0)
    response = await transport.send(OutboundRequest(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", b""))
    assert (response.status, response.headers.get("x-real"), response.headers.get("link")) == (200, "1", None)
    assert await read_all(response) == b"body"
    server.close()


async def test_leaving_early_closes_the_connection_to_the_provider(transport: Transport, upstream: Upstream) -> None:
    upstream.handler = lambda _: Reply(200, {}, [b"one", 0.02] * 200)
    response = await transport.send(OutboundRequest(upstream.url, b""))
    await anext(aiter(response.chunks()))
    await response.aclose()
    assert await asyncio.to_thread(upstream.gone.wait, 10)


async def test_an_answer_above_the_limit_is_refused(transport: Transport, upstream: Upstream) -> None:
    upstream.handler = lambda _: Reply(200, {}, [b"x" * 1000] * 10)
    response = await transport.send(OutboundRequest(upstream.url, b""))
    with pytest.raises(UpstreamProtocolError, match="larger than 5000 bytes"):
        await read_all(response, 5000)


async def test_many_at_once_each_get_their_own_answer(transport: Transport, upstream: Upstream) -> None:
    def echo(request: Received) -> Reply:
        return Reply(200, {}, [request.body])

    upstream.handler = echo

    async def one(number: int) -> bool:
        body = str(number).encode() * 100
        return await read_all(await transport.send(OutboundRequest(upstream.url, body))) == body

    assert all(await asyncio.gather(*(one(number) for number in range(60))))


async def test_a_certificate_nobody_vouches_for_is_refused() -> None:
    authority = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_side)

    async def secure(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(secure, "127.0.0.1", 0, ssl=server_side)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}/"
    stranger = Http1Transport()
    with pytest.raises(NeverSent, match="TLS"):
        await stranger.send(OutboundRequest(url, b""))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    known = Http1Transport(tls=trusting)
    assert await read_all(await known.send(OutboundRequest(url, b""))) == b"ok"
    await known.aclose()
    server.close()


async def test_a_header_value_with_a_line_break_is_never_sent(upstream: Upstream) -> None:
    transport = Http1Transport()
    with pytest.raises(UpstreamError):
        await transport.send(OutboundRequest(upstream.url, b"", {"x-evil": "a\r\nx-injected: b"}))
    assert upstream.received == []
