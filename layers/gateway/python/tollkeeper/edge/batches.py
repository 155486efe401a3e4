"""The batches API. https://platform.openai.com/docs/api-reference/batch"""

from collections.abc import Callable

from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.batches.files import Files
from tollkeeper.batches.records import ENDPOINTS, WINDOW
from tollkeeper.batches.register import Register
from tollkeeper.dialects.base import Json
from tollkeeper.edge.door import Door, Visitor
from tollkeeper.edge.files import owner_of, page, whole_number
from tollkeeper.edge.routes import Row, with_and_without_v1
from tollkeeper.errors import BadRequest, Forbidden, NotFound

_ROUTE = "/v1/batches"
_MOST, _USUAL = 100, 20
_MAX_METADATA, _KEY_LENGTH, _VALUE_LENGTH = 16, 64, 512


class BatchesEdge:
    def __init__(self, door: Door, register: Register, files: Files, authenticator: Authenticator, nudge: Callable[[], None]) -> None:
        """`nudge` is called when there is a new batch."""
        self._door, self._register, self._files, self._authenticator, self._nudge = door, register, files, authenticator, nudge

    def routes(self) -> list[Row]:
        app = self._door.app
        return with_and_without_v1(
            [
                ("POST", "/batches", app(_ROUTE, self.create)),
                ("GET", "/batches", app(_ROUTE, self.list)),
                ("GET", "/batches/{batch_id}", app(_ROUTE, self.retrieve)),
                ("POST", "/batches/{batch_id}/cancel", app(_ROUTE, self.cancel)),
            ]
        )

    async def create(self, visitor: Visitor) -> Json:
        body = await visitor.json()
        endpoint = _text(body, "endpoint")
        if endpoint not in ENDPOINTS:
            raise BadRequest(
                f"Invalid value: {endpoint[:100]!r}. Supported values are: {', '.join(ENDPOINTS)}.", param="endpoint", code="invalid_value"
            )
        if (window := _text(body, "completion_window")) != WINDOW:
            raise BadRequest(
                f"Invalid value: {window[:50]!r}. Supported value is: {WINDOW!r}.", param="completion_window", code="invalid_value"
            )
        metadata, owner = _metadata(body), owner_of(visitor.principal)
        await self._check_input(_text(body, "input_file_id"), visitor)
        if not await self._authenticator.returns(visitor.principal):
            raise Forbidden("A batch runs after its caller has left: it needs a virtual key, not a signed token.", type="auth_error")
        batch = await self._register.create(endpoint, body["input_file_id"], owner, metadata=metadata)
        self._nudge()
        return batch.shown()

    async def list(self, visitor: Visitor) -> Json:
        limit = whole_number(visitor.query.get("limit"), "limit", default=_USUAL, most=_MOST)
        batches, more = await self._register.page(owner_of(visitor.principal), after=visitor.query.get("after"), limit=limit)
        return page([batch.shown() for batch in batches], more=more)

    async def retrieve(self, visitor: Visitor) -> Json:
        return (await self._register.get(visitor.path["batch_id"], owner_of(visitor.principal))).shown()

    async def cancel(self, visitor: Visitor) -> Json:
        return (await self._register.cancel(visitor.path["batch_id"], owner_of(visitor.principal))).shown()

    async def _check_input(self, file_id: str, visitor: Visitor) -> None:
        try:
            file = await self._files.get(file_id, owner_of(visitor.principal))
        except NotFound as error:
            raise BadRequest(error.message, param="input_file_id", code="invalid_value") from None
        if file.purpose != "batch":
            raise BadRequest(
                f"The file {file_id} has the purpose '{file.purpose}'; a batch needs one uploaded with the purpose 'batch'.",
                param="input_file_id",
                code="invalid_purpose",
            )
        if file.status != "processed":
            raise BadRequest(f"The file {file_id} has not been uploaded yet.", param="input_file_id", code="invalid_value")


def _text(body: Json, name: str) -> str:
    value = body.get(name)
    if value is None or value == "":
        raise BadRequest(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")
    if not isinstance(value, str):
        raise BadRequest(f"'{name}' must be a string.", param=name, code="invalid_type")
    return value


def _metadata(body: Json) -> dict[str, str] | None:
    found = body.get("metadata")
    if found is None:
        return None
    good = isinstance(found, dict) and all(
        isinstance(value, str) and len(value) <= _VALUE_LENGTH and 0 < len(name) <= _KEY_LENGTH for name, value in found.items()
    )
    if not good or len(found) > _MAX_METADATA:
        limits = f"at most {_MAX_METADATA} strings of up to {_VALUE_LENGTH} characters, with names of up to {_KEY_LENGTH}"
        raise BadRequest(f"'metadata' must hold {limits}.", param="metadata", code="invalid_value")
    return dict(found)
