"""`openai/gpt-4o` → which provider, and what it calls the model. https://docs.litellm.ai/docs/providers"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tollkeeper.catalog.azure import deployment_name
from tollkeeper.catalog.bedrock import bedrock_name, invoked
from tollkeeper.catalog.providers import PROVIDERS, Provider
from tollkeeper.config.findings import Findings, Path, did_you_mean
from tollkeeper.config.litellm_keys import LITELLM_PROVIDERS
from tollkeeper.config.schema import Params

BARE_NAMES: Mapping[str, re.Pattern[str]] = {
    "openai": re.compile(
        r"(?:ft:)?(?:gpt-|chatgpt-|o[1-9](?:[-*]|$)|text-embedding-|text-moderation|omni-moderation|dall-e-|whisper-|tts-|davinci-|babbage-"
        r"|codex-|computer-use|sora-)"
    ),
    "anthropic": re.compile(r"claude-"),
}
"""Names that are known without their provider's prefix, as LiteLLM infers them."""

RESPONSES = "responses/"


@dataclass(frozen=True, slots=True)
class Target:
    """`responses` says that the Responses API was asked for (`openai/responses/gpt-5`); `dialect`, `region` and
    `quirks` are what the name itself says of them (`bedrock/invoke/…`, an ARN).
    """

    provider: Provider
    model: str
    responses: bool = False
    dialect: str = ""
    region: str = ""
    quirks: frozenset[str] = frozenset()


def target_of(params: Params, path: Path, findings: Findings, providers: Mapping[str, Provider] = PROVIDERS) -> Target | None:
    """None after a finding. `custom_llm_provider` wins over the prefix, and is taken off the name when it is also there."""
    here = (*path, "model")
    name, model = _provider_name(params, providers)
    if params.custom_llm_provider:
        here = (*path, "custom_llm_provider")
    provider = providers.get(name)
    if provider is None:
        findings.error(here, *_unknown(name, params, providers))
        return None
    if not model:
        findings.error((*path, "model"), "names a provider but no model", f"write {name}/<model>")
        return None
    if name == "bedrock":
        named = bedrock_name(model)
        quirks = frozenset({f"family:{named.family}"} if named.family else ())
        return Target(provider, named.model, dialect=invoked(named), region=named.region, quirks=quirks)
    bare = model.removeprefix(RESPONSES)
    return Target(provider, deployment_name(bare) if name == "azure" else bare, model.startswith(RESPONSES))


def _provider_name(params: Params, providers: Mapping[str, Provider]) -> tuple[str, str]:
    if given := params.custom_llm_provider:
        return given, params.model.removeprefix(f"{given}/")
    prefix, slash, rest = params.model.partition("/")
    if slash and (prefix in providers or prefix in LITELLM_PROVIDERS):
        return prefix, rest
    inferred = next((name for name, pattern in BARE_NAMES.items() if pattern.match(params.model)), None)
    return (inferred, params.model) if inferred else (prefix, rest)


def _unknown(name: str, params: Params, providers: Mapping[str, Provider]) -> tuple[str, str]:
    if name in LITELLM_PROVIDERS:
        return f"the provider {name} is not supported yet", "remove this deployment, or reach it through an OpenAI-compatible api_base"
    if not params.custom_llm_provider and "/" not in params.model:
        return "does not say which provider serves it", f"write <provider>/{name}, as in openai/{name}"
    fallback = "write a provider first, as in openai/<model>" + (", for an OpenAI-compatible api_base" if params.api_base else "")
    return f"there is no provider {name}", did_you_mean(name, providers, fallback)
