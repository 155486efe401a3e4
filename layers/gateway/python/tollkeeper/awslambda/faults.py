"""What a failure tells, and to whom: Lambda gets a type and a safe sentence, the log gets where it happened. Neither gets values.

An exception's message may quote a prompt or a key, so only our own errors' messages (written for callers) leave the process.
"""

import json
import sys
import traceback
from typing import Protocol

from tollkeeper.clock import iso, system
from tollkeeper.errors import TollkeeperError

_FRAMES = 8


class Log(Protocol):
    """`fields` ride along in the line; `level` among them is ERROR if not given."""

    def __call__(self, event: str, **fields: object) -> None: ...


def log_line(event: str, **fields: object) -> None:
    """One JSON object on one line of stdout, which is one CloudWatch log event. Fields as in `telemetry.log`, which may not be up yet."""
    line = {"timestamp": iso(system.now()), "level": "ERROR", "logger": "tollkeeper.awslambda", "message": event, **fields}
    sys.stdout.write(json.dumps(line, default=str) + "\n")
    sys.stdout.flush()


def name(error: BaseException) -> str:
    """The category.reason Lambda wants: `Function.ValueError`. It is a header's value, hence ASCII."""
    return f"Function.{type(error).__name__}".encode("ascii", "replace").decode("ascii")


def payload(error_type: str, error: BaseException | None = None) -> bytes:
    """The error object of the Runtime API (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), without a stack."""
    return json.dumps({"errorType": error_type, "errorMessage": sentence(error), "stackTrace": []}).encode()


def sentence(error: BaseException | None) -> str:
    """What may leave the process."""
    if isinstance(error, TollkeeperError):
        return error.message
    if isinstance(error, ImportError) and error.name:
        return f"Cannot import {error.name}."
    return "The function failed; its log says where."


def frames(error: BaseException) -> list[str]:
    """The innermost frames as `file:line function`, outermost first."""
    stack = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in stack[-_FRAMES:]]
