"""A provider's error, in whatever shape → one typed UpstreamError. Shared by every JSON dialect.

First the body is read (`ErrorBody`): an object under `error`, a string or list there, un-nested fields, `detail`, an array around it all,
plain text, HTML, nothing. Then it is classified: what the codes say, then what documented sentences say, then the status.
Messages are bounded and never hold a page or a credential.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from tollkeeper.dialects.base import Target
from tollkeeper.dialects.retry_after import retry_after
from tollkeeper.errors import (
    ContentPolicyViolation,
    ContextWindowExceeded,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamQuotaExceeded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
)

MAX_MESSAGE = 2_000
_MAX_TEXT = 300
"""Characters quoted from a body that is not JSON."""

_CONTEXT_CODES = {
    "context_length_exceeded",  # https://platform.openai.com/docs/guides/error-codes
    "exceed_context_size_error",  # https://github.com/ggml-org/llama.cpp/tree/master/tools/server
    "too_many_prompt_tokens",  # https://docs.perplexity.ai/
    "model_context_window_exceeded",  # https://docs.claude.com/en/api/errors
    "tokens_limit_reached",  # https://docs.github.com/en/github-models
    "1261",  # https://docs.bigmodel.cn/cn/api/api-code
}
_CONTEXT_SENTENCE = re.compile(
    r"maximum context length|context window|context length (?:is|of|exceeded)|exceeds? the (?:available |model'?s? )?context"
    r"|exceed(?:s|ed)? (?:the )?context limit|prompt is too long|input is too long|maximum prompt length is|too many input tokens"
    r"|input token count .{0,40}exceeds|exceeds the maximum number of (?:input )?tokens|total length of all messages is too long"
    # Cohere · TGI and Together · vLLM · SGLang · SambaNova · watsonx · DashScope · Moonshot · Volcengine · Snowflake · Groq's 413
    r"|too many tokens|`inputs` tokens \+ `max_new_tokens` must be|`inputs` must have less than|longer than the maximum model length"
    r"|longer than the model'?s? context|maximum supported sequence length|input tokens \d+ cannot exceed|range of input length should be"
    r"|exceeded model token limit|prompt exceeds max length|input length \d+ exceeds the maximum|max tokens of \d+ exceeded"
    r"|request too large for model|reduce your message size",
    re.IGNORECASE | re.DOTALL,
)
_POLICY_CODES = {
    "content_filter",  # https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "moderation_blocked",
    "data_inspection_failed",  # https://help.aliyun.com/zh/model-studio/error-code
    "datainspectionfailed",
    "1301",  # https://docs.bigmodel.cn/cn/api/api-code
    "1026",  # https://platform.minimax.io/docs/api-reference/errorcode
    "1027",
    "sensitivecontentdetected",  # https://www.volcengine.com/docs/82379/1299023
    "inputtextsensitivecontentdetected",
    "outputtextsensitivecontentdetected",
    "inputimagesensitivecontentdetected",
}
_POLICY_SENTENCE = re.compile(
    r"content management policy|violates? (?:our )?usage (?:guidelines|polic)|violat\w+ our usage polic|content policy"
    r"|rejected (?:by|as a result of) (?:our|the) safety system|requires moderation|content exists risk|flagged as potentially violating"
    r"|content filter(?:ing)? policy|blocked by (?:our |the )?content filter|responsible ai practices|may contain inappropriate content"
    r"|considered high risk|input flagged",
    re.IGNORECASE,
)
_QUOTA_CODES = {
    "insufficient_quota",
    "billing_hard_limit_reached",
    "insufficient_balance",
    "credit_balance_too_low",
    "billing_error",
    "exceeded_current_quota_error",  # https://platform.moonshot.ai/docs/api/chat
    "arrearage",  # https://help.aliyun.com/zh/model-studio/error-code
    "accountoverdueerror",  # https://www.volcengine.com/docs/82379/1299023
    "1113",  # https://docs.bigmodel.cn/cn/api/api-code
}
_QUOTA_SENTENCE = re.compile(
    r"credit balance is too low|insufficient balance|insufficient credits|exceeded your current quota|used all available credits"
    r"|monthly spending limit|reached your specified api usage limits",
    re.IGNORECASE,
)
_BAD_KEY_SENTENCE = re.compile(r"(?:incorrect|invalid) api key|api key (?:not valid|is invalid)|api_key_invalid", re.IGNORECASE)
_CREDENTIAL = re.compile(r"\b(?:[A-Za-z]{2,12}[-_])[A-Za-z0-9_*\-]{8,}")

_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "tool_use_failed": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "api_error": 500,
    "server_error": 500,
    "validation": 422,  # TGI
    "overloaded": 429,
    "generation": 500,
    "incomplete_generation": 500,
    "service_unavailable": 503,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""For errors that come under HTTP 200 (https://docs.claude.com/en/api/errors, https://platform.openai.com/docs/guides/error-codes)."""


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What a provider said, with absent parts empty. `status` is a status named inside the body; `tree` the parsed JSON."""

    message: str = ""
    type: str = ""
    code: str = ""
    param: str | None = None
    status: int | None = None
    tree: Any = None

    @property
    def names(self) -> set[str]:
        """Every machine-readable name the error carries, in lower case."""
        return {name.lower() for name in (self.type, self.code, _inner_code(self.tree)) if name}


def error_from_response(status: int, headers: Mapping[str, str], body: bytes, target: Target) -> UpstreamError:
    """A non-2xx answer. Never raises, whatever the body is."""
    return classify(status, headers, read_error(body, status), target)


def error_from_tree(tree: Any, target: Target) -> UpstreamError:
    """An error object that came under HTTP 200, in a body or in a stream."""
    error = _from_tree(tree)
    error = (
        error if error.message else replace(error, message=f"{target.provider or 'The provider'} reported an error and did not say which.")
    )
    status = error.status or next((_STATUS_OF_TYPE[name] for name in (error.type, error.code) if name in _STATUS_OF_TYPE), 500)
    return classify(status, {}, error, target)


def not_json(body: bytes, target: Target) -> UpstreamProtocolError:
    """A 2xx body that is not in the dialect."""
    what = "a web page" if _is_html(body) else "an empty body" if not body.strip() else "something that is not JSON"
    return UpstreamProtocolError(f"{target.provider or 'The provider'} answered with {what} instead of a completion.", upstream_status=200)


def read_error(body: bytes, status: int) -> ErrorBody:
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ErrorBody(message=_text_message(body, status))
    error = _from_tree(tree)
    return error if error.message else ErrorBody(f"HTTP {status}", error.type, error.code, error.param, error.status, tree)


def classify(status: int, headers: Mapping[str, str], error: ErrorBody, target: Target) -> UpstreamError:
    """The typed error. Codes first, then sentences, then the status."""
    kind = _kind(status, error)
    message = error.message
    if kind is UpstreamAuthFailed:
        message = f"{target.provider or 'The provider'} refused the gateway's credential: {_CREDENTIAL.sub('***', message)}"
    wait = retry_after(headers, error.tree, error.message, kind=error.type, seen_at=target.created) if kind.retryable else None
    return kind(
        message[:MAX_MESSAGE],
        upstream_status=status,
        status=_shown_status(kind, status),
        type=error.type or None if issubclass(kind, UpstreamRejected) else None,
        code=error.code or None,
        param=error.param,
        retry_after=wait,
    )


def _kind(status: int, error: ErrorBody) -> type[UpstreamError]:
    if status < 400:
        return UpstreamProtocolError
    if about_request := _about_request(status, error):
        return about_request
    if status == 402 or (status in {400, 403, 429} and (error.names & _QUOTA_CODES or _QUOTA_SENTENCE.search(error.message))):
        return UpstreamQuotaExceeded
    if status in {401, 403} or (status == 400 and _BAD_KEY_SENTENCE.search(error.message)):
        return UpstreamAuthFailed
    if status == 429:
        return UpstreamRateLimited
    if status in {408, 504}:
        return UpstreamTimeout
    return UpstreamFailed if status >= 500 else UpstreamRejected


def _about_request(status: int, error: ErrorBody) -> type[UpstreamError] | None:
    """Refusals that have fallbacks of their own. Sentences count only where the status says that the request is at fault."""
    if error.names & _CONTEXT_CODES:
        return ContextWindowExceeded
    if error.names & _POLICY_CODES:
        return ContentPolicyViolation
    if status in {400, 413, 422} and _CONTEXT_SENTENCE.search(error.message):
        return ContextWindowExceeded
    if status in {400, 403, 422} and _POLICY_SENTENCE.search(error.message):
        return ContentPolicyViolation
    return None


def _shown_status(kind: type[UpstreamError], status: int) -> int | None:
    """A rejection keeps the provider's status; a failure too, if it is a registered one (529 and Cloudflare's 52x become 503)."""
    if issubclass(kind, UpstreamRejected):
        return status if 400 <= status < 500 else None
    if kind is UpstreamFailed:
        return status if status <= 511 else 503
    return None


def _from_tree(tree: Any) -> ErrorBody:
    if isinstance(tree, list):  # Gemini's OpenAI endpoint wraps its error in an array
        return _from_tree(tree[0]) if tree else ErrorBody(tree=tree)
    if not isinstance(tree, dict):
        return ErrorBody(message=_words(tree), tree=tree)
    nested = tree.get("error")
    node = nested if isinstance(nested, dict) else tree
    message = _words(node.get("message")) or _words(nested if isinstance(nested, str | list) else None)
    message = message or _words(node.get("detail") or node.get("details") or node.get("errors") or node.get("err_msg"))
    return ErrorBody(
        message=_with_cause(message, node),
        type=_name(node.get("type")) or _name(node.get("error_type")),
        code=_name(node.get("code")),
        param=node["param"] if isinstance(node.get("param"), str) else None,
        status=_status_in(node),
        tree=tree,
    )


def _with_cause(message: str, node: Mapping[str, Any]) -> str:
    """OpenRouter's own message says only that a provider failed; what failed is in metadata.raw."""
    metadata = node.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if not isinstance(raw, str) or not raw:
        return message
    cause = read_error(raw.encode(), 0).message
    return f"{message}: {cause}" if message else cause


