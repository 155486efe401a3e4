"""The settings of the program that the stacks leave to their defaults, each with its reason. A test holds both against `Settings`."""

from collections.abc import Mapping
from types import MappingProxyType

PREFIX = "TOLLKEEPER_"
CONFIG = "gateway.json"
"""Beside handler.py: a function's working directory is its own folder."""
_BY_ENVIRONMENT = "an environment sets it under `variables` if it must"
LEFT_TO_DEFAULT: Mapping[str, str] = MappingProxyType({
    "state": "the embedded store's folder; there is none here",
    "salt": "credentials given at run time are in Secrets Manager here",
    "aws_region": "Lambda sets AWS_REGION",
    "aws_endpoint": "only where an emulator stands for AWS",
    "onprem_pools": "only where an environment has pools",
    "batch_look_seconds": _BY_ENVIRONMENT,
    "key_cache_seconds": _BY_ENVIRONMENT,
    "max_request_bytes": "Lambda's own limit is the default",
    "max_file_bytes": "on Lambda a larger file comes by upload URL",
    "heartbeat_seconds": "API Gateway's own limit is behind the default",
    "outbound": "HTTP/1.1; what http2 needs is not in the layer",
    "log_level": _BY_ENVIRONMENT,
})  # fmt: skip
