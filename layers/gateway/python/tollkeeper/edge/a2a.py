"""The agent gateway: `/a2a/{agent}` speaks JSON-RPC for every configured agent, with a virtual key, a flat price and a ledger entry.

What an agent of one's own answers passes as it comes, in whatever revision it speaks. https://docs.litellm.ai/docs/a2a
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

import orjson

from tollkeeper.auth.principal import Principal
from tollkeeper.config.snapshot import Upstream
from tollkeeper.dialects.base import Json
from tollkeeper.edge.a2a_card import address_in, card_of
from tollkeeper.edge.a2a_model import ModelAgent
from tollkeeper.edge.door import Door, Visitor
from tollkeeper.edge.http import raw_headers, read_body, send_json, while_caller_stays
from tollkeeper.edge.jsonrpc import INVALID_REQUEST, PARSE_ERROR, RpcCall, RpcFault, call_of, fault_from, fault_of, id_in, rpc_error
from tollkeeper.edge.routes import Row
from tollkeeper.edge.toll import Toll
from tollkeeper.errors import Forbidden, NotFound, TollkeeperError, Unauthenticated, UpstreamError
from tollkeeper.money import ZERO, usd_to_nano
from tollkeeper.providers.transport import read_all
from tollkeeper.providers.upstreams import Upstreams

_ROUTE, _CALL_TYPE = "/a2a", "asend_message"
_PASSED = frozenset({"content-type", "accept", "a2a-version", "a2a-extensions", "x-a2a-extensions"})
_KEPT = frozenset({"content-type", "cache-control", "a2a-version", "a2a-extensions"})
_CARD_PATHS = ("/.well-known/agent-card.json", "/.well-known/agent.json")
_MAX_CARD_BYTES = 2**20


class AgentsEdge:
    """One per process."""

    def __init__(self, door: Door, upstreams: Upstreams, toll: Toll, model_agent: ModelAgent, agents: Sequence[Upstream]) -> None:
        self._door, self._upstreams, self._toll, self._model_agent = door, upstreams, toll, model_agent
        self._agents = {agent.name: agent for agent in agents}
        self._cards: dict[str, Json] = {}

    def routes(self) -> list[Row]:
        post, card = self._door.app(_ROUTE, self.post, rpc_error), self._door.app(_ROUTE, self.card)
        paths = ("", "/", "/message/send", "/message/stream")
        return [
            *(("POST", f"/a2a/{{agent}}{path}", post) for path in paths),
            *(("GET", f"/a2a/{{agent}}{path}", card) for path in _CARD_PATHS),
            ("GET", "/v1/agents", self._door.app(_ROUTE, self.list)),
        ]

    async def list(self, visitor: Visitor) -> None:
        """LiteLLM answers with a bare list."""
        agents = [agent for agent in self._agents.values() if _may_use(visitor.principal, agent)]
        rows = [
            {"agent_id": agent.name, "agent_name": agent.name, "agent_card_params": card_of(agent, {}, _url(visitor, agent))}
            for agent in agents
        ]
        await send_json(visitor.send, 200, {"x-litellm-call-id": visitor.call_id}, rows)

    async def card(self, visitor: Visitor) -> Json:
        agent = self._agent(visitor)
        return card_of(agent, await self._own_card(agent), _url(visitor, agent))

    async def post(self, visitor: Visitor) -> Json | None:
        data = await read_body(visitor.receive, visitor.headers, visitor.max_bytes)
        agent = self._agent(visitor)
        try:
            message = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            return fault_of(RpcFault(PARSE_ERROR, f"The request body is not valid JSON: {error.msg}."))
        try:
            call = call_of(message)
            if call is None:
                raise RpcFault(INVALID_REQUEST, "'method' is missing.")
            if agent.terms["model"]:
                return await self._model_agent.answer(visitor, agent, call)
            await self._pass_on(visitor, agent, call, data)
        except RpcFault as fault:
            return fault_of(fault, id_in(message))
        except (Unauthenticated, Forbidden):
            raise
        except TollkeeperError as error:
            return fault_of(fault_from(error, visitor.call_id), id_in(message))
        return None

    async def _pass_on(self, visitor: Visitor, agent: Upstream, call: RpcCall, data: bytes) -> None:
        """The agent's answer as it comes, also a stream."""
        price = agent.terms["cost_per_request"]
        cost = usd_to_nano(price) if isinstance(price, int | float) else ZERO
        url = address_in(await self._own_card(agent)) or agent.url
        headers = {name: value for name, value in visitor.headers.items() if name in _PASSED}
        paid = await self._toll.enter(
            visitor.principal, visitor.headers, visitor.call_id, call_type=_CALL_TYPE, model=f"a2a_agent/{agent.name}", cost=cost
        )

        async def relay() -> None:
            async with paid:
                response = await self._upstreams.send(agent, "POST", url, data, headers)
                try:
                    kept = {name: value for name, value in response.headers.items() if name in _KEPT}
                    head = {**kept, "x-litellm-call-id": visitor.call_id}
                    await visitor.send({"type": "http.response.start", "status": response.status, "headers": raw_headers(head)})
                    async for block in response.chunks():
                        await visitor.send({"type": "http.response.body", "body": block, "more_body": True})
                finally:
                    await response.aclose()
            await visitor.send({"type": "http.response.body", "body": b""})

        await while_caller_stays(visitor.receive, relay())

    async def _own_card(self, agent: Upstream) -> Json:
        """What the agent says of itself, asked once; a configuration that names and describes it is enough."""
        if agent.terms["model"] or agent.terms["card"].get("skills") or agent.terms["card"].get("description"):
            return {}
        if agent.name not in self._cards:
            for path in _CARD_PATHS:
                if (found := await self._fetched(agent, path)) is not None:
                    self._cards[agent.name] = found
                    break
        return self._cards.get(agent.name, {})

    async def _fetched(self, agent: Upstream, path: str) -> Json | None:
        try:
            response = await self._upstreams.send(agent, "GET", f"{agent.url.rstrip('/')}{path}", b"", {"accept": "application/json"})
            data = await read_all(response, _MAX_CARD_BYTES)
        except UpstreamError:
            return None
        try:
            card = orjson.loads(data) if response.status == 200 else None
        except orjson.JSONDecodeError:
            return None
        return card if isinstance(card, dict) else None

    def _agent(self, visitor: Visitor) -> Upstream:
        """Raises NotFound, Forbidden."""
        name = visitor.path["agent"]
        agent = self._agents.get(name)
        if agent is None:
            raise NotFound(f"There is no agent {name[:100]}.", param="agent", code="agent_not_found")
        if not _may_use(visitor.principal, agent):
            raise Forbidden(f"The agent {name[:100]} is not available for this API key.", type="agent_access_denied", param="agent")
        return agent


def _may_use(principal: Principal, agent: Upstream) -> bool:
    """`object_permission.agents` of the key and of its team."""
    owners = (principal.key, principal.team)
    permissions = [owner.extra.get("object_permission") for owner in owners if owner is not None]
    lists = [each.get("agents") for each in permissions if isinstance(each, dict)]
    return principal.is_master or all(agent.name in listed for listed in lists if listed)


def _url(visitor: Visitor, agent: Upstream) -> str:
    """The agent's address as this caller reaches it."""
    scheme = str(visitor.headers.get("x-forwarded-proto") or visitor.scope.get("scheme", "http")).partition(",")[0].strip()
    host = visitor.headers.get("host", "localhost")
    root = str(visitor.scope.get("root_path", "")).rstrip("/")
    return f"{scheme if urlsplit(f'{scheme}://x').scheme in {'http', 'https'} else 'https'}://{host}{root}/a2a/{agent.name}"
