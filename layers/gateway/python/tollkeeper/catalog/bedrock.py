"""What LiteLLM's model names on Bedrock say beside the model: the API to use and the region. https://docs.litellm.ai/docs/providers/bedrock

bedrock/anthropic.claude-…                 Converse
bedrock/converse/us.anthropic.claude-…     the same, through an inference profile
bedrock/invoke/anthropic.claude-…          InvokeModel
bedrock/llama/arn:…:imported-model/…       InvokeModel of an imported model, in the words of that family
bedrock/us-west-2/…                        a region
bedrock/arn:aws:bedrock:eu-central-1:…     an ARN, which names its region
"""

import re
from dataclasses import dataclass

_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")
_ARN = re.compile(r"arn:aws[a-z-]*:[a-z-]+:(?P<region>[a-z0-9-]+):")
_ROUTES = ("converse", "invoke")
_FAMILIES = ("llama", "deepseek_r1", "qwen2", "qwen3", "openai", "mistral", "nova", "titan")


@dataclass(frozen=True, slots=True)
class BedrockName:
    """`model` is what AWS is asked for; `route` is `converse`, `invoke` or empty; `region` empty where the name has none."""

    model: str
    route: str = ""
    region: str = ""
    family: str = ""
    """What an ARN does not say: whose words the model speaks."""


def bedrock_name(name: str) -> BedrockName:
    route, region, family = "", "", ""
    while True:
        head, slash, rest = name.partition("/")
        if slash and not route and head in _ROUTES:
            route, name = head, rest
        elif slash and not region and _REGION.fullmatch(head):
            region, name = head, rest
        elif slash and not family and head in _FAMILIES:
            family, name = head, rest
        else:
            break
    arn = _ARN.match(name)
    return BedrockName(name, route, arn["region"] if arn else region, family)


def invoked(name: BedrockName) -> str:
    """The dialect if InvokeModel is spoken, whose bodies differ by family; "" for Converse. An ARN that says no more is Claude's."""
    if name.family and name.route != "converse":
        return "bedrock_family"
    if name.route != "invoke":
        return ""
    return "bedrock_invoke" if "claude" in name.model or name.model.startswith("arn:") else "bedrock_family"
