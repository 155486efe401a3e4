"""The bench's provider: answers at once, from prepared bytes, in a process of its own so that its CPU is not counted."""

import asyncio
import json
import sys

from tests.support.upstream import completion, text_stream


def _http(body: bytes, kind: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def main(port: int, chunks: int) -> None:
    buffered = _http(json.dumps(completion("Hello there, this is a small answer.")).encode(), "application/json")
    events = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in text_stream(*[f"word{n} " for n in range(chunks)])]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    framed = [b"%x\r\n%s\r\n" % (len(event), event) for event in [*events, b"data: [DONE]\n\n"]]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                length = int(request.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                body = await reader.readexactly(length)
                if b'"stream": true' not in body and b'"stream":true' not in body:
                    writer.write(buffered)
                    continue
                writer.write(head)
                for piece in framed:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                writer.write(b"0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
