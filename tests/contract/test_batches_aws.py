"""A batch on DynamoDB and S3, as moto plays them: as on the embedded store, killed on its way and finished by the next process."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import boto3
import pytest
from tests.support.batch_world import Killed, Life, World
from tests.support.stores import KEYS, REGION, StillClock, create_tables, dynamo_tables, http_send

from tollkeeper.store.s3 import S3Objects


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint, bucket = f"http://{host}:{port}", f"batches-{tmp_path.name.replace('_', '-')}"
    client = boto3.client("s3", region_name=REGION, endpoint_url=endpoint, aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret")
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    client.close()
    clock = StillClock()
    async with http_send() as send, dynamo_tables(endpoint, clock) as tables:
        await create_tables(send, endpoint)
        yield World(tables.counters, S3Objects(bucket, send, KEYS, REGION, endpoint), clock)
    server.stop()


async def test_a_batch_is_killed_and_finished(world: World) -> None:
    batch = await world.batch(12)
    with suppress(Killed):
        await world.worker(Life(40, last_is_done=True), lines_at_once=3).work()
    batch = await world.finish(batch)
    good, bad = await world.results(batch)
    assert (batch.status, batch.counts) == ("completed", (len(good), len(bad)))
    assert sorted(row["custom_id"] for row in [*good, *bad]) == sorted(f"r{number}" for number in range(12))
    assert set(world.script.sent.values()) == {1}
    assert len(bad) <= 3
