"""What the contract suites of all wire formats do with a dialect: aim it, feed it, and look at what comes out."""

import json
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.support.recordings import Recording

from tollkeeper.dialects.base import ChatDialect, Chunk, StreamDecoder, StreamFailed, Target
from tollkeeper.errors import UpstreamProtocolError

ALIAS = "the-alias"
Json = dict[str, Any]


def target(recording: Recording, **more: Any) -> Target:
    given = {"base_url": "https://up.example", "provider": recording.provider, "created": 1_700_000_000, **more}
    return Target(model="upstream-model", alias=ALIAS, **given)


def decode_stream(pieces: list[bytes], decoder: StreamDecoder) -> tuple[list[Chunk], Exception | None]:
    """(chunks, the error it ended in)"""
    chunks: list[Chunk] = []
    try:
        for piece in pieces:
            chunks += decoder.feed(piece)
        chunks += decoder.close()
    except StreamFailed as failed:
        return chunks + failed.chunks, failed.error
    except UpstreamProtocolError as error:
        return chunks, error
    return chunks, None


def streamed(dialect: ChatDialect, recording: Recording) -> list[Json]:
    """The chunks of a stream that ends well, each valid for the `openai` package, as a client parses them."""
    chunks, error = decode_stream([recording.body], dialect.stream_decoder(target(recording)))
    assert error is None
    data = [json.loads(chunk.payload()) for chunk in chunks]
    for chunk in data:
        ChatCompletionChunk.model_validate(chunk, strict=True)
        assert chunk["model"] == ALIAS
        assert chunk["id"] == data[0]["id"]
    assert [chunk.usage for chunk in chunks if chunk.usage] == [chunk["usage"] for chunk in data if "usage" in chunk]
    assert all(chunk["choices"] for chunk in data if "usage" not in chunk)
    return data


def buffered(dialect: ChatDialect, recording: Recording) -> Json:
    """A whole answer, valid for the `openai` package."""
    answer = dialect.decode(recording.body, target(recording))
    ChatCompletion.model_validate(answer, strict=True)
    assert answer["model"] == ALIAS
    assert answer["id"]
    return answer


def shown(chunks: list[Chunk]) -> list[tuple[Any, bool, Any, int]]:
    return [(json.loads(chunk.payload()), chunk.has_content, chunk.usage, chunk.text_bytes) for chunk in chunks]


def fields_in(chunks: list[Json], name: str) -> list[Any]:
    """A list that deltas carry in pieces, put together; `a.b` looks inside provider_specific_fields."""
    whole: list[Any] = []
    for chunk in chunks:
        for choice in chunk["choices"]:
            node: Any = choice["delta"]
            for step in name.split("."):
                node = (node or {}).get(step)
            whole += node or []
    return whole


def said_bytes(chunks: list[Json]) -> int:
    """UTF-8 bytes of everything the chunks say."""
    size = 0
    for chunk in chunks:
        for choice in chunk["choices"]:
            delta = choice["delta"]
            words = [delta.get(key) or "" for key in ("content", "reasoning_content", "refusal")]
            for call in delta.get("tool_calls") or []:
                made = {**(call.get("function") or {}), **(call.get("custom") or {})}
                words += [made[name] for name in ("name", "arguments", "input") if isinstance(made.get(name), str)]
            size += sum(len(word.encode()) for word in words)
    return size
