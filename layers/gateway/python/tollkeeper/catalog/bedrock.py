"""What LiteLLM's model names on Bedrock say beside the model: the API to use and the region. https://docs.litellm.ai/docs/providers/bedrock

bedrock/anthropic.claude-…                 Converse
bedrock/converse/us.anthropic.claude-…     the same, through an inference profile
bedrock/invoke/anthropic.claude-…          InvokeModel
bedrock/us-west-2/…                        a region
bedrock/arn:aws:bedrock:eu-central-1:…     an ARN, which names its region
"""

import re
from dataclasses import dataclass

_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")
_ARN = re.compile(r"arn:aws[a-z-]*:[a-z-]+:(?P<region>[a-z0-9-]+):")
_ROUTES = ("converse", "invoke")


@dataclass(frozen=True, slots=True)
class BedrockName:
    """`model` is what AWS is asked for; `route` is `converse`, `invoke` or empty; `region` empty where the name has none."""

    model: str
    route: str = ""
    region: str = ""


def bedrock_name(name: str) -> BedrockName:
    route, region = "", ""
    while True:
        head, slash, rest = name.partition("/")
        if slash and not route and head in _ROUTES:
            route, name = head, rest
        elif slash and not region and _REGION.fullmatch(head):
            region, name = head, rest
        else:
            break
    arn = _ARN.match(name)
    return BedrockName(name, route, arn["region"] if arn else region)


def invoked(name: BedrockName) -> bool:
    """Whether InvokeModel is spoken: its bodies differ by family, and here that is Claude's Messages. All others have Converse."""
    return name.route == "invoke" and ("claude" in name.model or name.model.startswith("arn:"))
