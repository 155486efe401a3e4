"""The shapes and types of gateway.yaml, in LiteLLM's spelling. Which keys exist is `litellm_keys.py`'s business; here is what they hold.

Text from the environment counts as the number or boolean it spells (`rpm: os.environ/RPM`).
https://docs.litellm.ai/docs/proxy/configs
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from tollkeeper.config.findings import Findings, Path, did_you_mean
from tollkeeper.config.identity import IamCaller, JwtSettings
from tollkeeper.config.routing_schema import Pattern, RoutingSettings, Strategy

Model = TypeVar("Model", bound=BaseModel)

MODES = (
    "chat", "completion", "embedding", "responses", "image_generation", "image_edit", "audio_transcription", "audio_speech", "rerank",
    "moderation", "realtime", "batch", "video_generation", "ocr", "search", "vector_store",
)  # fmt: skip
"""https://docs.litellm.ai/docs/proxy/health names the ones a deployment is probed by."""


def _not_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "must be a number")
    return value


def _duration(value: str) -> str:
    # The same words as budgets/windows.py takes: a budget that is refused at the first call should have been refused here.
    match = re.fullmatch(r"\s*([0-9]{1,9})(s|m|h|d|w|mo)\s*", value.lower())
    count, unit = (int(match[1]), match[2]) if match else (0, "")
    if not count or (unit == "mo" and count > 1) or count * _SECONDS.get(unit, 0) > _LONGEST:
        raise PydanticCustomError("duration", "is not a duration of at most ten years")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PydanticCustomError("zone", "is no IANA time zone this machine knows") from None
    return value


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST = 3660 * 86_400


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Count = Annotated[int, BeforeValidator(_not_boolean), Field(ge=0, le=2**53)]
Seconds = Annotated[float, BeforeValidator(_not_boolean), Field(gt=0)]
Number = Annotated[float, BeforeValidator(_not_boolean), Field(ge=0)]
Dollars = Annotated[float, BeforeValidator(_not_boolean), Field(ge=0, le=10**12)]
Text = Annotated[str, Field(min_length=1)]
Duration = Annotated[str, AfterValidator(_duration)]
Zone = Annotated[str, AfterValidator(_zone)]
Name = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]

RetryClass = Literal[
    "BadRequestErrorRetries", "AuthenticationErrorRetries", "TimeoutErrorRetries", "RateLimitErrorRetries",
    "ContentPolicyViolationErrorRetries", "InternalServerErrorRetries", "ServiceUnavailableErrorRetries", "NotFoundErrorRetries",
    "DefaultRetries",
]  # fmt: skip
FailClass = Literal[
    "BadRequestErrorAllowedFails", "AuthenticationErrorAllowedFails", "TimeoutErrorAllowedFails", "RateLimitErrorAllowedFails",
    "ContentPolicyViolationErrorAllowedFails", "InternalServerErrorAllowedFails", "ServiceUnavailableErrorAllowedFails",
    "BadGatewayErrorAllowedFails", "NotFoundErrorAllowedFails",
]  # fmt: skip


class Section(BaseModel):
    """Keys without a field here ride along untyped (`model_extra`)."""

    model_config = ConfigDict(extra="allow", protected_namespaces=(), allow_inf_nan=False)


