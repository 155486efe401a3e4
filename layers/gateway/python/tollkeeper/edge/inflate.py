"""Request bodies that come compressed. https://www.rfc-editor.org/rfc/rfc9110#name-content-encoding"""

import zlib

from tollkeeper.errors import BadRequest, UnsupportedEncoding

_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""zlib's `wbits` by coding."""
_RAW = -15
"""Some clients call a bare deflate stream `deflate`."""


def inflated(body: bytes, codings: str, limit: int) -> bytes:
    """As it was before `codings` (a content-encoding) were applied, or its first `limit` + 1 bytes, whatever it would unpack to.

    Raises BadRequest, UnsupportedEncoding.
    """
    for coding in reversed([name.strip().lower() for name in codings.split(",")]):
        if coding not in {"", "identity"}:
            body = _inflated(body, coding, limit)
    return body


def _inflated(body: bytes, coding: str, limit: int) -> bytes:
    if coding not in _WINDOWS:
        raise UnsupportedEncoding(
            f"Requests with content-encoding '{coding[:50]}' are not understood; send gzip, deflate or plain JSON.",
            param="content-encoding",
            headers={"accept-encoding": "gzip, deflate"},
        )
    windows = _RAW if coding == "deflate" and not _has_header(body) else _WINDOWS[coding]
    unpacker = zlib.decompressobj(windows)
    try:
        whole = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise BadRequest(f"The request body is not {coding}: {error}.", param="request_body") from None
    if len(whole) <= limit and not unpacker.eof:
        raise BadRequest(f"The request body is not {coding}: it ends before its end.", param="request_body")
    return whole


def _has_header(body: bytes) -> bool:
    """https://www.rfc-editor.org/rfc/rfc1950#page-5"""
    return len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
