"""What the functions that tell may write to: the buckets, queues and streams that gateway.yaml's callbacks name, and where alerts go.

Names are LiteLLM's (bootstrap/sinks.py and bootstrap/alerts.py read the same). https://docs.litellm.ai/docs/proxy/logging
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from infra.arns import ACCOUNT, FILES, PARTITION, REGION, ArnGrant

_NAMES = {"s3_v2": "s3", "sqs": "aws_sqs"}


def sink_grants(config: bytes) -> list[ArnGrant]:
    """Without duplicates, in a stable order."""
    sections: dict[str, dict[str, Any]] = json.loads(config)["settings"]
    settings = sections.get("litellm_settings") or {}
    wanted = {
        _NAMES.get(name, name) for field in ("callbacks", "success_callback", "failure_callback") for name in _listed(settings.get(field))
    }
    calls = {grant for name in wanted & _GRANTS.keys() for grant in _GRANTS[name](settings)}
    return sorted(calls | set(_alerts(sections)))


def _alerts(sections: Mapping[str, Mapping[str, Any]]) -> Iterator[ArnGrant]:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsesv2.html: a mail's sender is what it is sent from."""
    channels = _listed((sections.get("general_settings") or {}).get("alerting"))
    own = (sections.get("tollkeeper") or {}).get("alerts") or {}
    if "sns" in channels and own.get("sns_topic"):
        yield ArnGrant(("sns:Publish",), str(own["sns_topic"]))
    if "email" in channels and own.get("email"):
        sender = str(own["email"].get("sender"))
        for identity in (sender, sender.rpartition("@")[2]):
            yield ArnGrant(("ses:SendEmail",), f"arn:{PARTITION}:ses:{REGION}:{ACCOUNT}:identity/{identity}")


def _listed(value: object) -> list[str]:
    names = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [name for name in names if isinstance(name, str)]


def _bucket(settings: Mapping[str, Any]) -> Iterator[ArnGrant]:
    name = (settings.get("s3_callback_params") or {}).get("s3_bucket_name")
    yield ArnGrant(("s3:PutObject",), f"arn:{PARTITION}:s3:::{name}/calls/*" if name else f"{FILES}/calls/*")


def _queue(settings: Mapping[str, Any]) -> Iterator[ArnGrant]:
    params = settings.get("aws_sqs_callback_params") or {}
    url = urlsplit(str(params.get("sqs_queue_url") or ""))
    account, _, name = url.path.strip("/").partition("/")
    region = params.get("sqs_region_name") or (url.hostname or "").removeprefix("sqs.").partition(".")[0]
    if name:
        yield ArnGrant(("sqs:SendMessage",), f"arn:{PARTITION}:sqs:{region}:{account}:{name}")


def _stream(settings: Mapping[str, Any]) -> Iterator[ArnGrant]:
    params = settings.get("firehose_callback_params") or {}
    if name := params.get("delivery_stream_name"):
        region = params.get("region_name") or REGION
        yield ArnGrant(("firehose:PutRecordBatch",), f"arn:{PARTITION}:firehose:{region}:{ACCOUNT}:deliverystream/{name}")


_GRANTS = {"s3": _bucket, "aws_sqs": _queue, "firehose": _stream}
