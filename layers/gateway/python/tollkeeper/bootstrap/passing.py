"""Raw provider APIs, configured endpoints, tools and agents, wired."""

from typing import TYPE_CHECKING

from tollkeeper.bootstrap.batches import door_of
from tollkeeper.edge.later import later
from tollkeeper.edge.passage import Passage
from tollkeeper.edge.passthrough import PassThrough
from tollkeeper.edge.routes import Row
from tollkeeper.edge.toll import Toll
from tollkeeper.providers.upstreams import Upstreams

if TYPE_CHECKING:
    from tollkeeper.bootstrap.running import Running


def passage_of(running: "Running") -> Passage:
    clock = running.installation.clock
    return Passage(
        running.gateway,
        running.doorkeeper,
        running.authenticator,
        clock,
        rules=lambda: running.live.groups().rules,
        guards=running.guards,
    )


def upstreams_of(running: "Running") -> Upstreams:
    return Upstreams(running.installation.transport, running.installation.credentials)


def pass_through(running: "Running") -> PassThrough:
    installation = running.installation
    return PassThrough(
        passage_of(running),
        running.client,
        upstreams_of(running),
        authenticator=running.authenticator,
        clock=installation.clock,
        deployments=lambda: running.live.groups().snapshot.deployments,
        max_bytes=installation.snapshot.max_request_bytes or installation.settings.max_request_bytes,
    )


def tool_rows(running: "Running") -> list[Row]:
    """The MCP gateway's; without servers it answers all the same, with no tools."""
    installation = running.installation
    servers = [upstream for upstream in installation.snapshot.upstreams if upstream.kind == "mcp"]

    def build() -> list[Row]:
        from tollkeeper.edge.mcp import McpEdge
        from tollkeeper.providers.mcp_client import McpClient

        client, heartbeat = McpClient(upstreams_of(running)), installation.settings.heartbeat_seconds
        return McpEdge(door_of(running), client, toll_of(running), servers, heartbeat_seconds=heartbeat).routes()

    paths = ("/mcp", "/mcp/", "/mcp/{servers}", *(f"/{server.name}/mcp" for server in servers))
    return later((*paths, "/mcp-rest/tools/list", "/mcp-rest/tools/call"), build, installation.clock)


def agent_rows(running: "Running") -> list[Row]:
    installation = running.installation
    agents = [upstream for upstream in installation.snapshot.upstreams if upstream.kind == "agent"]

    def build() -> list[Row]:
        from tollkeeper.edge.a2a import AgentsEdge
        from tollkeeper.edge.a2a_model import ModelAgent

        model_agent = ModelAgent(running.gateway, heartbeat_seconds=installation.settings.heartbeat_seconds)
        return AgentsEdge(door_of(running), upstreams_of(running), toll_of(running), model_agent, agents).routes()

    cards = (".well-known/agent-card.json", ".well-known/agent.json")
    paths = ("", "/", "/message/send", "/message/stream", *(f"/{card}" for card in cards))
    return later((*(f"/a2a/{{agent}}{path}" for path in paths), "/v1/agents"), build, installation.clock)


def toll_of(running: "Running") -> "Toll":

    return Toll(running.gateway, running.doorkeeper, running.authenticator, running.installation.clock)
