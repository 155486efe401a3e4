"""The sinks on AWS, against what the services answer."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from tollkeeper.sinks.aws import FIREHOSE, SQS, Firehose, JsonLines, Queue, StandardOutput
from tollkeeper.sinks.base import SinkFailed
from tollkeeper.store.aws import Credentials, StaticCredentials
from tollkeeper.store.awsjson import AwsJson, AwsService
from tollkeeper.store.objects import MemoryObjects


def _entries(count: int) -> list[dict[str, Any]]:
    return [
        {"pk": "day#2026-11-20#1", "sk": f"id{number:03}", "started_at": "2026-11-20T10:30:00.000Z", "status": "success", "cost": number}
        for number in range(count)
    ]


class Amazon:
    """Answers every call with `answer`; remembers what it was sent."""

    def __init__(self, answer: Any, status: int = 200) -> None:
        self.answer, self.status = answer, status
        self.heard: list[tuple[str, dict[str, Any]]] = []

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        assert "AWS4-HMAC-SHA256" in headers["authorization"]
        self.heard.append((headers["x-amz-target"], orjson.loads(body)))
        return self.status, {}, orjson.dumps(self.answer)

    def service(self, kind: AwsService) -> AwsJson:
        return AwsJson(kind, self.send, StaticCredentials(Credentials("AKID", "secret")), "eu-west-1")


async def test_a_queue_takes_ten_at_a_time() -> None:
    amazon = Amazon({"Successful": []})
    await Queue(amazon.service(SQS), "https://sqs/q").send(_entries(23))
    assert [(target, len(body["Entries"])) for target, body in amazon.heard] == [
        ("AmazonSQS.SendMessageBatch", count) for count in (10, 10, 3)
    ]
    bodies = [orjson.loads(message["MessageBody"]) for _, body in amazon.heard for message in body["Entries"]]
    assert [body["id"] for body in bodies] == [entry["sk"] for entry in _entries(23)]


async def test_a_firehose_takes_json_lines() -> None:
    import base64

    amazon = Amazon({"FailedPutCount": 0})
    await Firehose(amazon.service(FIREHOSE), "calls").send(_entries(2))
    [(target, body)] = amazon.heard
    assert (target, body["DeliveryStreamName"]) == ("Firehose_20150804.PutRecordBatch", "calls")
    assert [orjson.loads(base64.b64decode(record["Data"]))["id"] for record in body["Records"]] == ["id000", "id001"]


@pytest.mark.parametrize(
    ("answer", "status"), [({"Failed": [{"Id": "0"}]}, 200), ({"FailedPutCount": 1}, 200), ({"__type": "AccessDenied"}, 400)]
)
async def test_what_was_refused_in_part_is_refused(answer: Any, status: int) -> None:
    amazon = Amazon(answer, status)
    sink = Firehose(amazon.service(FIREHOSE), "calls") if "FailedPutCount" in answer else Queue(amazon.service(SQS), "https://sqs/q")
    with pytest.raises(SinkFailed):
        await sink.send(_entries(1))


async def test_a_batch_is_one_object_however_often_it_is_sent() -> None:
    objects = MemoryObjects()
    for _ in range(2):
        await JsonLines(objects).send(_entries(3))
    lines = (await objects.read("calls/2026-11-20/10/id000-id002.jsonl")).splitlines()
    assert [orjson.loads(line)["id"] for line in lines] == ["id000", "id001", "id002"]


async def test_standard_output_gets_a_line_each() -> None:
    lines: list[str] = []
    await StandardOutput(lines.append).send(_entries(2))
    assert [orjson.loads(line)["response_cost_nano_usd"] for line in lines] == [0, 1]
