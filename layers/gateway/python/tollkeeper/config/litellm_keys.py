"""The keys of LiteLLM's config.yaml, as data: which exist (KNOWN), and which Tollkeeper acts on (IMPLEMENTED).

A key that exists but is not acted on is accepted and listed in `Snapshot.unsupported`. To implement one: add it to IMPLEMENTED, and to
`schema.py` if its type is to be checked; it then arrives in `Snapshot.settings` (or in `Deployment.info`, for model_info).
https://docs.litellm.ai/docs/proxy/config_settings
"""

import re
from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CLOSED = _words("top entry router_settings general_settings credential tollkeeper litellm_jwtauth")
"""Sections in which a key LiteLLM does not have is a mistake. litellm_settings is open, as LiteLLM sets any name there on its module; so
are litellm_params (sent upstream) and model_info (free-form). In an open section only a near miss of a known key is a mistake.
"""

SECRET_KEYS = _words("""
    api_key azure_ad_token tenant_id client_id client_secret azure_password azure_username aws_access_key_id aws_secret_access_key
    aws_session_token aws_web_identity_token vertex_credentials valkey_password master_key database_url redis_password redis_url
    litellm_license password s3_access_key_id s3_secret_access_key s3_session_token
""")
"""Credentials, wherever they stand: kept as references, never resolved at compile time, never shown."""

CREDENTIAL_HEADER = re.compile(r"authorization|cookie|token|secret|key", re.IGNORECASE)

_COST_SUFFIX = (
    r"(?:_(?:batches|flex|priority|balanced|ultrafast|above_\d+k_tokens|above_\d+hr|480p|720p|1080p|4k|512|1024|1536|1K|2K|4K"
    r"|cache_hit|per_second|above_\d+_seconds))*"
)
PRICE_KEY = re.compile(
    r"(?:(?:input|output)_cost_per_(?:reasoning_token|audio_token|image_token|video_token|token|image|pixel|second|character|query|request"
    r"|audio_per_second|video_per_second|video|page|minute)"
    r"|cache_(?:read|creation)_(?:input_)?(?:audio_)?(?:input_)?token_cost|input_dbu_cost_per_token|output_dbu_cost_per_token"
    r"|ocr_cost_per_(?:page|credit)|annotation_cost_per_page|search_context_cost_per_query|google_maps_grounding_cost_per_query"
    r"|code_interpreter_cost_per_session|file_search_cost_per_1k_calls|vector_store_cost_per_gb_per_day|citation_cost_per_token"
    r"|computer_use_(?:input|output)_cost_per_1k_tokens|input_cost_per_audio_per_second|output_cost_per_video_per_second|tiered_pricing"
    r"|regional_(?:processing|endpoint)_uplift_multiplier(?:_eu|_us)?|off_peak_pricing|cost_per_ptu_per_hour)" + _COST_SUFFIX
)

PRICE_RATES: Mapping[str, str] = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_creation",
    "cache_creation_input_token_cost_above_1hr": "cache_creation_1h",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
    "cache_read_input_audio_token_cost": "cache_audio_read",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_image_token": "image_input",
    "output_cost_per_image_token": "image_output",
    "input_cost_per_character": "character",
    "input_cost_per_second": "audio_hour",
    "input_cost_per_audio_per_second": "audio_hour",
    "output_cost_per_image": "image",
    "input_cost_per_image": "image",
    "input_cost_per_request": "request",
    "input_cost_per_query": "request",
}
"""The price fields we bill by → the rate they set. Each also takes a threshold: `…_above_200k_tokens`."""

RATE_UNITS: Mapping[str, int] = {"input_cost_per_second": 3_600, "input_cost_per_audio_per_second": 3_600}
"""How many of a field's units are one of its rate's; 1 for any other."""

PRICE_FIELD = re.compile(r"(?P<field>\w+?)(?:_above_(?P<thousands>\d+)k_tokens)?(?:_(?P<tier>batches|flex|priority))?")
_TIERS = {"batches": "@batch", "flex": "@flex", "priority": "@priority"}

FEE_FIELDS: Mapping[str, tuple[str, int]] = {
    "search_context_cost_per_query": ("web_search", 1),
    "file_search_cost_per_1k_calls": ("file_search", 1000),
    "code_interpreter_cost_per_session": ("code_interpreter", 1),
}
"""Fees for tools the provider runs by itself → the tool, and for how many uses the price is."""


