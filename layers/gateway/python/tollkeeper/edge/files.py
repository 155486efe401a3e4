"""The files API. https://platform.openai.com/docs/api-reference/files

A Lambda takes some 4.5 MB of body. What is larger comes another way: `POST /v1/files` with JSON (purpose, filename) in place of a form
answers with an `upload_url` for one PUT, which leads to the bucket, or on a single machine back here.
"""

import hmac
from typing import Any
from urllib.parse import urlencode

from tollkeeper.auth.principal import Principal
from tollkeeper.batches.files import KEPT_SECONDS, UPLOAD_SECONDS, Files, StoredFile, checked_purpose
from tollkeeper.batches.owner import Owner
from tollkeeper.dialects.base import Json
from tollkeeper.edge.door import Door, Visitor
from tollkeeper.edge.http import ClientGone, Receive, Scope, Send, headers_of, query_of, raw_headers, send_json
from tollkeeper.edge.problems import openai_error
from tollkeeper.edge.routes import Row, with_and_without_v1
from tollkeeper.edge.uploads import body_of, read_form, store
from tollkeeper.errors import BadRequest, Forbidden, PayloadTooLarge

_ROUTE = "/v1/files"
_MOST = 10_000
_SHORTEST, _LONGEST = 3_600, 30 * 86_400
_NAME_LENGTH = 255


def owner_of(principal: Principal) -> Owner:
    return Owner(principal.key_hash, principal.user_id, principal.team_id, principal.is_master)


