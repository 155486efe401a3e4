"""The Anthropic API: messages and their token counts. https://docs.claude.com/en/api/messages"""

from tollkeeper.catalog.endpoints import MESSAGES
from tollkeeper.dialects.base import Json
from tollkeeper.edge.anthropic_answer import MessagesFrames, message_of
from tollkeeper.edge.anthropic_request import check_countable, check_messages, messages_to_hub
from tollkeeper.edge.counting import estimated_tokens
from tollkeeper.edge.http import ClientGone, Receive, Scope, Send, send_json
from tollkeeper.edge.problems import anthropic_error, anthropic_error_event
from tollkeeper.edge.serving import Api, Desk, Passed


class _PassedMessages(Passed):
    def fail(self, error: BaseException, call_id: str) -> bytes:
        return anthropic_error_event(error, call_id)


MESSAGES_API = Api(
    MESSAGES,
    check_messages,
    frames=MessagesFrames,
    native_frames=_PassedMessages,
    say=message_of,
    to_hub=messages_to_hub,
    error=anthropic_error,
)
_COUNT_API = Api(MESSAGES, check_countable, error=anthropic_error)


class CountTokens:
    """`POST /v1/messages/count_tokens`, free of charge. https://docs.claude.com/en/api/messages-count-tokens"""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call_id = self._desk.clock.new_id()
        try:
            call = await self._desk.read(scope, receive, call_id, _COUNT_API)
            counted: Json | None = await self._desk.gateway.count_tokens(call, await self._desk.gateway.group(call))
            headers = {"x-litellm-call-id": call.shown_id, "request-id": call_id}
            await send_json(send, 200, headers, counted or {"input_tokens": estimated_tokens(call.body)})
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the edge is where every failure gets its answer
            await send_json(send, *anthropic_error(error, call_id))
