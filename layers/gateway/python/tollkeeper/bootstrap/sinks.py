"""Which sinks gateway.yaml asks for, wired, under LiteLLM's names for callbacks and with its environment variables."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tollkeeper.bootstrap.installation import Installation
from tollkeeper.config.snapshot import Secret
from tollkeeper.errors import ConfigError
from tollkeeper.sinks.base import Sink, SinkFailed
from tollkeeper.sinks.outbox import Outbox
from tollkeeper.store.table import Item

_NAMES = {"s3_v2": "s3", "sqs": "aws_sqs", "opentelemetry": "otel"}
_SUCCESS, _FAILURE = "success_callback", "failure_callback"


def outbox_of(installation: Installation) -> Outbox | None:
    """None: nobody is to be told. Raises ConfigError where a sink is asked for and something it needs is not said."""
    settings = installation.snapshot.settings.get("litellm_settings", {})
    sinks = list(_sinks(installation, settings))
    return Outbox(sinks, installation.store.counters, installation.store.ledger, installation.clock) if sinks else None


def _sinks(installation: Installation, settings: Mapping[str, Any]) -> Iterator[Sink]:
    both = _named(settings, "callbacks")
    success, failure = both | _named(settings, _SUCCESS), both | _named(settings, _FAILURE)
    for name in sorted(success | failure):
        if (make := _MAKERS.get(name)) is None:
            continue  # said to be unsupported when the configuration was compiled
        sink = make(installation, settings)
        yield sink if name in success & failure else _Only(sink, success=name in success)


def _named(settings: Mapping[str, Any], field: str) -> set[str]:
    names = settings.get(field) or ()
    return {_NAMES.get(name, name) for name in ([names] if isinstance(names, str) else names) if isinstance(name, str)}


@dataclass(frozen=True, slots=True)
class _Only:
    """Of the entries, those that succeeded, or the others."""

    sink: Sink
    success: bool

    @property
    def name(self) -> str:
        return self.sink.name

    async def send(self, entries: Sequence[Item]) -> None:
        if wanted := [entry for entry in entries if (entry.get("status") == "success") == self.success]:
            await self.sink.send(wanted)


def _stdout(installation: Installation, _: Mapping[str, Any]) -> Sink:
    from tollkeeper.sinks.aws import StandardOutput

    return StandardOutput(print)


def _webhook(installation: Installation, settings: Mapping[str, Any]) -> Sink:
    from tollkeeper.sinks.http import Poster, Webhook

    given = settings.get("generic_logger_headers") or {}
    headers = _headers(installation, ("GENERIC_LOGGER_HEADERS",), given if isinstance(given, dict) else {})
    return Webhook(Poster(installation.http_send, headers), _variable(installation, "GENERIC_LOGGER_ENDPOINT"))


def _otel(installation: Installation, _: Mapping[str, Any]) -> Sink:
    from tollkeeper.sinks.http import Otlp, Poster

    headers = _headers(installation, ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_HEADERS"), {})
    base = _variable(installation, "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_ENDPOINT")
    service = installation.env("OTEL_SERVICE_NAME") or "tollkeeper"
    return Otlp(Poster(installation.http_send, headers), base, service, installation.clock)


def _s3(installation: Installation, settings: Mapping[str, Any]) -> Sink:
    from tollkeeper.sinks.aws import JsonLines

    params = settings.get("s3_callback_params") or {}
    if bucket := params.get("s3_bucket_name"):
        from tollkeeper.store.s3 import S3Objects

        region = params.get("s3_region_name") or installation.settings.aws_region
        endpoint = params.get("s3_endpoint_url") or installation.settings.aws_endpoint or None
        return JsonLines(
            S3Objects(bucket, installation.http_send, installation.aws_credentials, region, endpoint, clock=installation.clock)
        )
    if installation.objects is None:
        raise ConfigError("litellm_settings: the s3 callback needs s3_callback_params.s3_bucket_name.")
    return JsonLines(installation.objects)


def _sqs(installation: Installation, settings: Mapping[str, Any]) -> Sink:
    from tollkeeper.sinks.aws import SQS, Queue

    params = settings.get("aws_sqs_callback_params") or {}
    if not (url := params.get("sqs_queue_url")):
        raise ConfigError("litellm_settings: the aws_sqs callback needs aws_sqs_callback_params.sqs_queue_url.")
    return Queue(_aws(installation, SQS, params.get("sqs_region_name")), str(url))


def _firehose(installation: Installation, settings: Mapping[str, Any]) -> Sink:
    from tollkeeper.sinks.aws import FIREHOSE, Firehose

    params = settings.get("firehose_callback_params") or {}
    if not (stream := params.get("delivery_stream_name")):
        raise ConfigError("litellm_settings: the firehose callback needs firehose_callback_params.delivery_stream_name.")
    return Firehose(_aws(installation, FIREHOSE, params.get("region_name")), str(stream))


_MAKERS: dict[str, Callable[[Installation, Mapping[str, Any]], Sink]] = {
    "stdout": _stdout,
    "generic_api": _webhook,
    "otel": _otel,
    "s3": _s3,
    "aws_sqs": _sqs,
    "firehose": _firehose,
}


def _aws(installation: Installation, service: Any, region: str | None) -> Any:
    from tollkeeper.store.awsjson import AwsJson

    where = region or installation.settings.aws_region, installation.settings.aws_endpoint or None
    return AwsJson(service, installation.http_send, installation.aws_credentials, *where, clock=installation.clock)


def _variable(installation: Installation, *names: str) -> Callable[[], Awaitable[str]]:
    """The first of these environment variables that is set, asked for at each use: it may hold a secret that is rotated."""

    async def value() -> str:
        for name in names:
            if found := await installation.credentials.resolve(Secret("env", name)):
                return found
        raise SinkFailed(f"{names[0]} is not set")

    return value


def _headers(installation: Installation, names: Sequence[str], given: Mapping[str, Any]) -> Callable[[], Awaitable[Mapping[str, str]]]:
    """`name=value,name=value`, as OpenTelemetry writes them, over those of the configuration."""

    async def headers() -> Mapping[str, str]:
        found = {str(name).lower(): str(value) for name, value in given.items()}
        for name in names:
            text = await installation.credentials.resolve(Secret("env", name)) or ""
            pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
            found |= {key.strip().lower(): value.strip() for key, _, value in pairs}
        return found

    return headers
