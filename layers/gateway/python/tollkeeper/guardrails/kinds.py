"""Which kind of guardrail is which check."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from tollkeeper.config.snapshot import Guardrail
from tollkeeper.errors import ConfigError
from tollkeeper.guardrails.check import Check
from tollkeeper.guardrails.content_filter import content_filter, hide_secrets
from tollkeeper.guardrails.remote import Bedrock, Credential, GenericApi, OpenAIModeration, Post, Presidio, SignedPost


@dataclass(frozen=True, slots=True)
class Ways:
    """How one guardrail reaches its service. `variable` reads the environment, for what LiteLLM has there."""

    post: Post
    signed: SignedPost
    credential: Credential
    variable: Callable[[str], str | None]


def make(row: Guardrail, ways: Ways) -> Check:
    """Raises ConfigError for a class that is not there, or a service without an address."""
    if ":" in row.kind:
        return _own(row)
    return _MAKERS[row.kind](row, ways)


def _own(row: Guardrail) -> Check:
    module, _, name = row.kind.partition(":")
    try:
        made: Check = getattr(import_module(module), name)()
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(f"guardrail {row.name}: {row.kind} is no class that can be made without arguments ({error}).") from None
    if not callable(getattr(made, "check", None)):
        raise ConfigError(f"guardrail {row.name}: {row.kind} has no `check` (tollkeeper.guardrails.check.Check).")
    return made


def _presidio(row: Guardrail, ways: Ways) -> Check:
    names = ("presidio_analyzer_api_base", "presidio_anonymizer_api_base")
    bases = [(row.terms[name] or ways.variable(name.upper()) or "").rstrip("/") for name in names]
    for name, base in zip(names, bases, strict=True):
        if not base:
            raise ConfigError(f"guardrail {row.name}: set {name}, or {name.upper()} in the environment.")
    return Presidio(row, ways.post, *bases)


_MAKERS: dict[str, Callable[[Guardrail, Ways], Check]] = {
    "litellm_content_filter": lambda row, _: content_filter(row.terms),
    "hide-secrets": lambda row, _: hide_secrets(),
    "generic_guardrail_api": lambda row, ways: GenericApi(row, ways.post, ways.credential),
    "openai_moderation": lambda row, ways: OpenAIModeration(row, ways.post, ways.credential),
    "bedrock": lambda row, ways: Bedrock(row, ways.signed),
    "presidio": _presidio,
}
