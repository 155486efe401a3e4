"""Batches that a provider runs itself, for half the price and within a day: handed over whole, asked after, and fetched line by line.

https://platform.openai.com/docs/api-reference/batch https://docs.claude.com/en/api/creating-message-batches
A deployment is one of these at its provider's own address, or where its model_info.mode is `batch`; anything may stand behind another one.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from tollkeeper.batches.lines import Line, LineSplitter
from tollkeeper.catalog.providers import PROVIDERS
from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects import registry
from tollkeeper.dialects.base import Json
from tollkeeper.errors import TollkeeperError, UpstreamProtocolError, UpstreamRejected, UpstreamUnreachable
from tollkeeper.providers.client import ProviderClient
from tollkeeper.providers.target import target_for
from tollkeeper.providers.transport import OutboundRequest, Response, Timeouts, read_all

MAX_BYTES = 48 * 2**20
"""Of an input file that is handed over: it goes out in one request."""
CHAT = "/v1/chat/completions"
_BOUNDARY = "tollkeeper-batch"
_TIMEOUTS = Timeouts(first_byte=120.0, read=120.0)


@dataclass(frozen=True, slots=True)
class Handed:
    """How a batch stands at its provider. `results` are addresses to fetch, one after another."""

    ended: bool
    completed: int = 0
    failed: int = 0
    results: tuple[str, ...] = ()
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class NativeAnswer:
    """One finished line in the caller's words; `usage` is the hub's, where the provider charges."""

    custom_id: str
    status: int
    body: Json | None
    error: Json | None
    usage: Json | None


class NativeProvider(Protocol):
    """Raises UpstreamError. `tag` is our id of the batch."""

    async def submit(self, deployment: Deployment, endpoint: str, lines: Sequence[Line], tag: str) -> str:
        """Hands over; the provider's id."""
        ...

    async def find(self, deployment: Deployment, tag: str) -> str | None:
        """A batch handed over by somebody who died before noting its id. None: it is not known."""
        ...

    async def look(self, deployment: Deployment, native_id: str) -> Handed: ...
    async def cancel(self, deployment: Deployment, native_id: str) -> None: ...
    def answer(self, deployment: Deployment, alias: str, endpoint: str, row: Json) -> NativeAnswer: ...


def runs_natively(deployment: Deployment, endpoint: str) -> bool:
    if deployment.dialect == "anthropic_messages":
        return _at_home(deployment, "anthropic") and endpoint == CHAT
    return deployment.dialect in {"openai_chat", "openai_responses"} and _at_home(deployment, "openai")


def _at_home(deployment: Deployment, provider: str) -> bool:
    row = PROVIDERS[provider]
    return deployment.mode == "batch" or (deployment.provider == provider and deployment.base_url == row.base_url)


