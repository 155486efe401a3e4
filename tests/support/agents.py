"""An agent that speaks A2A with the protocol's own package, both revisions: for upstreams of the agent gateway."""

from typing import Any

from a2a.helpers.proto_helpers import new_task_from_user_message, new_text_artifact_update_event, new_text_message
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, TaskState, TaskStatus, TaskStatusUpdateEvent
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send


class Echo(AgentExecutor):
    """Says a message back; one that begins with `count` becomes a task with three pieces."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        said = context.get_user_input()
        if not said.startswith("count"):
            await event_queue.enqueue_event(new_text_message(f"echo {said}", context_id=context.context_id))
            return
        assert context.message is not None
        task = context.current_task or new_task_from_user_message(context.message)
        await event_queue.enqueue_event(task)
        for number in range(3):
            piece = new_text_artifact_update_event(task.id, task.context_id, "count", str(number), number > 0, number == 2, "count")
            await event_queue.enqueue_event(piece)
        done = TaskStatusUpdateEvent(task_id=task.id, context_id=task.context_id, status=TaskStatus(state=TaskState.TASK_STATE_COMPLETED))
        await event_queue.enqueue_event(done)

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        raise NotImplementedError


def echo_agent(url: str, seen: list[dict[str, str]]) -> ASGIApp:
    """`url` goes into its card; `seen` collects the headers of what reaches it."""
    card = AgentCard(
        name="Echo",
        description="Says it back",
        version="2.0",
        supported_interfaces=[
            AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0"),
            AgentInterface(url="grpc://elsewhere", protocol_binding="GRPC", protocol_version="1.0"),
        ],
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="echo", name="Echo", description="Echoes", tags=["demo"])],
    )
    handler: Any = DefaultRequestHandler(Echo(), InMemoryTaskStore(), card)
    app = Starlette(routes=[*create_agent_card_routes(card), *create_jsonrpc_routes(handler, "/", enable_v0_3_compat=True)])

    async def watching(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            seen.append({name.decode(): value.decode() for name, value in scope["headers"]})
        await app(scope, receive, send)

    return watching