def price_field(key: str) -> tuple[str, int] | None:
    """`input_cost_per_token_above_200k_tokens_flex` → ("input@flex", 200000); threshold 0 without one; None if no price we bill by."""
    match = PRICE_FIELD.fullmatch(key)
    if match is None or match["field"] not in PRICE_RATES:
        return None
    return PRICE_RATES[match["field"]] + _TIERS.get(match["tier"], ""), int(match["thousands"] or 0) * 1000


def is_billed(key: str) -> bool:
    """A price, or a fee, that costs are made from."""
    return key in FEE_FIELDS or price_field(key) is not None


def is_price(key: str) -> bool:
    return PRICE_KEY.fullmatch(key) is not None


IMPLEMENTED: Mapping[str, frozenset[str]] = {
    "top": _words("""
        model_list litellm_settings router_settings general_settings environment_variables credential_list include tollkeeper
        mcp_servers agent_list guardrails
    """),
    "entry": _words("model_name litellm_params model_info"),
    "credential": _words("credential_name credential_values credential_info"),
    "litellm_params": _words("""
        model api_key api_base base_url custom_llm_provider litellm_credential_name organization rpm tpm weight order timeout
        stream_timeout mock_response drop_params additional_drop_params allowed_openai_params headers extra_headers extra_body base_model
        max_budget budget_duration max_parallel_requests api_version aws_region_name aws_access_key_id aws_secret_access_key
        aws_session_token aws_role_name aws_session_name aws_external_id aws_sts_endpoint aws_bedrock_runtime_endpoint vertex_project
        vertex_location vertex_credentials azure_ad_token azure_scope tenant_id client_id client_secret tags tag_regex region_name
        silent_model cooldown_time allowed_fails allowed_fails_policy auto_router_config auto_router_default_model
        auto_router_embedding_model auto_router_config_path complexity_router_config complexity_router_default_model
        aws_batch_role_arn s3_bucket_name s3_output_bucket_name s3_region_name s3_endpoint_url s3_encryption_key_id s3_access_key_id
        s3_secret_access_key s3_session_token gcs_bucket_name bucket_name
    """),
    "model_info": _words("""
        disable_background_health_check id mode base_model access_groups access_windows region labels max_tokens
        max_input_tokens max_output_tokens price_changes gpu_hour_cost gpu_hour_share
    """),
    "litellm_settings": _words("""
        drop_params request_timeout num_retries fallbacks default_fallbacks context_window_fallbacks content_policy_fallbacks
        max_budget budget_duration timezone budget_exceeded_status_code max_end_user_budget max_end_user_budget_duration
        allowed_fails max_fallbacks default_key_generate_params upperbound_key_generate_params default_internal_user_params
        default_team_params cost_discount_config cost_margin_config callbacks
        success_callback failure_callback s3_callback_params aws_sqs_callback_params firehose_callback_params generic_logger_headers
        require_auth_for_metrics_endpoint guardrails
    """),
    "router_settings": _words("""
        num_retries timeout stream_timeout fallbacks default_fallbacks context_window_fallbacks content_policy_fallbacks model_group_alias
        retry_policy model_group_retry_policy provider_budget_config routing_strategy routing_strategy_args routing_groups retry_after
        max_fallbacks cooldown_time allowed_fails allowed_fails_policy disable_cooldowns enable_pre_call_checks enable_tag_filtering
        tag_filtering_match_any optional_pre_call_checks
    """),
    "general_settings": _words("""
        master_key litellm_key_header_name max_request_size_mb apply_user_budget_to_team_keys fail_closed_rate_limit_enforcement
        user_header_name user_header_mappings global_max_parallel_requests background_health_checks health_check_interval
        background_health_check_model_groups enforce_fallback_model_access enable_jwt_auth litellm_jwtauth pass_through_endpoints
        alerting alert_types maximum_spend_logs_retention_period enforced_params service_account_settings enforce_user_param
        reject_clientside_metadata_tags
    """),
    "tollkeeper": _words("budgets providers routing iam_callers prices alerts responses exports receipts"),
    "litellm_jwtauth": _words("""
        issuer audience jwks_url jwks_uri public_key_url issuers user_id_jwt_field user_email_jwt_field user_allowed_email_domain
        user_id_upsert user_roles_jwt_field user_allowed_roles roles_jwt_field role_mappings jwt_litellm_role_map team_id_jwt_field
        team_ids_jwt_field team_id_default team_id_upsert team_allowed_routes org_id_jwt_field scope_field admin_jwt_scope
        admin_allowed_routes scope_mappings enforce_scope_based_access public_key_ttl
    """),
}

