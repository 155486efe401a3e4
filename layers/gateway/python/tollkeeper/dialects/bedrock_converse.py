"""Amazon Bedrock's Converse and ConverseStream. https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference.html

`base_url` is `https://bedrock-runtime.{region}.amazonaws.com`. Requests: bedrock_messages, bedrock_media, bedrock_options, bedrock_models.
Answers: bedrock_answer, bedrock_stream. Signing is providers' business.
"""

from collections.abc import Mapping
from urllib.parse import quote

import orjson

from tollkeeper.dialects.base import Json, StreamDecoder, Target, WireRequest
from tollkeeper.dialects.bedrock_answer import answer_fields, dicts, envelope, fields, finish_of, message_of, tier_of, usage_of
from tollkeeper.dialects.bedrock_errors import error_from_bedrock
from tollkeeper.dialects.bedrock_messages import messages_of
from tollkeeper.dialects.bedrock_options import body_of
from tollkeeper.dialects.bedrock_stream import ConverseStream
from tollkeeper.dialects.error_bodies import error_from_tree, not_json
from tollkeeper.dialects.fields import drop_unsupported, unsupported_by_profile, upstream_fields
from tollkeeper.errors import UpstreamError, UpstreamProtocolError


class BedrockConverse:
    """See base.ChatDialect."""

    name = "bedrock_converse"

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises BadRequest or UnsupportedParams naming the field at fault."""
        given = upstream_fields(request, target)
        drop_unsupported(given, unsupported_by_profile(target), target)
        system, messages = messages_of(given.get("messages"))
        body = body_of(given, system, messages, target)
        operation = "converse-stream" if given.get("stream") else "converse"
        url = f"{target.base_url}/model/{model_path(target.model)}/{operation}"
        return WireRequest(url=url, body=orjson.dumps(body), headers={"content-type": "application/json"})

    def decode(self, body: bytes, target: Target) -> Json:
        """Raises UpstreamProtocolError for what is no answer, and the typed error of an error object under HTTP 200."""
        try:
            tree = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise not_json(body, target) from None
        output = tree.get("output") if isinstance(tree, dict) else None
        message = output.get("message") if isinstance(output, dict) else None
        if not isinstance(message, dict):
            if isinstance(tree, dict) and isinstance(tree.get("message"), str):
                raise error_from_tree(tree, target)
            raise UpstreamProtocolError(f"{target.provider or 'The provider'} answered without a message.", upstream_status=200)
        return _completion(tree, dicts(message.get("content")), body, target)

    def stream_decoder(self, target: Target) -> StreamDecoder:
        return ConverseStream(target)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
        return error_from_bedrock(status, headers, body, target)


def model_path(model: str) -> str:
    """A model id, inference profile or ARN as one path segment: `:` and `/` encoded, as the AWS SDKs do."""
    return quote(model, safe="")


def _completion(tree: Json, blocks: list[Json], body: bytes, target: Target) -> Json:
    message = message_of(blocks)
    stop = str(tree.get("stopReason") or "end_turn")
    if found := answer_fields(tree, stop):
        fields(message).update(found)
    finish = finish_of(stop, called="tool_calls" in message)
    answer = {
        **envelope(body, target, "chat.completion"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        **tier_of(tree),
    }
    usage = usage_of(tree.get("usage"))
    return {**answer, "usage": usage} if usage else answer
