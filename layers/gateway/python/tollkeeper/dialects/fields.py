"""Which request fields are whose: the gateway's own, and what becomes of a parameter that a provider does not take.

Edge, pipeline and dialects share these. Everything not named here is the provider's business and is passed on as it came.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tollkeeper.dialects.base import Json, Target
from tollkeeper.errors import BadRequest, UnsupportedParams

_ADDRESSED_TO_GATEWAY = """
    acompletion additional_drop_params allowed_model_region allowed_openai_params api_base api_key api_version
    assistant_continue_message base_url cache cache_control_injection_points caching caching_groups complete_response
    configurable_clientside_auth_params content_policy_fallbacks context_window_fallback_dict context_window_fallbacks
    cooldown_time custom_llm_provider deployment_id disable_fallbacks drop_params enable_json_schema_validation
    ensure_alternating_roles extra_body extra_headers fallback_depth fallbacks force_timeout guardrail_config guardrails
    hf_model_name input_cost_per_second input_cost_per_token litellm_agent_id litellm_call_id litellm_credential_name
    litellm_logging_obj litellm_metadata litellm_request_debug litellm_session_id litellm_trace_id logger_fn max_fallbacks
    max_retries merge_reasoning_content_in_choices mock_delay mock_response mock_testing_content_policy_fallbacks
    mock_testing_context_fallbacks mock_testing_fallbacks mock_testing_rate_limit_error mock_timeout mock_tool_calls model_info
    model_list no-log no_log num_retries output_cost_per_second output_cost_per_token policies preset_cache_key priority
    prompt_id prompt_label prompt_variables prompt_version provider_specific_header proxy_server_request region_name
    request_timeout retry_policy retry_strategy rpm secret_fields shared_session ssl_verify stream_timeout
    supports_system_message tags timeout tpm ttl use_in_pass_through use_litellm_proxy user_config user_continue_message verbose
"""
GATEWAY_FIELDS = frozenset(_ADDRESSED_TO_GATEWAY.split())
"""Request-body fields that LiteLLM clients address to the gateway (https://docs.litellm.ai/docs/proxy/user_keys). Never sent upstream."""

FORWARDED_HEADERS = frozenset({"anthropic-beta", "openai-beta", "http-referer", "x-title"})
"""What a caller's `extra_headers` may set upstream. Closed, so that no caller replaces a credential or a host."""

UNSUPPORTED = "unsupported:"
"""Prefix of the quirk that says a model refuses a parameter: `unsupported:temperature`."""

_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "temperature": (1,),
    "top_p": (1,),
    "n": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "store": (False,),
    "modalities": (["text"],),
    "parallel_tool_calls": (True,),
    "tools": ([],),
    "stop": ([],),
}
"""Values that ask for what every model does anyway; a model that lacks the parameter need not refuse them."""


def is_neutral(name: str, value: Any) -> bool:
    """Whether leaving the parameter out would change nothing."""
    return value is None or value in _NEUTRAL.get(name, ())


def unfold_extra_body(request: Json) -> Json:
    """A literal `extra_body` object → its fields at top level, below the caller's own. For the edge, before limits and budgets read the
    request: a field hidden there must not reach a provider unseen.
    """
    extra = request.get("extra_body")
    if extra is None:
        return request
    if not isinstance(extra, dict):
        raise BadRequest("extra_body must be an object.", param="extra_body")
    return {**extra, **{name: value for name, value in request.items() if name != "extra_body"}}


def upstream_fields(request: Json, target: Target) -> Json:
    """A shallow copy of the request without what is addressed to the gateway, over the deployment's extra_body, minus `drop`.

    `metadata` is LiteLLM's place for tags and trace ids, and OpenAI's own field only beside `store: true` (OpenAI refuses it otherwise:
    https://platform.openai.com/docs/api-reference/chat/create#chat-create-metadata); so it goes upstream only then.
    """
    skipped = GATEWAY_FIELDS | target.drop
    fields = {**target.extra_body, **{name: value for name, value in request.items() if name not in skipped}}
    if "metadata" in request and request.get("store") is not True:
        fields.pop("metadata", None)
    return fields


def drop_unsupported(fields: Json, names: Iterable[str], target: Target) -> None:
    """Removes the named parameters from `fields` if they are neutral or the deployment says drop_params; `target.allow` keeps them.

    Raises UnsupportedParams naming every other one and the provider.
    """
    refused = []
    for name in names:
        if name not in fields or name in target.allow:
            continue
        if target.drop_params or is_neutral(name, fields[name]):
            del fields[name]
        else:
            refused.append(name)
    if refused:
        raise UnsupportedParams(
            f"{target.provider or 'The provider'} does not support parameters: {', '.join(refused)}, for model {target.alias}. "
            "To drop them instead, set drop_params: true.",
            param=refused[0],
        )


def unsupported_by_profile(target: Target) -> list[str]:
    """The parameters that quirks of the form `unsupported:<name>` rule out, in order."""
    return sorted(quirk.removeprefix(UNSUPPORTED) for quirk in target.quirks if quirk.startswith(UNSUPPORTED))


def forwarded_headers(request: Json) -> dict[str, str]:
    """The caller's `extra_headers` that may travel upstream, names in lower case."""
    given = request.get("extra_headers")
    if not isinstance(given, dict):
        return {}
    return {name.lower(): str(value) for name, value in given.items() if name.lower() in FORWARDED_HEADERS}