_SINKS = frozenset({"stdout", "generic_api", "otel", "opentelemetry", "s3", "s3_v2", "aws_sqs", "sqs", "firehose", "prometheus"})
IMPLEMENTED_VALUES: Mapping[tuple[str, str], frozenset[str]] = {
    **{("litellm_settings", name): _SINKS for name in ("callbacks", "success_callback", "failure_callback")},
    ("general_settings", "alerting"): frozenset({"slack", "webhook", "teams", "sns", "email"}),
    ("router_settings", "optional_pre_call_checks"): frozenset({"enforce_model_rate_limits", "router_budget_limiting"}),
}
"""Lists of which some entries are acted on; any other is listed as unsupported."""

_ROUTER = _words("""
    routing_strategy routing_strategy_args routing_groups num_retries max_retries retry_after retry_policy model_group_retry_policy
    timeout stream_timeout fallbacks default_fallbacks context_window_fallbacks content_policy_fallbacks max_fallbacks
    fallback_on_unsupported_params model_group_alias allowed_fails allowed_fails_policy cooldown_time disable_cooldowns
    enable_pre_call_checks enable_pre_call_check optional_pre_call_checks enable_tag_filtering tag_filtering_match_any tag_routing_prefix
    provider_budget_config default_max_parallel_requests default_priority polling_interval default_litellm_params redis_host redis_port
    redis_password redis_url redis_db cache_responses cache_kwargs caching_groups client_ttl alerting_config enable_health_check_routing
    health_check_staleness_threshold health_check_ignore_transient_errors background_health_check_model_groups enable_weighted_failover
    enable_mid_stream_fallback_continuation deployment_affinity_ttl_seconds model_group_affinity_config session_affinity_repin_on_failover
    ignore_invalid_deployments assistants_config search_tools guardrail_list plugins debug_level set_verbose router_general_settings
    default_cache_time_seconds
""")

_GENERAL = _words("""
    master_key database_url store_model_in_db supported_db_objects key_management_system key_management_settings custom_auth
    custom_auth_run_common_checks custom_key_generate custom_key_update custom_sso enable_jwt_auth litellm_jwtauth enable_oauth2_auth
    enable_oauth2_proxy_auth oauth2_config_mappings enforce_rbac role_permissions allowed_ips use_x_forwarded_for trusted_proxy_ranges
    allowed_routes admin_only_routes public_routes litellm_key_header_name user_header_name user_header_mappings
    dangerously_permit_weak_or_unset_master_key litellm_license database_connection_pool_limit
    database_connection_timeout database_connect_timeout database_socket_timeout database_extra_connection_params
    database_disable_prepared_statements database_type database_args proxy_batch_write_at proxy_batch_polling_interval
    use_redis_transaction_buffer coordination_redis user_api_key_cache_ttl proxy_config_reload_interval_seconds disable_spend_logs
    disable_spend_updates disable_error_logs allow_requests_on_db_unavailable disable_prisma_schema_update
    proxy_budget_rescheduler_min_time proxy_budget_rescheduler_max_time scheduled_job_stagger disable_reset_budget max_parallel_requests
    global_max_parallel_requests max_request_size_mb max_response_size_mb max_batch_file_size_mb max_in_flight_requests_per_worker
    max_queued_requests_per_worker admission_queue_timeout_seconds fail_closed_budget_enforcement disable_budget_reservation
    fail_closed_rate_limit_enforcement apply_user_budget_to_team_keys enforce_fallback_model_access token_rate_limit_type
    self_serve_budget_policy disable_retry_on_max_parallel_request_limit_error background_health_checks health_check_interval
    health_check_concurrency health_check_details use_shared_health_check health_check_skip_disabled_background_models
    background_health_check_model_groups model_list_healthy_only store_prompts_in_spend_logs maximum_spend_logs_retention_period
    maximum_spend_logs_retention_interval maximum_spend_logs_cleanup_cron maximum_spend_logs_size maximum_spend_logs_cleanup_batch_size
    maximum_spend_logs_cleanup_max_batches maximum_spend_logs_cleanup_run_budget maximum_spend_logs_cleanup_batch_timeout
    maximum_autorouter_session_retention_period maximum_health_check_retention_period use_spend_logs_partitioning
    disable_requester_ip_address_logging spend_logs_metadata_fields alerting alert_types alert_to_webhook_url alerting_args
    alerting_threshold spend_report_frequency pass_through_endpoints pass_through_request_timeout
    use_client_credentials_pass_through_routes forward_client_headers_to_llm_api forward_openai_org_id always_include_stream_usage
    cancel_on_disconnect ui_access_mode completion_model
    embedding_model moderation_model image_generation_model infer_model_from_keys include_call_id_in_error_body missing_session_id
    user_url_validation user_url_allowed_hosts provider_url_destination_allowed_hosts otel plugins control_plane_url
    allow_cli_sso_verification_uri_complete disable_master_key_return disable_adding_master_key_hash_to_db disable_responses_id_security
    default_team_disabled allow_user_auth allow_client_side_credentials use_google_kms use_azure_key_vault enable_public_model_hub
    user_mcp_management_mode disable_auto_add_proxy_admin_to_teams store_audit_logs
""")

