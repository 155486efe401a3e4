"""What every engine behind `store.objects.Objects` must do: the folder, the one in memory, and S3 as moto plays it."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from tests.support.stores import KEYS, REGION, ScriptedSend, StillClock, http_send

from tollkeeper.errors import StoreUnavailable
from tollkeeper.store.objects import FolderObjects, MemoryObjects, ObjectMissing, Objects
from tollkeeper.store.s3 import S3Objects


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret"}
    client = boto3.client("s3", region_name=REGION, endpoint_url=endpoint, **keys)
    client.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
    client.close()
    yield endpoint
    server.stop()


@pytest.fixture(params=["folder", "memory", "s3"])
async def objects(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Objects]:
    if request.param == "folder":
        yield FolderObjects(tmp_path / "objects")
    elif request.param == "memory":
        yield MemoryObjects()
    else:
        async with http_send() as send:
            yield S3Objects("bucket", send, KEYS, REGION, request.getfixturevalue("s3"), prefix=f"{tmp_path.name}/")


async def test_what_is_put_is_read_whole_and_in_ranges(objects: Objects) -> None:
    data = bytes(range(256)) * 9000
    await objects.put("files/a/000000", data)
    assert await objects.read("files/a/000000") == data
    assert await objects.read("files/a/000000", 256, 3) == b"\x00\x01\x02"
    assert await objects.read("files/a/000000", len(data) - 2) == b"\xfe\xff"
    assert await objects.read("files/a/000000", len(data) - 2, 100) == b"\xfe\xff"
    assert await objects.read("files/a/000000", len(data), 5) == b""
    assert await objects.read("files/a/000000", 0, 0) == b""
    assert await objects.size("files/a/000000") == len(data)


async def test_a_put_replaces_and_an_empty_object_is_one(objects: Objects) -> None:
    await objects.put("one", b"first")
    await objects.put("one", b"")
    assert (await objects.read("one"), await objects.size("one")) == (b"", 0)


async def test_what_is_not_there_is_missing_and_deleted_already(objects: Objects) -> None:
    with pytest.raises(ObjectMissing):
        await objects.read("gone/too")
    assert await objects.size("gone") is None
    await objects.delete("gone/too")
    await objects.put("here/now", b"x")
    await objects.delete("here/now")
    assert await objects.size("here/now") is None


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../up", "a/../../b", "a//b", "a b", "a/./b/..", "x" * 600])
async def test_a_key_never_leaves_its_place(objects: Objects, key: str) -> None:
    with pytest.raises(ValueError, match="no object key"):
        await objects.put(key, b"x")


async def test_many_at_once_in_one_folder_that_comes_and_goes(objects: Objects) -> None:
    async def one(number: int) -> None:
        await objects.put(f"shared/{number}", str(number).encode())
        assert await objects.read(f"shared/{number}") == str(number).encode()
        await objects.delete(f"shared/{number}")

    await asyncio.gather(*(one(number) for number in range(40)))


async def test_a_folder_is_swept_of_what_is_old(tmp_path: Path) -> None:
    folder = FolderObjects(tmp_path)
    await folder.put("old/one", b"x")
    await folder.put("young", b"x")
    os.utime(tmp_path / "old/one", (1000, 1000))
    assert await folder.sweep(2000) == 1
    assert (await folder.size("old/one"), await folder.size("young"), (tmp_path / "old").exists()) == (None, 1, False)


async def test_a_presigned_url_takes_one_put(s3: str) -> None:
    async with http_send() as send:
        bucket = S3Objects("bucket", send, KEYS, REGION, s3)
        url = await bucket.upload_url("uploads/a", 600)
        assert url is not None
        assert (await send("PUT", url, {}, b"from outside", 5.0))[0] == 200
        assert await bucket.read("uploads/a") == b"from outside"


async def test_a_presigned_url_is_signed_as_aws_documents_it() -> None:
    """The example of https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html"""
    from tollkeeper.store.aws import Credentials, presigned

    url = presigned(
        "GET",
        "https://examplebucket.s3.amazonaws.com/test.txt",
        86400,
        service="s3",
        region="us-east-1",
        credentials=Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        now=1369353600,
    )
    assert url.endswith("X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")


async def test_s3_tries_again_what_failed_on_the_way_and_gives_up_in_the_end() -> None:
    clock = StillClock()
    flaky = ScriptedSend([ConnectionError(), (503, b""), (400, b"<Code>ExpiredToken</Code>"), (200, b"data")])
    assert await S3Objects("b", flaky, KEYS, REGION, clock=clock).read("a") == b"data"
    assert flaky.requests[0]["url"] == f"https://b.s3.{REGION}.amazonaws.com/a"
    with pytest.raises(StoreUnavailable, match="HTTP 503"):
        await S3Objects("b", ScriptedSend([(503, b"")]), KEYS, REGION, clock=clock).put("a", b"")
    with pytest.raises(StoreUnavailable, match="refused a PUT: HTTP 403"):
        await S3Objects("b", ScriptedSend([(403, b"")]), KEYS, REGION, clock=clock).put("a", b"")
