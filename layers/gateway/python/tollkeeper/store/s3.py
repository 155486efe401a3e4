"""Objects in an S3 bucket, over the same signed HTTP as DynamoDB: no SDK.

Every verb may be repeated, so whatever failed on the way is tried again. https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

from collections.abc import Mapping
from urllib.parse import quote

from tollkeeper.clock import Clock, system
from tollkeeper.errors import StoreUnavailable
from tollkeeper.store.aws import CredentialSource, HttpSend, presigned, sign
from tollkeeper.store.objects import ObjectMissing, checked

TRIES, TRY_SECONDS, PAUSE_SECONDS = 4, 60.0, 0.2
_EXPIRED = (b"ExpiredToken",)


class S3Objects:
    """`prefix` stands before every key. `endpoint` is an emulator's, addressed by path; AWS itself by the bucket's own host."""

    def __init__(
        self,
        bucket: str,
        send: HttpSend,
        credentials: CredentialSource,
        region: str,
        endpoint: str | None = None,
        *,
        prefix: str = "",
        clock: Clock = system,
    ) -> None:
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        self._base = f"{endpoint.rstrip('/')}/{bucket}" if endpoint else f"https://{bucket}.s3.{region}.{suffix}"
        self._send, self._credentials, self._region, self._clock = send, credentials, region, clock
        self._prefix = prefix

    async def put(self, key: str, data: bytes) -> None:
        status, _, _ = await self._call("PUT", key, data)
        self._good(status, "PUT")

    async def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            return b""
        whole = start == 0 and length is None
        end = "" if length is None else start + length - 1
        status, _, body = await self._call("GET", key, b"", {} if whole else {"range": f"bytes={start}-{end}"})
        if status == 404:
            raise ObjectMissing(key)
        if status == 416:  # a range that begins behind the last byte
            return b""
        self._good(status, "GET")
        return body

    async def size(self, key: str) -> int | None:
        # One byte in place of a HEAD, whose answer names a length that does not follow: not every client below takes that.
        status, headers, body = await self._call("GET", key, b"", {"range": "bytes=0-0"})
        if status == 404:
            return None
        if status == 416:
            return 0
        self._good(status, "GET")
        return int(headers.get("content-range", f"/{len(body)}").rpartition("/")[2])

    async def delete(self, key: str) -> None:
        status, _, _ = await self._call("DELETE", key, b"")
        if status != 404:
            self._good(status, "DELETE")

    async def upload_url(self, key: str, seconds: int) -> str | None:
        """Good only as long as the credentials that signed it: on Lambda those of the role, some hours."""
        credentials = await self._credentials.get()
        return presigned("PUT", self._url(key), seconds, service="s3", region=self._region, credentials=credentials, now=self._clock.now())

    def _url(self, key: str) -> str:
        return f"{self._base}/{quote(self._prefix + checked(key), safe='/')}"

    async def _call(self, method: str, key: str, body: bytes, headers: Mapping[str, str] = {}) -> tuple[int, Mapping[str, str], bytes]:
        url, refresh, said = self._url(key), False, ""
        for attempt in range(TRIES):
            if attempt:
                await self._clock.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
            credentials = await self._credentials.get(refresh=refresh)
            signed = sign(method, url, headers, body, service="s3", region=self._region, credentials=credentials, now=self._clock.now())
            try:
                status, answered, data = await self._send(method, url, signed, body, TRY_SECONDS)
            except OSError as error:
                said = "timeout" if isinstance(error, TimeoutError) else "no connection"
                continue
            refresh = status == 400 and any(code in data for code in _EXPIRED)
            if not (status >= 500 or status == 429 or refresh):
                return status, answered, data
            said = f"HTTP {status}"
        raise StoreUnavailable(f"the bucket is not available: {said}")

    def _good(self, status: int, method: str) -> None:
        if status >= 300:
            raise StoreUnavailable(f"the bucket refused a {method}: HTTP {status}")
