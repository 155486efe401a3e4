"""What model families can and cannot do, as rows matched by name. A row needs a reason and a link, and says only what is sure:
a request is otherwise passed on as it came, and the provider judges it.

Quirks, and what a dialect does about each:

    max_completion_tokens   send the output limit under this name even if it came as max_tokens
    max_tokens              the other way round
    no_stream_options       do not ask for usage in streams: the provider refuses the field, and sends usage anyway
    developer_to_system     send `developer` messages as `system`
    unsupported:<name>      the parameter is refused by the model: UnsupportedParams, or dropped with drop_params
    encrypted_reasoning     Responses: ask for the reasoning, encrypted, so that it can go back without being stored
    adaptive_thinking       Anthropic: reasoning_effort is `thinking: adaptive` plus an effort, not a budget
    json_schema_by_tool     Anthropic: no structured outputs; a JSON schema is a forced tool
    history:<name>          the field is refused in an assistant message that comes back (dialects/openai_history.py)
    tool_ids:<length>       the longest tool call id that is taken; 9: exactly nine letters and digits
    keeps_gateway_fields    another gateway: what this one added to its answers means the same there
"""

import re
from dataclasses import dataclass

from tollkeeper.catalog.providers import PROVIDERS

_OPENAI = frozenset({"openai", "azure", "azure_ai"})
_VERTEX = frozenset({"vertex_ai", "vertex_ai_beta"})
_CLAUDE = frozenset({"anthropic", "azure_ai", "bedrock"}) | _VERTEX


@dataclass(frozen=True, slots=True)
class Profile:
    """`models` is searched in the provider's model name."""

    providers: frozenset[str]
    models: re.Pattern[str]
    quirks: frozenset[str]
    reason: str
    link: str


def _profile(providers: frozenset[str], models: str, quirks: str, reason: str, link: str) -> Profile:
    return Profile(providers, re.compile(models), frozenset(quirks.split()), reason, link)


PROFILES = (
    _profile(
        _OPENAI,
        r"^(?:ft:)?(?:o[1-9](?:-|$)|gpt-5)",
        "max_completion_tokens",
        "Reasoning models answer max_tokens with 400 unsupported_parameter.",
        "https://platform.openai.com/docs/guides/reasoning",
    ),
    _profile(
        _OPENAI,
        r"^(?:ft:)?(?:o[1-9](?:-|$)|gpt-5(?:-mini|-nano|-codex)?(?:-\d{4}|$))",
        "unsupported:temperature unsupported:top_p unsupported:presence_penalty unsupported:frequency_penalty unsupported:logprobs "
        "unsupported:top_logprobs unsupported:logit_bias",
        "These always reason, and take sampling parameters at their defaults only; later ones (gpt-5.1 …) take them when reasoning is off.",
        "https://platform.openai.com/docs/guides/latest-model#parameter-compatibility",
    ),
    _profile(
        _OPENAI | {"openrouter"},
        r"(?:^|/)(?:ft:)?(?:o[1-9](?:-|$)|gpt-5(?:\.\d+)?(?!-chat)(?![.\d])|codex-)",
        "encrypted_reasoning",
        "Models that do not reason answer the request for it with 400; these lose their reasoning between turns without it.",
        "https://platform.openai.com/docs/guides/reasoning#encrypted-reasoning-items",
    ),
    _profile(
        frozenset({"xai"}),
        r"^grok-4",
        "encrypted_reasoning",
        "These lose their reasoning between turns without it, as OpenAI's do.",
        "https://docs.x.ai/docs/guides/chat#returning-encrypted-thinking-content",
    ),
    _profile(
        _CLAUDE,
        r"claude-(?:opus-4-[7-9]|[a-z]+-[5-9])",
        "adaptive_thinking",
        "thinking.type.enabled is refused: 'Use thinking.type.adaptive and output_config.effort'.",
        "https://docs.claude.com/en/docs/build-with-claude/adaptive-thinking",
    ),
    _profile(
        _CLAUDE,
        r"claude-opus-4-[78]",
        "unsupported:temperature unsupported:top_p unsupported:top_k",
        "Non-default sampling parameters are answered with 400.",
        "https://docs.claude.com/en/docs/about-claude/models/whats-new-claude-4-7",
    ),
    _profile(
        _CLAUDE,
        r"claude-(?:2|3|instant|(?:opus|sonnet)-4(?:-0)?(?:[-@]\d{8}|$))",
        "json_schema_by_tool",
        "Structured outputs exist from Claude Opus 4.1 and the 4.5 models on.",
        "https://docs.claude.com/en/docs/build-with-claude/structured-outputs",
    ),
    _profile(
        frozenset({"openai", "azure"}),
        r"^(?:ft:)?(?:gpt-(?!oss)|chatgpt-|o[1-9](?:-|$))",
        "history:reasoning_content history:reasoning history:reasoning_details history:images tool_ids:40",
        "Fields of a message that the schema does not have, and ids longer than 40 characters, are answered with 400.",
        "https://platform.openai.com/docs/api-reference/chat/create#chat_create-messages",
    ),
    _profile(
        _VERTEX,
        r"^(?:open-)?(?:mi[sx]tral|ministral|codestral)",
        "max_tokens developer_to_system no_stream_options tool_ids:9 history:reasoning_content history:reasoning "
        "history:reasoning_details history:annotations history:refusal history:audio history:function_call history:images",
        "Mistral's own API, whose strict schema refuses what it does not know.",
        "https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/mistral",
    ),
)


def quirks_for(provider: str, model: str) -> frozenset[str]:
    """The flags of the provider's row and of every profile that fits. A provider without a row has the profiles' only."""
    row = PROVIDERS.get(provider)
    quirks = row.quirks if row else frozenset()
    return quirks.union(*(profile.quirks for profile in PROFILES if provider in profile.providers and profile.models.search(model)))