_LITELLM = _words("""
    drop_params callbacks input_callback success_callback failure_callback service_callback service_callbacks audit_log_callbacks
    callback_settings request_timeout num_retries num_retries_per_request fallbacks default_fallbacks context_window_fallbacks
    content_policy_fallbacks model_fallbacks max_fallbacks allowed_fails cache cache_params enable_redis_auth_cache
    turn_off_message_logging redact_user_api_key_info redact_messages_in_exceptions standard_logging_payload_excluded_fields json_logs
    log_level set_verbose log_raw_request_response modify_params force_ipv4 ssl_verify ssl_certificate ssl_security_level ssl_ecdh_curve
    forward_traceparent_to_llm_provider max_budget budget_duration timezone budget_exceeded_status_code
    budget_exceeded_throttle_percentage budget_rollover max_user_budget default_max_internal_user_budget max_internal_user_budget
    internal_user_budget_duration max_ui_session_budget max_end_user_budget max_end_user_budget_id default_soft_budget tag_budget_config
    validate_end_user_id_in_db default_key_generate_params default_key_max_budget_alert_emails upperbound_key_generate_params
    key_generation_settings default_internal_user_params default_team_params default_team_settings cost_discount_config cost_margin_config
    block_requests_for_models_without_pricing include_cost_in_streaming_usage disable_end_user_cost_tracking
    disable_end_user_cost_tracking_prometheus_only enable_end_user_cost_tracking_prometheus_only extra_spend_tag_headers
    priority_reservation priority_reservation_settings prometheus_metrics_config prometheus_initialize_budget_metrics
    prometheus_latency_buckets prometheus_emit_stream_label prometheus_emit_rate_limit_labels
    prometheus_user_budget_label_include_email_alias custom_prometheus_metadata_labels custom_prometheus_tags
    require_auth_for_metrics_endpoint langfuse_default_tags langsmith_batch_size argilla_batch_size s3_callback_params
    s3_audit_callback_params aws_sqs_callback_params datadog_params datadog_llm_observability_params newrelic_params datadog_use_v1
    gcs_pub_sub_use_v1 generic_api_use_v1 generic_logger_headers dynamodb_table_name public_model_groups public_model_groups_links
    public_agent_groups public_mcp_servers mcp_aliases enable_anthropic_prompt_caching anthropic_prompt_caching_ttl
    openai_system_messages_first enable_json_schema_validation enable_key_alias_format_validation enable_preview_features
    enable_loadbalancing_on_batch_endpoints enable_model_config_credential_overrides enable_gemini_default_thinking_level_low
    enable_caching_on_provider_specific_optional_params return_response_headers reasoning_auto_summary use_aiohttp_transport
    disable_aiohttp_transport aiohttp_trust_env disable_aiohttp_trust_env network_mock proxy_auth expose_router_debug_in_errors
    filter_invalid_headers add_user_information_to_llm_headers overwrite_user_with_key_hash store_audit_logs
    skip_system_message_in_guardrail skip_tool_message_in_guardrail telemetry max_tokens use_chat_completions_url_for_anthropic_messages
    strip_anthropic_total_tokens route_all_chat_openai_to_responses gemini_live_defer_setup use_legacy_interactions_schema api_key
    api_base api_version organization headers project vertex_project vertex_location vertex_ai_safety_settings openai_key azure_key
    anthropic_key use_litellm_proxy disable_streaming_logging disable_token_counter disable_add_transform_inline_image_block
    disable_add_user_agent_to_request_tags disable_anthropic_gemini_context_caching_transform disable_vertex_batch_output_transformation
    disable_hf_tokenizer_download disable_copilot_system_to_assistant disable_add_prefix_to_prompt disable_stop_sequence_limit
    safe_memory_mode enable_azure_ad_token_refresh llamaguard_model_name openai_moderations_model_name presidio_ad_hoc_recognizers
    google_moderation_confidence_threshold llamaguard_unsafe_content_categories blocked_user_list banned_keywords_list llm_guard_mode
    output_parse_pii require_managed_files default_in_memory_ttl default_redis_ttl default_redis_batch_cache_expiry
    model_alias_map model_group_settings add_function_to_prompt model_cost_map_url suppress_debug_info allow_dynamic_callback_disabling
    cold_storage_custom_logger logged_real_time_event_types user_url_validation user_url_allowed_hosts custom_prompt_dict
    check_provider_endpoint pre_call_rules post_call_rules caching_groups
""")