class FilesEdge:
    """`max_bytes`: of a file that comes as a form. `secret` signs upload URLs of a store that has no door of its own."""

    def __init__(self, door: Door, files: Files, secret: bytes, *, max_bytes: int) -> None:
        self._door, self._files, self._secret, self._max_bytes = door, files, secret, max_bytes

    def routes(self) -> list[Row]:
        app = self._door.app
        return with_and_without_v1(
            [
                ("POST", "/files", app(_ROUTE, self.create)),
                ("GET", "/files", app(_ROUTE, self.list)),
                ("GET", "/files/{file_id}", app(_ROUTE, self.retrieve)),
                ("DELETE", "/files/{file_id}", app(_ROUTE, self.delete)),
                ("GET", "/files/{file_id}/content", app(_ROUTE, self.content)),
                ("PUT", "/files/{file_id}/content", self.put),
            ]
        )

    async def create(self, visitor: Visitor) -> Json:
        content_type = visitor.headers.get("content-type", "")
        if content_type.startswith("application/json"):
            return await self._expect(visitor)
        announced = visitor.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._max_bytes + _MOST:
            raise PayloadTooLarge(self._too_large(), param="file")
        file_id = self._files.new_id()
        body = body_of(visitor.receive, self._max_bytes + _MOST, self._too_large())
        upload = await read_form(body, content_type, self._files, file_id)
        try:
            purpose, seconds = checked_purpose(upload.fields.get("purpose")), kept_seconds(_unfolded(upload.fields))
            if upload.parts is None:
                raise BadRequest("Missing required parameter: 'file'.", param="file", code="missing_required_parameter")
        except BadRequest:
            for key, _ in upload.parts or ():
                await self._files.objects.delete(key)
            raise
        owner = owner_of(visitor.principal)
        file = await self._files.add(file_id, file_name(upload.filename), purpose, owner, upload.parts, seconds=seconds)
        return file.shown()

    async def list(self, visitor: Visitor) -> Json:
        query = visitor.query
        order = query.get("order", "desc")
        if order not in {"asc", "desc"}:
            raise BadRequest("'order' must be asc or desc.", param="order")
        limit = whole_number(query.get("limit"), "limit", default=_MOST, most=_MOST)
        files, more = await self._files.page(
            owner_of(visitor.principal),
            purpose=query.get("purpose"),
            after=query.get("after"),
            limit=limit,
            newest_first=order == "desc",
        )
        return page([file.shown() for file in files], more=more)

    async def retrieve(self, visitor: Visitor) -> Json:
        return (await self._get(visitor)).shown()

    async def delete(self, visitor: Visitor) -> Json:
        file_id = visitor.path["file_id"]
        await self._files.delete(file_id, owner_of(visitor.principal))
        return {"id": file_id, "object": "file", "deleted": True}

    async def content(self, visitor: Visitor) -> None:
        file = await self._get(visitor)
        blocks = self._files.content(file)
        first = await anext(blocks, b"")  # an object that is gone is a 404, not a cut body
        headers = {"content-type": "application/octet-stream", "content-length": str(file.bytes), "x-request-id": visitor.call_id}
        await visitor.send({"type": "http.response.start", "status": 200, "headers": raw_headers(headers)})
        await visitor.send({"type": "http.response.body", "body": first, "more_body": True})
        async for block in blocks:
            await visitor.send({"type": "http.response.body", "body": block, "more_body": True})
        await visitor.send({"type": "http.response.body", "body": b""})

    async def put(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The bytes of a file that was announced; the URL's signature stands in for a key."""
        call_id = self._door.clock.new_id()
        try:
            file_id, query = scope["path_params"]["file_id"], query_of(scope)
            expires = query.get("expires", "")
            if not expires.isdigit() or not hmac.compare_digest(self._signature(file_id, expires), query.get("signature", "")):
                raise Forbidden("The upload URL is not one of ours.", type="auth_error")
            if int(expires) < self._door.clock.now():
                raise Forbidden("The upload URL has expired; ask for a new one.", type="auth_error")
            body = body_of(receive, self._max_bytes, self._too_large())
            await self._files.fill(file_id, await store(body, self._files, file_id))
            await send_json(send, 200, {"x-request-id": call_id}, {"id": file_id, "object": "file"})
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the edge is where every failure gets its answer
            await send_json(send, *openai_error(error, call_id))

    async def _get(self, visitor: Visitor) -> StoredFile:
        return await self._files.get(visitor.path["file_id"], owner_of(visitor.principal))

    async def _expect(self, visitor: Visitor) -> Json:
        body = await visitor.json()
        purpose, filename = checked_purpose(body.get("purpose")), body.get("filename")
        if not isinstance(filename, str) or not filename:
            raise BadRequest("Missing required parameter: 'filename'.", param="filename", code="missing_required_parameter")
        file, url = await self._files.expect(file_name(filename), purpose, owner_of(visitor.principal), seconds=kept_seconds(body))
        expires = int(self._door.clock.now()) + UPLOAD_SECONDS
        shown = {"upload_url": url or self._own_url(visitor, file.id, expires), "upload_method": "PUT", "upload_expires_at": expires}
        return {**file.shown(), **shown}

    def _own_url(self, visitor: Visitor, file_id: str, expires: int) -> str:
        host = headers_of(visitor.scope).get("host", "localhost")
        query = urlencode({"expires": expires, "signature": self._signature(file_id, str(expires))})
        return f"{visitor.scope.get('scheme', 'http')}://{host}/v1/files/{file_id}/content?{query}"

    def _signature(self, file_id: str, expires: str) -> str:
        return hmac.digest(self._secret, f"upload\n{file_id}\n{expires}".encode(), "sha256").hex()

    def _too_large(self) -> str:
        return (
            f"The file is larger than {self._max_bytes} bytes, the most this gateway takes in one request. Larger files: POST /v1/files "
            'with JSON {"purpose": …, "filename": …} answers with an upload_url; PUT the file there. '
            "Or upload it in parts of at most 4 MB through /v1/uploads (client.uploads.upload_file_chunked(…, part_size=4_000_000))."
        )


def page(rows: "list[Json]", *, more: bool) -> Json:
    """https://platform.openai.com/docs/api-reference/pagination"""
    return {
        "object": "list",
        "data": rows,
        "first_id": rows[0]["id"] if rows else None,
        "last_id": rows[-1]["id"] if rows else None,
        "has_more": more,
    }


def whole_number(text: str | None, name: str, *, default: int, most: int) -> int:
    """A query parameter between 1 and `most`. Raises BadRequest."""
    if text is None:
        return default
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise BadRequest(f"'{name}' must be a whole number between 1 and {most}.", param=name, code="invalid_value")
    return int(text)


def file_name(filename: str | None) -> str:
    plain = (filename or "upload").replace("\\", "/").rsplit("/", 1)[-1]
    return plain[:_NAME_LENGTH] or "upload"


def _unfolded(fields: dict[str, str]) -> Json:
    """`expires_after[seconds]` as the form spells it."""
    anchor, seconds = fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]")
    return {} if anchor is None and seconds is None else {"expires_after": {"anchor": anchor, "seconds": seconds}}


def kept_seconds(body: Json) -> int:
    """How long the file is to be kept. Raises BadRequest."""
    after: Any = body.get("expires_after")
    if after is None:
        return KEPT_SECONDS
    seconds = str(after.get("seconds")) if isinstance(after, dict) and after.get("anchor") == "created_at" else ""
    if not seconds.isdigit() or not _SHORTEST <= int(seconds) <= _LONGEST:
        wanted = f'{{"anchor": "created_at", "seconds": {_SHORTEST} … {_LONGEST}}}'
        raise BadRequest(f"'expires_after' must be {wanted}.", param="expires_after", code="invalid_value")
    return int(seconds)