class Params(Section):
    """litellm_params. The extra ones are prices, or parameters of the upstream request."""

    model: Text
    api_key: str | None = None
    api_base: str | None = None
    base_url: str | None = None
    api_version: Text | None = None
    aws_region_name: Text | None = None
    aws_access_key_id: Text | None = None
    aws_secret_access_key: Text | None = None
    aws_session_token: Text | None = None
    aws_role_name: Text | None = None
    aws_session_name: Text | None = None
    aws_external_id: Text | None = None
    aws_sts_endpoint: Text | None = None
    aws_bedrock_runtime_endpoint: Text | None = None
    vertex_project: Name | None = None
    vertex_location: Text | None = None
    vertex_credentials: Text | dict[str, Any] | None = None
    aws_batch_role_arn: Text | None = None
    s3_bucket_name: Text | None = None
    s3_output_bucket_name: Text | None = None
    s3_region_name: Text | None = None
    s3_endpoint_url: Text | None = None
    s3_encryption_key_id: Text | None = None
    s3_access_key_id: Text | None = None
    s3_secret_access_key: Text | None = None
    s3_session_token: Text | None = None
    gcs_bucket_name: Text | None = None
    bucket_name: Text | None = None
    azure_ad_token: Text | None = None
    azure_scope: Text | None = None
    tenant_id: Text | None = None
    client_id: Text | None = None
    client_secret: Text | None = None
    custom_llm_provider: str | None = None
    litellm_credential_name: str | None = None
    organization: str | None = None
    base_model: str | None = None
    rpm: Count | None = None
    tpm: Count | None = None
    weight: Number | None = None
    order: Count | None = None
    timeout: Seconds | None = None
    stream_timeout: Seconds | None = None
    mock_response: Any = None
    drop_params: bool | None = None
    additional_drop_params: list[str] | None = None
    allowed_openai_params: list[str] | None = None
    headers: dict[str, str] | None = None
    extra_headers: dict[str, str] | None = None
    extra_body: dict[str, Any] | None = None
    max_budget: Dollars | None = None
    budget_duration: Duration | None = None
    max_parallel_requests: Count | None = None
    tags: list[Text] | None = None
    tag_regex: list[Pattern] | None = None
    region_name: Text | None = None
    silent_model: Text | None = None
    cooldown_time: Number | None = None
    allowed_fails: Count | None = None
    allowed_fails_policy: dict[FailClass, Count] | None = None


class AccessWindow(BaseModel):
    """When a deployment may be used: days (`mon-fri`, `sat`), from `start` to `end` (HH:MM; over midnight too), in a time zone."""

    model_config = ConfigDict(extra="forbid")

    days: str | list[str] | None = None
    start: str = "00:00"
    end: str = "24:00"
    timezone: str = "UTC"


class Info(Section):
    """model_info. The extra ones are prices or descriptions."""

    id: Name | None = None
    mode: str | None = None
    base_model: str | None = None
    access_groups: list[str] | None = None
    access_windows: list[Text | AccessWindow] | None = None
    region: Text | None = None
    labels: dict[str, str | bool | int] | None = None
    max_tokens: Count | None = None
    max_input_tokens: Count | None = None
    max_output_tokens: Count | None = None
    price_changes: list[dict[str, Any]] | None = None
    gpu_hour_cost: Dollars | None = None
    """Dollars for an hour of the hardware behind this deployment, shared by `gpu_hour_share` calls at once (1)."""
    gpu_hour_share: Annotated[int, Field(ge=1)] | None = None


class Entry(Section):
    """One of model_list. The two mappings are checked on their own, so that a mistake in one does not hide those of the other."""

    model_name: Text
    litellm_params: dict[str, Any]
    model_info: dict[str, Any] | None = None


class Credential(Section):
    """One of credential_list: values that stand in for missing litellm_params where litellm_credential_name says so."""

    credential_name: Text
    credential_values: dict[str, Any]
    credential_info: dict[str, Any] | None = None


class Margin(BaseModel):
    """One row of cost_margin_config: a share of the cost (0.1: ten percent), and dollars a call."""

    model_config = ConfigDict(extra="forbid")

    percentage: float = Field(default=0, ge=0, le=100)
    fixed_amount: float = Field(default=0, ge=0, le=1000)


Share = Annotated[float, Field(ge=0, le=1)]
Markup = Annotated[float, Field(ge=0, le=100)]


class LiteLLMSettings(Section):
    """Fallbacks have several forms each; routes.py reads them."""

    drop_params: bool | None = None
    request_timeout: Seconds | None = None
    num_retries: Count | None = None
    max_budget: Dollars | None = None
    budget_duration: Duration | None = None
    timezone: Zone | None = None
    budget_exceeded_status_code: Literal[400, 402, 422, 429] | None = None
    max_end_user_budget: Dollars | None = None
    max_end_user_budget_duration: Duration | None = None
    cost_discount_config: dict[str, Share] | None = None
    cost_margin_config: dict[str, Margin | Markup] | None = None
    allowed_fails: Count | None = None
    max_fallbacks: Count | None = None
    default_key_generate_params: dict[str, Any] | None = None
    upperbound_key_generate_params: dict[str, Any] | None = None
    default_internal_user_params: dict[str, Any] | None = None
    default_team_params: dict[str, Any] | None = None


