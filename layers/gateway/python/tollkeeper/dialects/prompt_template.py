"""Chats as one prompt, for interfaces that continue a text: TGI's /generate, SageMaker, Replicate, some models of Bedrock's InvokeModel.

Rows say how a family of models was trained to see turns; first match wins, and a model of no family gets a transcript. A deployment may
bring its own in LiteLLM's words (`roles`, `initial_prompt_value`, `final_prompt_value`: https://docs.litellm.ai/docs/completion/prompt_formatting).

Llama: https://www.llama.com/docs/model-cards-and-prompt-formats/ · Mistral: https://docs.mistral.ai/cookbooks/concept-deep-dive-tokenization-chat_templates
ChatML (Qwen and others): https://qwen.readthedocs.io/en/latest/getting_started/concepts.html · Gemma: https://ai.google.dev/gemma/docs/core/prompt-structure
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tollkeeper.dialects.base import Json, Target
from tollkeeper.dialects.hub_request import content_parts, take_messages, text_of
from tollkeeper.errors import BadRequest

_OWN = ("roles", "initial_prompt_value", "final_prompt_value")
_ROLES = {"developer": "system", "function": "tool"}


@dataclass(frozen=True, slots=True)
class Template:
    """`turns`: role → (before, after) its text. `system_in_user`: how a system text opens the next user's turn where no turn of its own
    exists; `{}` is its place.
    """

    turns: Mapping[str, tuple[str, str]]
    start: str = ""
    end: str = ""
    system_in_user: str = ""
    models: re.Pattern[str] = field(default_factory=lambda: re.compile(""))


def _tagged(before: str, after: str, *, assistant: str = "assistant") -> dict[str, tuple[str, str]]:
    names = {"system": "system", "user": "user", "assistant": assistant, "tool": "tool"}
    return {role: (before.format(name), after) for role, name in names.items()}


_INSTRUCTED = {"user": ("[INST] ", " [/INST]"), "assistant": (" ", "</s>"), "tool": ("[INST] ", " [/INST]")}
_GEMMA = _tagged("<start_of_turn>{}\n", "<end_of_turn>\n", assistant="model")
_THOUGHTFUL = {
    "system": ("", ""),
    "user": ("<｜User｜>", ""),
    "assistant": ("<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
    "tool": ("<｜User｜>", ""),
}

TEMPLATES = (
    Template(
        _tagged("<|header_start|>{}<|header_end|>\n\n", "<|eot|>"),
        "<|begin_of_text|>",
        "<|header_start|>assistant<|header_end|>\n\n",
        models=re.compile(r"llama-?4"),
    ),
    Template(
        _tagged("<|start_header_id|>{}<|end_header_id|>\n\n", "<|eot_id|>"),
        "<|begin_of_text|>",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        models=re.compile(r"llama-?3"),
    ),
    Template(_INSTRUCTED, "<s>", system_in_user="<<SYS>>\n{}\n<</SYS>>\n\n", models=re.compile(r"llama-?2|codellama")),
    Template(_INSTRUCTED, "<s>", system_in_user="{}\n\n", models=re.compile(r"mi[sx]tral|codestral")),
    Template(_THOUGHTFUL, "<｜begin▁of▁sentence｜>", "<｜Assistant｜>", models=re.compile(r"deepseek")),
    Template(
        {role: turn for role, turn in _GEMMA.items() if role != "system"},
        "<bos>",
        "<start_of_turn>model\n",
        system_in_user="{}\n\n",
        models=re.compile(r"gemma"),
    ),
    Template(_tagged("<|im_start|>{}\n", "<|im_end|>\n"), end="<|im_start|>assistant\n", models=re.compile(r"qwen|hermes|chatml|smollm")),
)
_TRANSCRIPT = Template(
    {"system": ("", "\n\n"), "user": ("User: ", "\n\n"), "assistant": ("Assistant: ", "\n\n"), "tool": ("Tool: ", "\n\n")}, end="Assistant:"
)
_TITAN = Template(
    {"system": ("", "\n"), "user": ("User: ", "\n"), "assistant": ("Bot: ", "\n"), "tool": ("User: ", "\n")},
    end="Bot:",
    models=re.compile(r"titan"),
)


def take_prompt(body: Json, target: Target, family: str = "") -> str:
    """`messages` as the model's prompt; takes them and the deployment's own template out of `body`. Raises BadRequest.

    `family` stands in for a model's name that says nothing, such as an ARN.
    """
    own = {name: body.pop(name, None) for name in _OWN}
    template = _own(own) if isinstance(own["roles"], dict) else template_of(family or target.model)
    written, system = [template.start], ""
    for where, given, message in take_messages(body):
        text, role = _text(message, where, target), _ROLES.get(given, given)
        if role == "system" and template.system_in_user:
            system += template.system_in_user.format(text) if text else ""
            continue
        if role in {"user", "tool"}:
            text, system = system + text, ""
        before, after = template.turns.get(role, ("", ""))
        written.append(before + text + after)
    if system:
        before, after = template.turns["user"]
        written.append(before + system.rstrip() + after)
    return "".join([*written, template.end])


def template_of(model: str) -> Template:
    name = model.lower()
    return next((row for row in (*TEMPLATES, _TITAN) if row.models.search(name)), _TRANSCRIPT)


def _own(given: Mapping[str, Any]) -> Template:
    turns = {
        str(role): (str(turn.get("pre_message") or ""), str(turn.get("post_message") or ""))
        for role, turn in given["roles"].items()
        if isinstance(turn, dict)
    }
    return Template(turns, str(given["initial_prompt_value"] or ""), str(given["final_prompt_value"] or ""))


def _text(message: Json, where: str, target: Target) -> str:
    """All of a message: what this interface cannot say is refused, not left out."""
    if message.get("tool_calls"):
        raise BadRequest(f"{where}: {target.provider or 'The provider'} takes no tool calls for {target.model}.", param="messages")
    parts = content_parts(message.get("content"), where)
    if isinstance(parts, str):
        return parts
    for here, part in parts:
        if part.get("type") not in {"text", "refusal"}:
            raise BadRequest(f"{here}: {target.provider or 'The provider'} takes only text for {target.model}.", param="messages")
    return "\n".join(text_of(part, here) for here, part in parts)
