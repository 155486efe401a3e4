"""A gateway's management API as the command line talks to it, on this machine or anywhere."""

from typing import Any

import httpx

from tollkeeper.errors import TollkeeperError

_TIMEOUT = httpx.Timeout(30, connect=5)


class GatewayRefused(TollkeeperError):
    """The gateway answered with an error; `status` and `message` are its own. 0: it did not answer."""

    fault = "caller"


class GatewayClient:
    """`http` has the base URL and the key. Raises GatewayRefused for every answer that is not a 2xx."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def call(self, method: str, path: str, *, body: Any = None, **query: Any) -> Any:
        request: dict[str, Any] = {"params": query} if query else {}
        if body is not None:
            request["json"] = body
        try:
            answer = await self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            raise GatewayRefused(f"{self._http.base_url}: {type(error).__name__}: {error}", status=0) from None
        if answer.is_success:
            return answer.json()
        raise GatewayRefused(f"{method} {path}: {_message(answer)}", status=answer.status_code)

    async def find(self, method: str, path: str, **query: Any) -> Any:
        """None for 404."""
        try:
            return await self.call(method, path, **query)
        except GatewayRefused as refused:
            if refused.status == 404:
                return None
            raise


def connect(url: str, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=_TIMEOUT)


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"
