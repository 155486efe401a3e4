"""The only reader of the process environment. One frozen value per process, made once by `bootstrap`.

Provider credentials are not settings: `secret_env` looks one up by the name a config refers to (`os.environ/NAME`).
"""

import os
from dataclasses import dataclass, fields
from typing import Any

PREFIX = "TOLLKEEPER_"


@dataclass(frozen=True, slots=True)
class Settings:
    """Each field is the environment variable TOLLKEEPER_<FIELD IN CAPITALS>; the CDK stack sets exactly these (tested)."""

    config: str = ""
    """gateway.yaml, or its compiled JSON (what the Lambda layer carries). Empty: the demo configuration."""
    environment: str = "local"
    store: str = "sqlite"
    """`sqlite` (embedded) or `dynamodb`."""
    state: str = ".tollkeeper"
    """Folder of the embedded store, or `:memory:`."""
    directory_table: str = "tollkeeper-directory"
    counters_table: str = "tollkeeper-counters"
    ledger_table: str = "tollkeeper-ledger"
    objects_bucket: str = ""
    """S3 bucket of files and batches. Empty with the embedded store: they are in its folder; empty with DynamoDB: there are none."""
    exports_bucket: str = ""
    """S3 bucket of ledger exports. Empty with the embedded store: they are in its folder; empty with DynamoDB: there are none."""
    max_file_bytes: int = 200 * 2**20
    """Of one uploaded file where the platform takes it; on Lambda `max_request_bytes` is less, and larger files come by upload URL."""
    batch_look_seconds: float = 20.0
    """Between two looks at a batch that its provider runs."""
    aws_region: str = ""
    aws_endpoint: str = ""
    """Overrides the DynamoDB and Secrets Manager endpoints (emulators)."""
    provider_secrets: str = ""
    """Comma-separated Secrets Manager ids of JSON secrets whose fields stand in for environment variables."""
    master_key: str = ""
    """Wins over general_settings.master_key; a Secrets Manager id on Lambda is given as `secret:<id>#<field>`."""
    pepper: str = ""
    """HMAC key for virtual keys; same `secret:` form. Empty with the embedded store: one is made in the state folder."""
    salt: str = ""
    """Encrypts the credentials that are given to the embedded store at run time. Empty: a key is made in the state folder."""
    key_cache_seconds: float = 5.0
    """How long a key record, known or unknown, is believed: the longest a revocation can take."""
    max_request_bytes: int = 4_500_000
    """Lambda takes 6 MB of JSON-escaped event, which is about 4.5 MB of body."""
    heartbeat_seconds: float = 15.0
    """Silence after which a stream gets a comment line: API Gateway ends a silent one after 5 minutes, many proxies after 30 seconds."""
    outbound: str = "http1"
    """`http1`, or `http2` for upstreams that multiplex (needs the h2 package)."""
    onprem_pools: str = ""
    """Where `api_base: onprem://<pool>` leads: `vllm=http://localhost:8000,…`; see providers/onprem.py."""
    log_level: str = "info"

    @classmethod
    def from_env(cls, **overrides: Any) -> "Settings":
        """Raises ValueError naming the variable that does not parse."""
        values: dict[str, Any] = {}
        for field in fields(cls):
            name = PREFIX + field.name.upper()
            if (text := os.environ.get(name)) is not None:
                values[field.name] = _parse(name, text, type(field.default))
        values.setdefault("aws_region", os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION", ""))
        return cls(**{**values, **{k: v for k, v in overrides.items() if v is not None}})


def _parse(name: str, text: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError as error:
        raise ValueError(f"{name}={text!r} is not a {kind.__name__}") from error


def secret_env(name: str) -> str | None:
    """The value of an environment variable that a config names; None if unset or empty. Never log it."""
    return os.environ.get(name) or None


def aws_env() -> dict[str, str]:
    """The AWS_* variables the credential chain reads (https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html)."""
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def proxy_configured() -> bool:
    """Whether the usual variables send outbound HTTP through a proxy."""
    names = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
    return any(os.environ.get(name) or os.environ.get(name.lower()) for name in names)


@dataclass(frozen=True, slots=True)
class RuntimeEnv:
    """What Lambda tells a runtime (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime)."""

    api: str
    """host:port of the Runtime API."""
    handler: str
    """`module.attribute`, from the function's configuration."""
    task_root: str
    snap_start: bool
    buffered: bool
    """TOLLKEEPER_RESPONSE_MODE=buffered: answer with API Gateway's proxy JSON instead of a stream."""


def runtime_env() -> RuntimeEnv:
    """Raises ValueError outside Lambda, and for a response mode that does not exist."""
    mode = os.environ.get(PREFIX + "RESPONSE_MODE", "stream")
    if mode not in {"stream", "buffered"}:
        raise ValueError(f"{PREFIX}RESPONSE_MODE={mode!r} is neither 'stream' nor 'buffered'")
    if not (api := os.environ.get("AWS_LAMBDA_RUNTIME_API")):
        raise ValueError("AWS_LAMBDA_RUNTIME_API is not set: this only runs inside Lambda")
    return RuntimeEnv(
        api=api,
        handler=os.environ.get("_HANDLER", ""),
        task_root=os.environ.get("LAMBDA_TASK_ROOT", ""),
        snap_start=os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start",
        buffered=mode == "buffered",
    )


def set_trace_id(trace_id: str | None) -> None:
    """Names the invocation's X-Ray trace where AWS SDKs look for it; None when the invocation has none."""
    if trace_id:
        os.environ["_X_AMZN_TRACE_ID"] = trace_id
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
