"""`guardrails` in LiteLLM's spelling → rows. What a kind needs of its own, and which kinds there are, this says; what they do, guardrails/.

    guardrails:
      - guardrail_name: no-cards
        litellm_params: {guardrail: litellm_content_filter, mode: pre_call, default_on: true,
                         patterns: [{pattern_type: prebuilt, pattern_name: credit_card, action: MASK}]}

https://docs.litellm.ai/docs/proxy/guardrails/quick_start
"""

import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BeforeValidator, Field

from tollkeeper.catalog.secret_patterns import PREBUILT
from tollkeeper.config.findings import Findings, Path, did_you_mean, path_text
from tollkeeper.config.references import References
from tollkeeper.config.schema import Seconds, Section, Text, check
from tollkeeper.config.snapshot import Guardrail, Secret

STAGES = ("pre_call", "during_call", "post_call")
_ELSEWHERE = ("logging_only", "pre_mcp_call", "during_mcp_call", "post_mcp_call", "realtime_input_transcription")
"""LiteLLM's other modes, which do nothing here."""
_OWN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_DEFAULT_TIMEOUT = 10.0
_CREDENTIALS = ("api_key", "aws_access_key_id", "aws_secret_access_key", "aws_session_token")


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Action = Annotated[Literal["BLOCK", "MASK"], BeforeValidator(_upper)]
Modes = Annotated[list[Text], BeforeValidator(_as_list)]


class ByTag(Section):
    tags: dict[str, Modes] = Field(default_factory=dict)
    default: Modes = Field(default_factory=list)


class PatternRule(Section):
    pattern_type: Literal["prebuilt", "regex"] = "prebuilt"
    pattern_name: Text | None = None
    pattern: Text | None = None
    name: Text | None = None
    action: Action = "BLOCK"


class BlockedWord(Section):
    keyword: Text
    action: Action = "BLOCK"
    description: str | None = None


class Params(Section):
    """What every kind has. Kinds add to it."""

    guardrail: Text
    mode: ByTag | Modes = Field(default_factory=lambda: ["pre_call"])
    default_on: bool = False
    api_key: str | None = None
    api_base: Text | None = None
    timeout: Seconds | None = None
    unreachable_fallback: Literal["fail_closed", "fail_open"] = "fail_closed"
    violation_message_template: Text | None = None


class ContentFilter(Params):
    patterns: list[PatternRule] = Field(default_factory=list)
    blocked_words: list[BlockedWord] = Field(default_factory=list)
    blocked_words_file: Text | None = None
    pattern_redaction_format: Text = "[{pattern_name}_REDACTED]"
    keyword_redaction_tag: Text = "[KEYWORD_REDACTED]"


class GenericApi(Params):
    api_base: Text
    headers: dict[str, str | int | float] = Field(default_factory=dict)
    additional_provider_specific_params: dict[str, Any] = Field(default_factory=dict)


class Moderation(Params):
    model: Text = "omni-moderation-latest"


class BedrockGuardrail(Params):
    guardrailIdentifier: Text  # noqa: N815 - LiteLLM's spelling
    guardrailVersion: Annotated[Text, BeforeValidator(lambda value: str(value) if isinstance(value, int) else value)] = "DRAFT"  # noqa: N815
    aws_region_name: Text | None = None
    mask_request_content: bool = False
    mask_response_content: bool = False


class Presidio(Params):
    presidio_analyzer_api_base: Text | None = None
    presidio_anonymizer_api_base: Text | None = None
    presidio_language: Text = "en"
    pii_entities_config: dict[str, Action] = Field(default_factory=dict)
    presidio_score_thresholds: dict[str, float] = Field(default_factory=dict)


class Entry(Section):
    guardrail_name: Text
    litellm_params: dict[str, Any]
    guardrail_info: dict[str, Any] = Field(default_factory=dict)


KINDS: Mapping[str, type[Params]] = {
    "litellm_content_filter": ContentFilter,
    "hide-secrets": Params,
    "generic_guardrail_api": GenericApi,
    "openai_moderation": Moderation,
    "bedrock": BedrockGuardrail,
    "presidio": Presidio,
}


def compile_guardrails(
    data: Mapping[str, Any], references: References, folder: FilePath, findings: Findings
) -> tuple[tuple[Guardrail, ...], list[str]]:
    """The rows, and the paths of what is LiteLLM's and does nothing here. `folder` is the configuration's own."""
    builder = _Builder(references, folder, findings)
    litellm = data.get("litellm_settings")
    nested = litellm.get("guardrails") if isinstance(litellm, dict) else None
    rows = [*builder.rows(data.get("guardrails"), ("guardrails",)), *builder.rows(nested, ("litellm_settings", "guardrails"))]
    return tuple(rows), builder.unsupported