_PARAMS = _words("""
    api_version region_name itpm otpm rpd tpd daily_reset_time timeout_by_service_tier max_retries num_retries max_parallel_requests tags
    tag_regex max_budget budget_duration cooldown_time allowed_fails allowed_fails_policy silent_model configurable_clientside_auth_params
    use_in_pass_through use_litellm_proxy use_chat_completions_api use_xai_oauth merge_reasoning_content_in_choices
    cache_control_injection_points prompt_id prompt_variables default_api_key_tpm_limit default_api_key_rpm_limit max_file_size_mb
    keepalive_seconds allow_client_keepalive_override litellm_trace_id model_info aws_access_key_id aws_secret_access_key
    aws_session_token aws_region_name aws_role_name aws_session_name aws_external_id aws_session_tags aws_profile_name
    aws_web_identity_token aws_sts_endpoint aws_bedrock_runtime_endpoint aws_bedrock_project_id aws_batch_role_arn s3_bucket_name
    s3_region_name s3_encryption_key_id s3_output_bucket_name bedrock_tags gcs_bucket_name azure_ad_token tenant_id client_id
    client_secret azure_scope azure_username azure_password vertex_project vertex_location vertex_credentials watsonx_region_name
    auto_router_config auto_router_config_path auto_router_default_model auto_router_embedding_model auto_router_max_input_chars
    complexity_router_config complexity_router_default_model adaptive_router_config adaptive_router_default_model quality_router_config
    quality_router_default_model vector_store_id vector_bucket_name index_name guardrails
""")

_INFO = _words("""
    supported_environments team_id team_public_model_name tier health_check_model health_check_timeout disable_background_health_check
    blocked discoverable access_windows ptu_count ptu_effective_from ptu_effective_to max_embedding_batch_size allow_fail_open
    enable_tag_filtering health_check_max_tokens health_check_voice
""")

INFORMATIVE_INFO = _words("""
    description litellm_provider supported_endpoints supported_modalities supported_output_modalities supported_openai_params
    deprecation_date prompt_cache_min_tokens token_count_model reasoning_effort_levels source key output_vector_size updated_at updated_by
    created_at created_by db_model metadata
""")
"""model_info that only describes: nothing has to act on it, /model/info shows it. So does every `supports_*`."""

