"""The Responses API: create, buffered or streamed. https://platform.openai.com/docs/api-reference/responses"""

from tollkeeper.catalog.endpoints import COMPACT, RESPONSES
from tollkeeper.edge.responses_answer import response_of
from tollkeeper.edge.responses_request import check_response, response_to_hub
from tollkeeper.edge.responses_stream import PassedResponse, ResponseFrames
from tollkeeper.edge.serving import Api

RESPONSES_API = Api(
    RESPONSES,
    check_response,
    frames=ResponseFrames,
    native_frames=PassedResponse,
    say=response_of,
    to_hub=response_to_hub,
)
COMPACT_API = Api(COMPACT, check_response)