class ProviderBudget(Section):
    """One row of provider_budget_config. https://docs.litellm.ai/docs/proxy/provider_budget_routing"""

    budget_limit: Dollars
    time_period: Duration


class StrategyArgs(Section):
    """routing_strategy_args; `lowest_latency_buffer` is a share (0.5: half as slow again is as good)."""

    lowest_latency_buffer: Number | None = None


class RoutingGroup(BaseModel):
    """One of routing_groups: models with a strategy of their own."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    group_name: Name
    models: list[Text]
    routing_strategy: Strategy
    routing_strategy_args: StrategyArgs | None = None
    model_priorities: Any = None


class RouterSettings(Section):
    num_retries: Count | None = None
    timeout: Seconds | None = None
    stream_timeout: Seconds | None = None
    retry_policy: dict[RetryClass, Count] | None = None
    model_group_retry_policy: dict[str, dict[RetryClass, Count]] | None = None
    provider_budget_config: dict[str, ProviderBudget] | None = None
    routing_strategy: Strategy | None = None
    routing_strategy_args: StrategyArgs | None = None
    retry_after: Number | None = None
    max_fallbacks: Count | None = None
    cooldown_time: Number | None = None
    allowed_fails: Count | None = None
    allowed_fails_policy: dict[FailClass, Count] | None = None
    disable_cooldowns: bool | None = None
    enable_pre_call_checks: bool | None = None
    enable_tag_filtering: bool | None = None
    tag_filtering_match_any: bool | None = None
    optional_pre_call_checks: list[Text] | None = None


class BudgetSettings(BaseModel):
    """`tollkeeper.budgets`: how budgets behave that do not say it themselves (budgets/hold.py: Options, budgets/scopes.py: Terms)."""

    model_config = ConfigDict(extra="forbid")

    enforcement: Literal["hard", "soft"] | None = None
    mode: Literal["enforce", "shadow"] | None = None
    on_store_error: Literal["deny", "allow"] | None = None
    clamp_percent: int | None = Field(default=None, ge=1, le=100)
    wait_seconds: float | None = Field(default=None, ge=0, le=60)
    min_output_tokens: int | None = Field(default=None, ge=1, le=100_000)


class MailSettings(BaseModel):
    """E-mail through SES; `sender` must be verified there."""

    model_config = ConfigDict(extra="forbid")

    sender: Text
    recipients: list[Text] = Field(min_length=1)


class AlertSettings(BaseModel):
    """`tollkeeper.alerts`: beside `general_settings.alerting`, which says where alerts go."""

    model_config = ConfigDict(extra="forbid")

    thresholds: list[Annotated[int, Field(ge=1, le=100)]] | None = None
    """Percents of a budget."""
    digest_minutes: float | None = Field(default=None, ge=0, le=1440)
    sns_topic: Text | None = None
    email: MailSettings | None = None


def _off(value: Any) -> Any:
    """YAML takes `off` for false."""
    return "off" if value is False else value


class ReceiptSettings(BaseModel):
    """`tollkeeper.receipts`: which answers carry a signed receipt, and the KMS key that signs (bootstrap/receipts.py)."""

    model_config = ConfigDict(extra="forbid")

    send: Annotated[Literal["off", "asked", "always"], BeforeValidator(_off)] | None = None
    kms_key: Annotated[str, Field(pattern=r"^arn:[a-z-]+:kms:[a-z0-9-]+:\d{12}:key/[\w/-]+$")] | None = None


class ResponsesSettings(Section):
    store: bool | None = None
    keep_days: Seconds | None = None


class TollkeeperSettings(Section):
    alerts: AlertSettings | None = None
    prices: Text | None = None
    """A price file (config/pinned.py), relative to this one."""
    budgets: BudgetSettings | None = None
    routing: RoutingSettings | None = None
    iam_callers: list[IamCaller] | None = None
    responses: ResponsesSettings | None = None
    receipts: ReceiptSettings | None = None
    exports: Annotated[Literal["off", "daily"], BeforeValidator(_off)] | None = None
    """Of the ledger (reports/export_plan.py)."""


class HeaderMapping(BaseModel):
    """One of user_header_mappings. https://docs.litellm.ai/docs/proxy/customers"""

    model_config = ConfigDict(extra="forbid")

    header_name: Text
    litellm_user_role: Literal["customer", "internal_user"]

    @property
    def names_the_holder(self) -> bool:
        """Not acted on: whose key it is, the key says."""
        return self.litellm_user_role == "internal_user"