def _status_in(node: Mapping[str, Any]) -> int | None:
    for key in ("status_code", "status", "code"):
        value = node.get(key)
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if isinstance(value, int) and 400 <= value <= 599:
            return value
    return None


def _inner_code(tree: Any) -> str:
    error = tree.get("error") if isinstance(tree, dict) else None
    inner = error.get("innererror") if isinstance(error, dict) else None
    return _name(inner.get("code")) if isinstance(inner, dict) else ""


def _name(value: Any) -> str:
    return str(value)[:200] if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _words(value: Any) -> str:
    """A message out of a string, a list of messages, or pydantic's `[{loc, msg}]`."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return "; ".join(words for item in value[:5] if (words := _words(item)))
    if isinstance(value, dict):
        place = value.get("loc")
        where = ".".join(str(step) for step in place) + ": " if isinstance(place, list) else ""
        return where + (_words(value.get("msg")) or _words(value.get("message")) or _words(value.get("detail")))
    return ""


def _text_message(body: bytes, status: int) -> str:
    if _is_html(body):
        return f"HTTP {status} with a web page instead of an error"
    text = " ".join(body[: _MAX_TEXT * 4].decode("utf-8", "replace").split())[:_MAX_TEXT]
    return text if text and text.isprintable() else f"HTTP {status} with an empty or unreadable body"


def _is_html(body: bytes) -> bool:
    head = body[:512].lstrip().lower()
    return head.startswith((b"<!doctype", b"<html", b"<head", b"<?xml"))
