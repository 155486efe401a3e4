"""Request bodies as JSON: what orjson takes, and what clients send beside it."""

import re
from typing import Any

import orjson

from tollkeeper.errors import BadRequest

_BOM = b"\xef\xbb\xbf"
_ESCAPES = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.")
"""Pairs of surrogates, lone ones (the group), and whatever else a backslash may stand before."""


def object_of(raw: bytes) -> dict[str, Any]:
    """Raises BadRequest.

    Half a surrogate pair is what JavaScript makes of a text that was cut between the two; it stands for no character, and becomes U+FFFD.
    """
    try:
        body = _parsed(raw)
    except orjson.JSONDecodeError as error:
        message = f"The request body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})."
        raise BadRequest(message, param="request_body") from None
    if not isinstance(body, dict):
        raise BadRequest("The request body must be a JSON object.", param="request_body")
    return body


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        mended = _ESCAPES.sub(lambda found: rb"\ufffd" if found[1] else found[0], raw.removeprefix(_BOM))
        if mended == raw:
            raise
    return orjson.loads(mended)
