"""Log lines: one JSON object each (CloudWatch splits on newlines), or plain text on a terminal. No prompt, key or body is ever logged."""

import logging
import sys
import traceback

import orjson

from tollkeeper.clock import iso


class JsonFormatter(logging.Formatter):
    """Fields of https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html: timestamp, level, message."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"timestamp": iso(record.created), "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if record.exc_info and record.exc_info[1] is not None:
            # Only where it happened: an exception's text may quote the request.
            frames = traceback.extract_tb(record.exc_info[2])[-8:]
            line["exception"] = type(record.exc_info[1]).__name__
            line["at"] = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in reversed(frames))
        return orjson.dumps(line).decode()


def configure(level: str, *, json: bool) -> None:
    """Replaces the root handlers. Libraries speak from WARNING on: at INFO, HTTP clients log URLs."""
    handler = logging.StreamHandler(sys.stdout if json else sys.stderr)
    handler.setFormatter(JsonFormatter() if json else logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("tollkeeper").setLevel(level.upper())