class Calls:
    """The few requests there are, with our credential."""

    def __init__(self, client: ProviderClient) -> None:
        self._client = client

    async def json(
        self, deployment: Deployment, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Json:
        response = await self._sent(deployment, method, f"{deployment.base_url}{path}", body, headers or {})
        data = await read_all(response)
        try:
            found: Any = orjson.loads(data)
        except orjson.JSONDecodeError:
            found = None
        if isinstance(found, dict):
            return found
        raise UpstreamProtocolError(f"{deployment.provider} did not answer in JSON about a batch.")

    async def rows(self, deployment: Deployment, url: str) -> AsyncIterator[Json]:
        """A JSONL file, streamed."""
        response = await self._sent(deployment, "GET", url, b"", {})
        splitter = LineSplitter()
        try:
            async for block in response.chunks():
                for raw in splitter.feed(block):
                    yield orjson.loads(raw.data)
            for raw in splitter.close():
                yield orjson.loads(raw.data)
        except orjson.JSONDecodeError:
            raise UpstreamProtocolError(f"{deployment.provider} sent results of a batch that are not JSONL.") from None
        finally:
            await response.aclose()

    async def _sent(self, deployment: Deployment, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Response:
        request = OutboundRequest(url, body, {"content-type": "application/json", **headers}, method, _TIMEOUTS)
        response = await self._client.raw(deployment, request)
        if response.status < 300:
            return response
        said = await read_all(response, 2**20)
        dialect, target = registry.get(deployment.dialect), target_for(deployment, deployment.group, 0)
        raise dialect.decode_error(response.status, response.headers, said, target)


class OpenAIBatches:
    """Implements NativeProvider."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def submit(self, deployment: Deployment, endpoint: str, lines: Sequence[Line], tag: str) -> str:
        rows = (orjson.dumps(_request(line, deployment, endpoint)) for line in lines)
        form = {"content-type": f"multipart/form-data; boundary={_BOUNDARY}"}
        file = await self._calls.json(deployment, "POST", "/files", _form(tag, b"\n".join(rows)), form)
        asked = {"input_file_id": file.get("id"), "endpoint": endpoint, "completion_window": "24h", "metadata": {"tollkeeper_batch": tag}}
        made = await self._calls.json(deployment, "POST", "/batches", orjson.dumps(asked))
        return _id_of(made, deployment)

    async def find(self, deployment: Deployment, tag: str) -> str | None:
        listed = await self._calls.json(deployment, "GET", "/batches?limit=100")
        for row in listed.get("data") or []:
            if isinstance(row, dict) and (row.get("metadata") or {}).get("tollkeeper_batch") == tag:
                return _id_of(row, deployment)
        return None

    async def look(self, deployment: Deployment, native_id: str) -> Handed:
        batch = await self._calls.json(deployment, "GET", f"/batches/{native_id}")
        counts = batch.get("request_counts") or {}
        completed, failed = int(counts.get("completed") or 0), int(counts.get("failed") or 0)
        status = batch.get("status")
        if status not in {"completed", "failed", "expired", "cancelled"}:
            return Handed(ended=False, completed=completed, failed=failed)
        files = (batch.get("output_file_id"), batch.get("error_file_id"))
        results = tuple(f"{deployment.base_url}/files/{file_id}/content" for file_id in files if file_id)
        failure = orjson.dumps(batch.get("errors")).decode()[:500] if status == "failed" else None
        return Handed(True, completed, failed, results, failure)

    async def cancel(self, deployment: Deployment, native_id: str) -> None:
        await self._calls.json(deployment, "POST", f"/batches/{native_id}/cancel")

    def answer(self, deployment: Deployment, alias: str, endpoint: str, row: Json) -> NativeAnswer:
        response = row.get("response") if isinstance(row.get("response"), dict) else None
        custom_id = str(row.get("custom_id") or "")
        if response is None:
            return NativeAnswer(custom_id, 0, None, row.get("error") or {"code": "unknown", "message": "No answer."}, None)
        body = response.get("body") if isinstance(response.get("body"), dict) else {}
        status = int(response.get("status_code") or 500)
        usage = body.get("usage") if status < 300 else None
        return NativeAnswer(custom_id, status, {**body, "model": alias} if "model" in body else body, None, _as_hub(usage))


class AnthropicBatches:
    """Implements NativeProvider. Requests are translated as any chat, and so are the messages that come back."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def submit(self, deployment: Deployment, endpoint: str, lines: Sequence[Line], tag: str) -> str:
        dialect, target = registry.get("anthropic_messages"), target_for(deployment, deployment.group, 0)
        requests: list[Json] = []
        headers: dict[str, str] = {}
        for line in lines:
            wire = dialect.encode(line.body, target)
            headers = {**headers, **wire.headers}
            # Anthropic takes no other characters in a custom_id, so a line goes by its number.
            requests.append({"custom_id": str(line.number), "params": orjson.loads(wire.body)})
        made = await self._calls.json(deployment, "POST", _path(deployment, ""), orjson.dumps({"requests": requests}), headers)
        return _id_of(made, deployment)

    async def find(self, deployment: Deployment, tag: str) -> str | None:
        return None  # nothing of ours is kept there

    async def look(self, deployment: Deployment, native_id: str) -> Handed:
        batch = await self._calls.json(deployment, "GET", _path(deployment, f"/{native_id}"), headers=_VERSION)
        counts = batch.get("request_counts") or {}
        failed = sum(int(counts.get(name) or 0) for name in ("errored", "canceled", "expired"))
        ended, url = batch.get("processing_status") == "ended", batch.get("results_url")
        return Handed(ended, int(counts.get("succeeded") or 0), failed, (str(url),) if ended and url else ())

    async def cancel(self, deployment: Deployment, native_id: str) -> None:
        await self._calls.json(deployment, "POST", _path(deployment, f"/{native_id}/cancel"), headers=_VERSION)

    def answer(self, deployment: Deployment, alias: str, endpoint: str, row: Json) -> NativeAnswer:
        found = row.get("result")
        result: Json = found if isinstance(found, dict) else {}
        number, kind = str(row.get("custom_id") or ""), result.get("type")
        if kind == "succeeded":
            target = target_for(deployment, alias, 0)
            hub = registry.get("anthropic_messages").decode(orjson.dumps(result.get("message")), target)
            return NativeAnswer(number, 200, hub, None, hub.get("usage"))
        error = (result.get("error") or {}).get("error") or {}
        told = {"code": str(error.get("type") or f"batch_{kind}"), "message": str(error.get("message") or f"The request was {kind}.")}
        return NativeAnswer(number, 0, None, told, None)


_VERSION = {"anthropic-version": "2023-06-01"}


def native_provider(deployment: Deployment, client: ProviderClient) -> NativeProvider:
    calls = Calls(client)
    return AnthropicBatches(calls) if deployment.dialect == "anthropic_messages" else OpenAIBatches(calls)


def was_refused(error: TollkeeperError) -> bool:
    """The provider said no to a submission, so that there is nothing there."""
    return isinstance(error, UpstreamRejected) or not isinstance(error, UpstreamUnreachable | UpstreamProtocolError)


def _path(deployment: Deployment, rest: str) -> str:
    root = "" if deployment.base_url.endswith("/v1") else "/v1"
    return f"{root}/messages/batches{rest}"


def _request(line: Line, deployment: Deployment, endpoint: str) -> Json:
    return {"custom_id": line.custom_id, "method": "POST", "url": endpoint, "body": {**line.body, "model": deployment.model}}


def _id_of(made: Json, deployment: Deployment) -> str:
    found = made.get("id")
    if not isinstance(found, str) or not found:
        raise UpstreamProtocolError(f"{deployment.provider} made a batch without an id.")
    return found


def _form(tag: str, data: bytes) -> bytes:
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{tag}.jsonl"\r\n'
        "Content-Type: application/jsonl\r\n\r\n"
    )
    return head.encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode()


def _as_hub(usage: Any) -> Json | None:
    """The Responses API counts under other names."""
    if not isinstance(usage, dict) or "input_tokens" not in usage:
        return usage if isinstance(usage, dict) else None
    return {
        "prompt_tokens": usage.get("input_tokens"),
        "completion_tokens": usage.get("output_tokens"),
        "total_tokens": usage.get("total_tokens"),
        "prompt_tokens_details": usage.get("input_tokens_details"),
        "completion_tokens_details": usage.get("output_tokens_details"),
    }
