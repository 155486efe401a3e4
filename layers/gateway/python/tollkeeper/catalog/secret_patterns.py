"""What credentials, cards and personal numbers look like, under the names LiteLLM's content filter has for them.

A pattern finds what has the form; it neither proves a card number nor finds what is written otherwise.
https://docs.litellm.ai/docs/proxy/guardrails/litellm_content_filter
"""

from collections.abc import Mapping

_GROUP = r"[ -]?\d{4}"
_VISA = rf"4\d{{3}}{_GROUP}{_GROUP}{_GROUP}"
_MASTERCARD = rf"(?:5[1-5]\d{{2}}|2[2-7]\d{{2}}){_GROUP}{_GROUP}{_GROUP}"
_AMEX = r"3[47]\d{2}[ -]?\d{6}[ -]?\d{5}"
_DISCOVER = rf"6(?:011|5\d{{2}}){_GROUP}{_GROUP}{_GROUP}"
_BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"


def _number(pattern: str) -> str:
    """Not inside a longer number or word."""
    return rf"(?<![\w-])(?:{pattern})(?![\w-])"


PREBUILT: Mapping[str, str] = {
    "us_ssn": _number(r"\d{3}-\d{2}-\d{4}"),
    "us_ssn_no_dash": _number(r"(?!000|666|9\d\d)\d{3}(?!00)\d{2}(?!0000)\d{4}"),
    "email": r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}\.[A-Za-z]{2,24}\b",
    "phone": r"(?<![\w.+-])\+?\d{1,3}[ .-]?\(?\d{2,4}\)?(?:[ .-]?\d{2,4}){2,3}(?![\w-])",
    "us_phone": r"(?<![\w.+-])(?:\+?1[ .-]?)?\(?\d{3}\)?[ .-]?\d{3}[ .-]?\d{4}(?![\w-])",
    "visa": _number(_VISA),
    "mastercard": _number(_MASTERCARD),
    "amex": _number(_AMEX),
    "discover": _number(_DISCOVER),
    "credit_card": _number(f"{_VISA}|{_MASTERCARD}|{_AMEX}|{_DISCOVER}"),
    "iban": _number(r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?"),
    "ipv4": rf"(?<![\d.])(?:{_BYTE}\.){{3}}{_BYTE}(?![\d.])",
    "url": r"\b(?:https?://|www\.)[^\s<>\"']{2,2000}",
    "aws_access_key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "aws_secret_key": r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])",
    "github_token": r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b|\bgithub_pat_[A-Za-z0-9_]{22,255}\b",
    "gitlab_token": r"\bglpat-[A-Za-z0-9_-]{20,64}\b",
    "slack_token": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,250}\b",
    "openai_key": r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,250}\b",
    "anthropic_key": r"\bsk-ant-[A-Za-z0-9_-]{20,250}\b",
    "google_api_key": r"\bAIza[A-Za-z0-9_-]{35}\b",
    "stripe_key": r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,250}\b",
    "jwt": r"\beyJ[A-Za-z0-9_-]{8,4000}\.eyJ[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{8,2000}",
    "private_key": r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[\s\S]{0,16000}?-----END [A-Z ]{0,32}PRIVATE KEY-----",
    "generic_api_key": r"(?i)\b(?:api[_-]?key|secret|token|password)\b[\"']?\s{0,4}[:=]\s{0,4}[\"']?[A-Za-z0-9_\-/+.]{16,250}",
    "bearer_token": r"\bBearer +[-._~+/A-Za-z0-9]{16,4000}=*",
}
SECRETS = (
    "private_key", "jwt", "aws_access_key", "github_token", "gitlab_token", "slack_token", "anthropic_key", "openai_key", "google_api_key",
    "stripe_key", "bearer_token", "generic_api_key",
)  # fmt: skip
"""What `hide-secrets` hides; in this order, the particular before the general."""