class ServiceAccountSettings(Section):
    enforced_params: list[Text] | None = None


class GeneralSettings(Section):
    alerting: list[Text] | None = None
    alert_types: list[Text] | None = None
    master_key: str | None = None
    litellm_key_header_name: Text | None = None
    max_request_size_mb: Seconds | None = None
    apply_user_budget_to_team_keys: bool | None = None
    fail_closed_rate_limit_enforcement: bool | None = None
    user_header_name: Text | None = None
    user_header_mappings: Annotated[list[HeaderMapping], BeforeValidator(_as_list)] | None = None
    maximum_spend_logs_retention_period: Duration | None = None
    global_max_parallel_requests: Count | None = None
    background_health_checks: bool | None = None
    health_check_interval: Seconds | None = None
    background_health_check_model_groups: list[Text] | None = None
    enforce_fallback_model_access: bool | None = None
    enforced_params: list[Text] | None = None
    service_account_settings: ServiceAccountSettings | None = None
    enforce_user_param: bool | None = None
    reject_clientside_metadata_tags: bool | None = None
    enable_jwt_auth: bool | None = None
    litellm_jwtauth: JwtSettings | None = None


def check(model: type[Model], data: Any, path: Path, findings: Findings) -> Model | None:
    """The typed form, or None after a finding for each mistake. No value is quoted: it may be a credential."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for mistake in error.errors(include_url=False, include_input=False):
            place = _plain(mistake["loc"])
            said = _unknown(model, place) if mistake["type"] == "extra_forbidden" else _said(mistake)
            findings.error((*path, *place), *said)
    return None


def _unknown(model: type[BaseModel], place: Path) -> tuple[str, str]:
    """A key that a closed mapping inside `model` does not have."""
    for step in place[:-1]:
        field = model.model_fields.get(str(step))
        inner = [part for part in (field.annotation, *get_args(field.annotation)) if _is_model(part)] if field else []
        model = inner[0] if inner else model
    return "unknown key", did_you_mean(str(place[-1]), model.model_fields, "remove it")


def _is_model(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)


def _plain(loc: tuple[str | int, ...]) -> Path:
    return tuple(part for part in loc if part != "[key]")


_SAID: Mapping[str, tuple[str, str]] = {
    "missing": ("is missing", "add it"),
    "string_type": ("must be text", "put it in quotes"),
    "string_too_short": ("is empty", "give it a value or remove it"),
    "int": ("must be a whole number", ""),
    "float": ("must be a number", ""),
    "number_type": ("must be a number", ""),
    "finite_number": ("must be a finite number", ""),
    "bool": ("must be true or false", ""),
    "list_type": ("must be a list", "write one item per line, each after `- `"),
    "dict_type": ("must be a mapping", "write `key: value` lines below it"),
    "model_type": ("must be a mapping", "write `key: value` lines below it"),
    "duration": ("is not a duration of at most ten years", "write a number and s, m, h, d or w, or 1mo, such as 24h or 7d"),
    "zone": ("is no IANA time zone this machine knows", "write one such as Europe/Berlin"),
    "model_attributes_type": ("must be a mapping", "write `key: value` lines below it"),
}


def _said(mistake: ErrorDetails) -> tuple[str, str]:
    kind, limits = mistake["type"], mistake.get("ctx", {})
    if kind in {"greater_than", "greater_than_equal", "less_than_equal"}:
        words = {"gt": "more than", "ge": "at least", "le": "at most"}
        return next((f"must be {words[name]} {limit:g}", "") for name, limit in limits.items() if name in words)
    return _SAID.get(kind) or _SAID.get(kind.split("_")[0]) or (mistake["msg"], "")
