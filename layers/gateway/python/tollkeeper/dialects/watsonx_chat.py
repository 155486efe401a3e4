"""IBM watsonx.ai's chat API: OpenAI's messages in a body that names the model `model_id` and the project it is billed to.

https://cloud.ibm.com/apidocs/watsonx-ai#text-chat · #text-chat-stream
"""

from urllib.parse import quote

import orjson

from tollkeeper.dialects.base import Json, Target, WireRequest
from tollkeeper.dialects.openai_chat import OpenAIChat, chat_body

VERSION = "2024-10-08"
"""The API's date, where the deployment's address has none (`api_version`)."""
_DEPLOYED = "deployment/"


class WatsonxChat(OpenAIChat):
    """See base.ChatDialect. `project_id` or `space_id` are the deployment's, in its litellm_params."""

    name = "watsonx_chat"

    def encode(self, request: Json, target: Target) -> WireRequest:
        """Raises UnsupportedParams."""
        body = chat_body(request, target)
        streamed = body.pop("stream", None) is True
        body.pop("stream_options", None)
        # A choice in words has a field of its own; a named function is OpenAI's.
        if isinstance(body.get("tool_choice"), str):
            body["tool_choice_option"] = body.pop("tool_choice")
        model = body.pop("model")
        deployed = target.model.startswith(_DEPLOYED)
        if not deployed:
            body["model_id"] = model
        else:  # it knows its model and its space
            body = {name: value for name, value in body.items() if name not in {"project_id", "space_id"}}
        url = _url(target, "chat_stream" if streamed else "chat", deployed=deployed)
        return WireRequest(url=url, body=orjson.dumps(body), headers={"content-type": "application/json"})


def _url(target: Target, operation: str, *, deployed: bool) -> str:
    place = f"/ml/v1/deployments/{quote(target.model.removeprefix(_DEPLOYED), safe='')}/text" if deployed else "/ml/v1/text"
    return versioned(target, f"{place}/{operation}")


def versioned(target: Target, path: str) -> str:
    """An address of the API, with its date."""
    base, _, query = target.base_url.partition("?")
    return f"{base}{path}?{query or f'version={VERSION}'}"
