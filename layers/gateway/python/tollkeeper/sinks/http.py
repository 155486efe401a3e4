"""Sinks that POST: LiteLLM's generic webhook, and OTLP collectors."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import orjson

from tollkeeper.sinks.base import SinkFailed
from tollkeeper.sinks.otlp import Clocked, metrics_request, traces_request
from tollkeeper.sinks.payload import standard_logging_payload
from tollkeeper.store.aws import HttpSend
from tollkeeper.store.table import Item

TIMEOUT_SECONDS = 10.0
Headers = Callable[[], Awaitable[Mapping[str, str]]]
"""Resolved when they are needed: they hold credentials."""


class Poster:
    """POSTs JSON; 2xx is taken, everything else is not."""

    def __init__(self, send: HttpSend, headers: Headers) -> None:
        self._send = send
        self._headers = headers

    async def post(self, url: str, body: bytes) -> None:
        """Raises SinkFailed. The URL may hold a secret: it is never said."""
        headers = {"content-type": "application/json", **await self._headers()}
        try:
            status, _, _ = await self._send("POST", url, headers, body, TIMEOUT_SECONDS)
        except OSError as error:
            raise SinkFailed("timeout" if isinstance(error, TimeoutError) else "no connection") from None
        if not 200 <= status < 300:
            raise SinkFailed(f"HTTP {status}")


class Webhook:
    """A JSON array of StandardLoggingPayloads, as LiteLLM's `generic_api` callback sends it.

    https://docs.litellm.ai/docs/observability/generic_api
    """

    name = "generic_api"

    def __init__(self, poster: Poster, url: Callable[[], Awaitable[str]]) -> None:
        self._poster = poster
        self._url = url

    async def send(self, entries: Sequence[Item]) -> None:
        await self._poster.post(await self._url(), orjson.dumps([standard_logging_payload(entry) for entry in entries]))


class Otlp:
    """Spans and metrics over OTLP/HTTP with JSON. `base` is OTEL_EXPORTER_OTLP_ENDPOINT: /v1/traces and /v1/metrics are below it.

    https://opentelemetry.io/docs/specs/otlp/#otlphttp
    """

    name = "otel"

    def __init__(self, poster: Poster, base: Callable[[], Awaitable[str]], service: str, clock: Clocked) -> None:
        self._poster = poster
        self._base = base
        self._service = service
        self._clock = clock

    async def send(self, entries: Sequence[Item]) -> None:
        base = (await self._base()).rstrip("/").removesuffix("/v1/traces")
        await self._poster.post(f"{base}/v1/traces", orjson.dumps(traces_request(entries, self._service)))
        await self._poster.post(f"{base}/v1/metrics", orjson.dumps(metrics_request(entries, self._service, self._clock.now())))
