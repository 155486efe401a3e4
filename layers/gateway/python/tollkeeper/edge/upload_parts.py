"""The uploads API: large files in parts. https://platform.openai.com/docs/api-reference/uploads"""

from tollkeeper.batches.files import Files, checked_purpose
from tollkeeper.batches.uploads import MAX_PARTS, PENDING, Upload, Uploads
from tollkeeper.dialects.base import Json
from tollkeeper.edge.door import Door, Visitor
from tollkeeper.edge.files import file_name, kept_seconds, owner_of
from tollkeeper.edge.routes import Row, with_and_without_v1
from tollkeeper.edge.uploads import body_of, read_form
from tollkeeper.errors import BadRequest, Conflict

_ROUTE = "/v1/files"
_MAX_BYTES = 8 * 2**30
"""OpenAI's own limit of an upload."""
_FORM_BYTES = 10_000


class UploadsEdge:
    """`max_part_bytes`: what one request may carry."""

    def __init__(self, door: Door, uploads: Uploads, files: Files, *, max_part_bytes: int) -> None:
        self._door, self._uploads, self._files, self._max_part_bytes = door, uploads, files, max_part_bytes

    def routes(self) -> list[Row]:
        app = self._door.app
        return with_and_without_v1(
            [
                ("POST", "/uploads", app(_ROUTE, self.create)),
                ("POST", "/uploads/{upload_id}/parts", app(_ROUTE, self.part)),
                ("POST", "/uploads/{upload_id}/complete", app(_ROUTE, self.complete)),
                ("POST", "/uploads/{upload_id}/cancel", app(_ROUTE, self.cancel)),
            ]
        )

    async def create(self, visitor: Visitor) -> Json:
        body = await visitor.json()
        purpose, size, filename = checked_purpose(body.get("purpose")), body.get("bytes"), body.get("filename")
        if type(size) is not int or not 0 < size <= _MAX_BYTES:
            raise BadRequest(f"'bytes' must be a whole number between 1 and {_MAX_BYTES}.", param="bytes", code="invalid_value")
        if not isinstance(filename, str) or not filename:
            raise BadRequest("Missing required parameter: 'filename'.", param="filename", code="missing_required_parameter")
        owner = owner_of(visitor.principal)
        return (await self._uploads.create(file_name(filename), purpose, size, owner, seconds=kept_seconds(body))).shown()

    async def part(self, visitor: Visitor) -> Json:
        upload, part_id = await self._upload(visitor), self._uploads.new_part_id()
        if upload.status != PENDING:
            raise Conflict(f"The upload {upload.id} has ended already.", type="invalid_request_error", param="upload_id")
        too_large = f"A part may have {self._max_part_bytes} bytes here; choose a smaller part_size."
        body = body_of(visitor.receive, self._max_part_bytes + _FORM_BYTES, too_large)
        form = await read_form(body, visitor.headers.get("content-type", ""), self._files, part_id, field_name="data")
        if form.parts is None:
            raise BadRequest("Missing required parameter: 'data'.", param="data", code="missing_required_parameter")
        return await self._uploads.add_part(upload, part_id, form.parts)

    async def complete(self, visitor: Visitor) -> Json:
        part_ids = (await visitor.json()).get("part_ids")
        if (
            not isinstance(part_ids, list)
            or not part_ids
            or len(part_ids) > MAX_PARTS
            or not all(isinstance(part, str) for part in part_ids)
        ):
            raise BadRequest(f"'part_ids' must be a list of 1 to {MAX_PARTS} ids.", param="part_ids", code="invalid_type")
        upload, file = await self._uploads.complete(await self._upload(visitor), part_ids)
        return upload.shown(file)

    async def cancel(self, visitor: Visitor) -> Json:
        return (await self._uploads.cancel(await self._upload(visitor))).shown()

    async def _upload(self, visitor: Visitor) -> Upload:
        return await self._uploads.get(visitor.path["upload_id"], owner_of(visitor.principal))