class _Builder:
    def __init__(self, references: References, folder: FilePath, findings: Findings) -> None:
        self._references, self._folder, self._findings = references, folder, findings
        self._names: set[str] = set()
        self.unsupported: list[str] = []

    def rows(self, given: Any, path: Path) -> list[Guardrail]:
        if given is not None and not isinstance(given, list):
            self._findings.error(path, "must be a list", "write one guardrail per item, each with guardrail_name and litellm_params")
        found = [self._row(entry, (*path, index)) for index, entry in enumerate(given if isinstance(given, list) else [])]
        return [row for row in found if row is not None]

    def _row(self, entry: Any, path: Path) -> Guardrail | None:
        checked = check(Entry, entry, path, self._findings)
        if checked is None:
            return None
        here: Path = (*path, "litellm_params")
        kind = checked.litellm_params.get("guardrail")
        model = Params if isinstance(kind, str) and _OWN.fullmatch(kind) else KINDS.get(str(kind))
        if model is None:
            remedy = did_you_mean(str(kind), KINDS, f"use one of {', '.join(KINDS)}, or a class of your own as module:Class")
            self._findings.error((*here, "guardrail"), "is no guardrail this gateway has", remedy)
            return None
        params = check(model, checked.litellm_params, here, self._findings)
        if params is None or not self._is_new(checked.guardrail_name, path):
            return None
        if isinstance(params, ContentFilter):
            params = self._with_words(params, here)
            self._check_patterns(params, here)
        self.unsupported += [path_text((*here, name)) for name in params.model_extra or {} if name not in _CREDENTIALS]
        stages, by_tag = self._stages(params.mode, (*here, "mode"))
        credentials = {name: found for name in _CREDENTIALS if (found := self._secret(checked.litellm_params.get(name), (*here, name)))}
        shared = set(Params.model_fields)
        return Guardrail(
            name=checked.guardrail_name,
            kind=str(kind),
            stages=stages,
            by_tag=by_tag,
            default_on=params.default_on,
            url=self._url(params, here),
            credentials=credentials,
            timeout=params.timeout or _DEFAULT_TIMEOUT,
            fail_open=params.unreachable_fallback == "fail_open",
            message=params.violation_message_template,
            terms=params.model_dump(exclude=shared | set(params.model_extra or {})),
            info=checked.guardrail_info,
        )

    def _is_new(self, name: str, path: Path) -> bool:
        if name in self._names:
            self._findings.error((*path, "guardrail_name"), f"{name} is there already", "give each guardrail a name of its own")
            return False
        self._names.add(name)
        return True

    def _stages(self, mode: ByTag | list[str], path: Path) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
        if isinstance(mode, list):
            return self._known(mode, path), {}
        return self._known(mode.default, (*path, "default")), {
            tag: self._known(modes, (*path, "tags", tag)) for tag, modes in mode.tags.items()
        }

    def _known(self, modes: list[str], path: Path) -> tuple[str, ...]:
        for name in modes:
            if name in _ELSEWHERE:
                self.unsupported.append(path_text(path))
            elif name not in STAGES:
                self._findings.error(path, f"{name} is no mode", did_you_mean(name, STAGES, f"use {', '.join(STAGES)}"))
        return tuple(stage for stage in STAGES if stage in modes)

    def _secret(self, value: Any, path: Path) -> Secret | None:
        return self._references.secret(value, path) if isinstance(value, str) else None

    def _url(self, params: Params, path: Path) -> str:
        url = params.api_base or ""
        parts = urlsplit(url)
        if url and not (parts.scheme in {"http", "https"} and parts.hostname):
            self._findings.error((*path, "api_base"), "is no http(s) address", "write https://host/path")
        return url.rstrip("/")

    def _with_words(self, params: ContentFilter, path: Path) -> ContentFilter:
        """Those of `blocked_words_file`, whose path is relative to the configuration's."""
        if params.blocked_words_file is None:
            return params
        here: Path = (*path, "blocked_words_file")
        try:
            listed = yaml.safe_load((self._folder / params.blocked_words_file).read_text("utf-8"))
            rows = listed["blocked_words"] if isinstance(listed, dict) else listed
            words = [BlockedWord.model_validate(row) for row in rows]
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            problem = f"cannot be read as a list of blocked words ({type(error).__name__})"
            self._findings.error(here, problem, "write `blocked_words:` and below it `- {keyword: …, action: BLOCK}`")
            return params
        return params.model_copy(update={"blocked_words": [*params.blocked_words, *words], "blocked_words_file": None})

    def _check_patterns(self, params: ContentFilter, path: Path) -> None:
        if "{pattern_name}" not in params.pattern_redaction_format:
            self._findings.error((*path, "pattern_redaction_format"), "has no {pattern_name} in it", "write e.g. [{pattern_name}_REDACTED]")
        for index, rule in enumerate(params.patterns):
            here: Path = (*path, "patterns", index)
            if rule.pattern_type == "regex":
                self._check_regex(rule, here)
            elif rule.pattern_name not in PREBUILT:
                remedy = did_you_mean(rule.pattern_name or "", PREBUILT, f"use one of {', '.join(sorted(PREBUILT))}")
                self._findings.error((*here, "pattern_name"), "is no prebuilt pattern", remedy)

    def _check_regex(self, rule: PatternRule, path: Path) -> None:
        if rule.pattern is None:
            self._findings.error(path, "has no pattern", "add `pattern: <regular expression>`")
            return
        try:
            re.compile(rule.pattern)
        except re.error as error:
            self._findings.error((*path, "pattern"), f"is no regular expression: {error.msg}")
