"""Bytes on their way in: a multipart form or a plain body, put away part by part while they come."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tollkeeper.batches.files import Files, FileWriter
from tollkeeper.edge.http import ClientGone, Receive
from tollkeeper.edge.multipart import MultipartReader, Part, boundary_of
from tollkeeper.errors import BadRequest, PayloadTooLarge

MAX_FIELD_BYTES = 65_536


@dataclass(slots=True)
class Upload:
    """What a form held. `parts` are the file's, in the object store."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str | None = None
    parts: list[tuple[str, int]] | None = None


async def body_of(receive: Receive, limit: int, too_large: str) -> AsyncIterator[bytes]:
    """Raises PayloadTooLarge with the message `too_large`, and ClientGone."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        data = message.get("body", b"")
        size += len(data)
        if size > limit:
            raise PayloadTooLarge(too_large, param="file")
        if data:
            yield data
        if not message.get("more_body"):
            return


async def read_form(body: AsyncIterator[bytes], content_type: str, files: Files, file_id: str, *, field_name: str = "file") -> Upload:
    """A form with one file, `field_name`. Raises BadRequest, and what `body` raises; nothing is left behind then."""
    upload, writer = Upload(), files.writer(file_id)
    try:
        await _read(body, MultipartReader(boundary_of(content_type)), upload, writer, field_name)
    except BaseException:
        await writer.abandon()
        raise
    return upload


async def store(body: AsyncIterator[bytes], files: Files, file_id: str) -> list[tuple[str, int]]:
    """A plain body as a file's parts."""
    writer = files.writer(file_id)
    try:
        async for data in body:
            await writer.write(data)
        await writer.close()
    except BaseException:
        await writer.abandon()
        raise
    return writer.parts


async def _read(body: AsyncIterator[bytes], reader: MultipartReader, upload: Upload, writer: FileWriter, field_name: str) -> None:
    part: Part | None = None
    text = bytearray()
    async for data in body:
        for event in reader.feed(data):
            if isinstance(event, Part):
                part, text = event, bytearray()
                if event.name == field_name:
                    upload.filename = event.filename or "upload"
            elif part is None:
                continue
            elif part.name == field_name:
                await (writer.close() if event is None else writer.write(event))
                upload.parts = writer.parts
            elif event is None:
                upload.fields[part.name] = text.decode("utf-8", "replace")
            else:
                text += event
                if len(text) > MAX_FIELD_BYTES:
                    raise BadRequest(f"The field '{part.name[:50]}' is too long.", param=part.name[:50])
    reader.close()