KNOWN: Mapping[str, frozenset[str]] = {
    **IMPLEMENTED,
    "top": IMPLEMENTED["top"]
    | _words("""
        mcp_tools vector_store_registry search_tools prompts policies policy_attachments callback_settings
        assistant_settings files_settings finetune_settings batch_settings agent_list worker_registry mcp_toolsets
    """),
    "litellm_params": IMPLEMENTED["litellm_params"] | _PARAMS,
    "model_info": IMPLEMENTED["model_info"] | _INFO | INFORMATIVE_INFO,
    "litellm_settings": IMPLEMENTED["litellm_settings"] | _LITELLM,
    "router_settings": IMPLEMENTED["router_settings"] | _ROUTER,
    "general_settings": IMPLEMENTED["general_settings"] | _GENERAL,
    "litellm_jwtauth": IMPLEMENTED["litellm_jwtauth"]
    | _words("""
        team_alias_jwt_field org_alias_jwt_field end_user_id_jwt_field object_id_jwt_field public_allowed_routes enforce_rbac
        enforce_team_based_model_access custom_validate sync_user_role_and_teams virtual_key_claim_field unregistered_jwt_client_behavior
        oidc_userinfo_enabled oidc_userinfo_endpoint oidc_userinfo_cache_ttl role_permissions user_team_ids_jwt_field
    """),
}

KNOWN_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "litellm_params": ("anthropic_federation_", "anthropic_issuer_", "openai_identity_", "token_exchange_", "s3_", "milvus_", "valkey_"),
    "model_info": ("supports_", "ptu_"),
    "litellm_settings": ("prometheus_", "ssl_"),
    "general_settings": ("mcp_", "password_policy_", "max_failed_login_attempts_"),
}

BODY_PARAMS = _words("""
    messages temperature top_p top_k top_a min_p n stop stream stream_options max_tokens max_completion_tokens presence_penalty
    frequency_penalty repetition_penalty logit_bias logprobs top_logprobs user seed tools tool_choice parallel_tool_calls response_format
    functions function_call modalities audio prediction reasoning_effort reasoning thinking verbosity service_tier store metadata
    web_search_options dimensions encoding_format input_type voice speed language prompt size quality style instructions safety_settings
    provider providers transforms models route think keep_alive options format num_ctx num_predict system guided_json guided_regex
    guided_choice chat_template_kwargs top_n documents citations search_parameters best_of echo suffix truncate user_id safety_identifier
    prompt_cache_key prompt_cache_retention enable_thinking thinking_budget include_reasoning extra_query
""")
"""Request parameters of the providers: never a misspelt LiteLLM key, however near one they are."""

MISPLACED: Mapping[str, str] = {"mode": "model_info", "access_groups": "model_info", "model_name": "the model_list entry"}
"""Keys that only work one level up or beside, and that people write into litellm_params."""

LITELLM_PROVIDERS = _words("""
    refuseless openai chatgpt openai_like jina_ai xai zai bigmodel custom_openai text-completion-openai cohere cohere_chat clarifai
    anthropic anthropic_text bytez replicate reducto aws_textract runwayml aws_polly transcribe huggingface together_ai openrouter
    datarobot vertex_ai vertex_ai_beta gemini ai21 baseten black_forest_labs azure azure_text azure_ai sagemaker sagemaker_chat
    sagemaker_nova bedrock vllm nlp_cloud petals oobabooga ollama ollama_chat deepinfra perplexity mistral milvus groq a2a gigachat
    nvidia_nim nvidia_riva soniox cerebras ai21_chat volcengine codestral text-completion-codestral dashscope qwencloud modelscope
    moonshot publicai v0 morph lambda_ai inception deepseek sambanova maritalk voyage cloudflare xinference fireworks_ai friendliai
    featherless_ai watsonx watsonx_text triton predibase databricks empower github ragflow compactifai docker_model_runner custom
    litellm_proxy hosted_vllm tencent llamafile lm_studio galadriel nebius infinity deepgram elevenlabs novita aiohttp_openai langfuse
    humanloop topaz sap assemblyai azure_speech github_copilot snowflake gradient_ai meta_llama nscale pg_vector s3_vectors helicone
    hyperbolic recraft fal_ai stability heroku aiml cometapi oci auto_router vercel_ai_gateway edenai dotprompt manus wandb ovhcloud
    scaleway lemonade amazon_nova langgraph langflow minimax synthetic nano-gpt poe chutes parasail xiaomi_mimo cortecs reka streamlake
    meta bedrock_mantle
""")
"""Prefixes LiteLLM routes by, to tell "not yet here" from "no such provider"."""
