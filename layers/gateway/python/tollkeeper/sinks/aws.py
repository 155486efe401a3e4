"""Sinks on AWS (an S3 bucket with JSON lines, an SQS queue, a Firehose stream), and the one for a log pipeline: standard output."""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import orjson

from tollkeeper.errors import StoreUnavailable
from tollkeeper.sinks.base import SinkFailed
from tollkeeper.sinks.payload import standard_logging_payload
from tollkeeper.store.awsjson import AwsJson, AwsRefused, AwsService
from tollkeeper.store.table import Item

SQS = AwsService("sqs", "AmazonSQS", "1.0", "The queue of calls")
FIREHOSE = AwsService("firehose", "Firehose_20150804", "1.1", "The stream of calls")
_SQS_AT_ONCE = 10


class Putter(Protocol):
    """store/objects.py, as far as it is needed here."""

    async def put(self, key: str, data: bytes) -> None: ...


class StandardOutput:
    """One JSON line for each call."""

    name = "stdout"

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    async def send(self, entries: Sequence[Item]) -> None:
        for entry in entries:
            self._write(orjson.dumps(standard_logging_payload(entry)).decode())


class JsonLines:
    """One object for each batch: `calls/<day>/<hour>/<first id>-<last id>.jsonl`. The same batch again writes the same object."""

    name = "s3"

    def __init__(self, objects: Putter) -> None:
        self._objects = objects

    async def send(self, entries: Sequence[Item]) -> None:
        started = str(entries[0]["started_at"])
        key = f"calls/{started[:10]}/{started[11:13]}/{entries[0]['sk']}-{entries[-1]['sk']}.jsonl"
        lines = b"".join(orjson.dumps(standard_logging_payload(entry)) + b"\n" for entry in entries)
        try:
            await self._objects.put(key, lines)
        except StoreUnavailable as error:
            raise SinkFailed(error.message) from None


class Queue:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html"""

    name = "aws_sqs"

    def __init__(self, service: AwsJson, url: str) -> None:
        self._service = service
        self._url = url

    async def send(self, entries: Sequence[Item]) -> None:
        for few in _split(entries, _SQS_AT_ONCE):
            messages = [
                {"Id": str(number), "MessageBody": orjson.dumps(standard_logging_payload(entry)).decode()}
                for number, entry in enumerate(few)
            ]
            answer = await _called(self._service, "SendMessageBatch", {"QueueUrl": self._url, "Entries": messages})
            if failed := answer.get("Failed"):
                raise SinkFailed(f"{len(failed)} messages were refused")


class Firehose:
    """https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html"""

    name = "firehose"

    def __init__(self, service: AwsJson, stream: str) -> None:
        self._service = service
        self._stream = stream

    async def send(self, entries: Sequence[Item]) -> None:
        records = [{"Data": base64.b64encode(orjson.dumps(standard_logging_payload(entry)) + b"\n").decode()} for entry in entries]
        answer = await _called(self._service, "PutRecordBatch", {"DeliveryStreamName": self._stream, "Records": records})
        if failed := answer.get("FailedPutCount"):
            raise SinkFailed(f"{failed} records were refused")


async def _called(service: AwsJson, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return await service.call(operation, payload, repeatable=True)
    except AwsRefused as refusal:
        raise SinkFailed(refusal.code) from None
    except StoreUnavailable as error:
        raise SinkFailed(error.message) from None


def _split(entries: Sequence[Item], most: int) -> Iterator[Sequence[Item]]:
    return (entries[start : start + most] for start in range(0, len(entries), most))
