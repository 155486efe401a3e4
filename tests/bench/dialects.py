"""CPU of each dialect by itself: microseconds per streamed event and per encoded request. `python -m tests.bench.dialects`.

Streams are the longest recorded ones (../shared/recordings), an event at a time, as providers send them; nothing is measured without them.
"""

import time

from tests.contract.test_recordings_mutated import Case, cases

from tollkeeper.dialects import registry
from tollkeeper.dialects.eventstream import EventStream, encode_message

ROUNDS = 40
TOOL = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}},
}
REQUEST = {
    "model": "alias",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello. " * 50}],
    "max_tokens": 100,
    "tools": [TOOL],
    "stream": True,
}


def pieces_of(case: Case) -> list[bytes]:
    """One event in each."""
    if case.kind == "eventstream":
        messages = EventStream().feed(case.body)
        return [encode_message({name: str(value) for name, value in each.headers.items()}, each.payload) for each in messages]
    mark = b"\n" if case.kind == "ndjson" else b"\r\n\r\n" if b"\r\n\r\n" in case.body else b"\n\n"
    return [piece + mark for piece in case.body.split(mark) if piece]


def main() -> None:
    longest: dict[str, Case] = {}
    for case in cases(streamed=True):
        if case.body.lstrip()[:1] != b"[" and (case.dialect not in longest or len(pieces_of(case)) > len(pieces_of(longest[case.dialect]))):
            longest[case.dialect] = case
    print(f"\n{'dialect':20}{'µs per event':>14}{'events':>8}{'µs per request':>16}")
    for name, case in sorted(longest.items()):
        pieces, dialect = pieces_of(case), registry.get(name)
        begun = time.process_time()
        for _ in range(ROUNDS):
            decoder = dialect.stream_decoder(case.target())
            for piece in pieces:
                for chunk in decoder.feed(piece):
                    chunk.payload()
            decoder.close()
        per_event = (time.process_time() - begun) / ROUNDS / len(pieces)
        begun = time.process_time()
        for _ in range(ROUNDS * 10):
            dialect.encode(REQUEST, case.target())
        per_request = (time.process_time() - begun) / ROUNDS / 10
        print(f"{name:20}{per_event * 1e6:>14.1f}{len(pieces):>8}{per_request * 1e6:>16.1f}")


if __name__ == "__main__":
    main()
