"""Every mistake at once, each with path, line and what to write."""

import pytest
from tests.support.config import compiled, found, model


def test_all_mistakes_are_said_at_once_in_the_order_of_the_file() -> None:
    assert found("""\
        model_list:
          - model_name: gpt
            litellm_params:
              model: openai/gpt-4o
              api_bse: https://example.com
              rpm: lots
          - model_name: claude
            litellm_params: {model: antropic/claude-sonnet-4-5}
          - litellm_params: {model: openai/gpt-4o}
        router_settings:
          fallbacks: [{gpt: [claud]}]
          routing_stratgy: simple-shuffle
        general_settings:
          mastr_key: os.environ/KEY
        litellm_setings: {}
    """) == (
        "model_list[0].litellm_params.api_bse (gateway.yaml:5): unknown key; did you mean api_base?",
        "model_list[0].litellm_params.rpm (gateway.yaml:6): must be a whole number",
        "model_list[1].litellm_params.model (gateway.yaml:8): there is no provider antropic; did you mean anthropic?",
        "model_list[2].model_name (gateway.yaml:9): is missing; add it",
        "router_settings.fallbacks[0].gpt (gateway.yaml:11): there is no model claud; did you mean claude?",
        "router_settings.routing_stratgy (gateway.yaml:12): unknown key; did you mean routing_strategy?",
        "general_settings.mastr_key (gateway.yaml:14): unknown key; did you mean master_key?",
        "litellm_setings (gateway.yaml:15): unknown key; did you mean litellm_settings?",
    )


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ("model: openai/gpt-4o, modle: x", "litellm_params.modle (gateway.yaml:3): unknown key; did you mean model?"),
        ("model: openai/gpt-4o, temprature: 1", "did you mean temperature?"),
        ("model: openai/gpt-4o, mode: chat", "does nothing here; move it to model_info"),
        ("model: openai/gpt-4o, input_cost_per_tokn: 1", "did you mean input_cost_per_token?"),
        ("api_key: none", "litellm_params.model (gateway.yaml:3): is missing; add it"),
        ("model: 4", "must be text; put it in quotes"),
        ("model: ''", "is empty"),
        ("model: openai/", "names a provider but no model; write openai/<model>"),
        ("model: llama-3", "does not say which provider serves it; write <provider>/llama-3"),
        ("model: openai/gpt-4o, timeout: 0", "must be more than 0"),
        ("model: openai/gpt-4o, timeout: .nan", "must be"),
        ("model: openai/gpt-4o, rpm: -1", "must be at least 0"),
        ("model: openai/gpt-4o, rpm: 1.5", "must be a whole number"),
        ("model: openai/gpt-4o, rpm: yes", "must be a number"),
        ("model: openai/gpt-4o, drop_params: maybe", "must be true or false"),
        ("model: openai/gpt-4o, additional_drop_params: seed", "must be a list; write one item per line"),
        ("model: openai/gpt-4o, extra_headers: [a]", "must be a mapping"),
        ("model: openai/gpt-4o, extra_headers: {a: 1}", "litellm_params.extra_headers.a (gateway.yaml:3): must be text; put it in quotes"),
        ("model: openai/gpt-4o, api_base: localhost:8000", "is not a URL; write it with https:// or http://"),
        ("model: hosted_vllm/x", "api_base (gateway.yaml:3): is missing, and hosted_vllm has no address of its own"),
        ("model: openai/gpt-4*", "has a * that nothing fills in"),
        ("model: openai/gpt-4o, litellm_credential_name: mine", "there is no credential mine; add it to credential_list"),
        ("model: reducto/parse", "the provider reducto is not supported yet"),
        ("model: gpt-4o, custom_llm_provider: opnai", "there is no provider opnai; did you mean openai?"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_line(params: str, said: str) -> None:
    (finding,) = found(model(params))
    assert said in finding
    assert "(gateway.yaml:3)" in finding


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ("mode: chatt", "there is no mode chatt; did you mean chat?"),
        ("base_modle: gpt-4o", "did you mean base_model?"),
        ("access_groups: beta", "must be a list"),
        ("max_input_tokens: big", "must be a whole number"),
        ("input_cost_per_token: cheap", "must be dollars per unit"),
        ("output_cost_per_token: -0.1", "must be dollars per unit"),
        ("input_cost_per_token: true", "must be dollars per unit"),
    ],
)
def test_wrong_model_info_is_named_with_its_line(info: str, said: str) -> None:
    findings = found(model("model: openai/gpt-4o", info))
    assert len(findings) == 1
    assert said in findings[0]
    assert "(gateway.yaml:4)" in findings[0]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("model_list: {a: b}", "model_list (gateway.yaml:1): must be a list"),
        ("model_list: [gpt-4o]", "model_list[0] (gateway.yaml:1): must be a mapping"),
        ("litellm_settings: [a]", "litellm_settings (gateway.yaml:1): must be a mapping"),
        ("router_settings: {num_retries: few}", "router_settings.num_retries (gateway.yaml:1): must be a whole number"),
        (
            "router_settings: {retry_policy: {TimeoutErrorRetries: x}}",
            "retry_policy.TimeoutErrorRetries (gateway.yaml:1): must be a whole number",
        ),
        ("general_settings: {master_key: [a]}", "general_settings.master_key (gateway.yaml:1): must be text"),
        ("general_settings: {max_request_size_mb: 0}", "must be more than 0"),
        ("credential_list: [{credential_name: a}]", "credential_list[0].credential_values (gateway.yaml:1): is missing"),
        (
            "tollkeeper: {budgets: {enforcment: hard}}",
            "tollkeeper.budgets.enforcment (gateway.yaml:1): unknown key; did you mean enforcement?",
        ),
        ("tollkeeper: {routing: {all_opn: refuse}}", "unknown key; did you mean all_open?"),
        ("router_settings: {routing_groups: [{group_nam: a}]}", "unknown key; did you mean group_name?"),
        ("litellm_settings: {budget_duration: fortnight}", "budget_duration (gateway.yaml:1): is not a duration"),
        ("litellm_settings: {max_end_user_budget_duration: 2mo}", "is not a duration"),
        ("litellm_settings: {timezone: Mars/Olympus}", "timezone (gateway.yaml:1): is no IANA time zone"),
        (
            "router_settings: {provider_budget_config: {openai: {budget_limit: 1, time_period: 0d}}}",
            "provider_budget_config.openai.time_period (gateway.yaml:1): is not a duration",
        ),
        ("tollkeeper: {budgts: 1}", "tollkeeper.budgts (gateway.yaml:1): unknown key; did you mean budgets?"),
        (
            "model_list: [{model_name: a, litellm_params: {model: openai/gpt-4o}, weight: 2}]",
            "model_list[0].weight (gateway.yaml:1): unknown key",
        ),
    ],
)
def test_a_wrong_section_is_named_with_its_line(section: str, said: str) -> None:
    assert any(said in finding for finding in found(section))


def test_one_mistake_does_not_cause_others() -> None:
    findings = found("""
        model_list:
          - model_name: a
            litellm_params: {model: openai/gpt-4o, rpm: x}
        router_settings:
          fallbacks: [{'*': [b]}]
          model_group_alias: {b: a}
    """)
    assert len(findings) == 1
    assert "rpm" in findings[0]


def test_no_finding_quotes_a_value() -> None:
    secret = "sk-do-not-print-me"
    findings = found(f"""
        model_list:
          - model_name: a
            litellm_params: {{model: openai/gpt-4o, api_key: [{secret}], rpm: {secret}, api_base: {secret}, input_cost_per_token: {secret}}}
          - model_name: {{{secret}: 1}}
            litellm_params: {{model: openai/gpt-4o, extra_headers: {secret}}}
        general_settings: {{master_key: {{a: {secret}}}, max_request_size_mb: {secret}}}
        environment_variables: {secret}
        router_settings: {{fallbacks: 3, model_group_alias: [{secret}]}}
    """)
    assert len(findings) >= 8
    assert secret not in "\n".join(findings)


class TestUnsupported:
    def test_litellms_own_keys_are_accepted_and_listed(self) -> None:
        snapshot = compiled("""
            model_list:
              - model_name: a
                litellm_params: {model: openai/gpt-4o, max_retries: 3, aws_profile_name: dev, input_cost_per_pixel: 1}
                model_info: {tier: free, supports_vision: true}
            litellm_settings: {callbacks: [langfuse], cache: true}
            router_settings: {polling_interval: 1, optional_pre_call_checks: [enforce_model_rate_limits, prompt_caching]}
            general_settings: {database_url: os.environ/DATABASE_URL, alerting: [pagerduty], mcp_internal_ip_ranges: []}
            vector_store_registry: []
        """)
        assert set(snapshot.unsupported) == {
            "vector_store_registry",
            "litellm_settings.callbacks[0]",
            "litellm_settings.cache",
            "router_settings.polling_interval",
            "router_settings.optional_pre_call_checks[1]",
            "general_settings.database_url",
            "general_settings.alerting[0]",
            "general_settings.mcp_internal_ip_ranges",
            "model_list[0].litellm_params.max_retries",
            "model_list[0].litellm_params.aws_profile_name",
            "model_list[0].litellm_params.input_cost_per_pixel",
            "model_list[0].model_info.tier",
        }

    def test_their_variables_need_not_be_set_and_their_values_go_nowhere(self) -> None:
        snapshot = compiled("general_settings: {database_url: os.environ/NOT_SET}\nlitellm_settings: {cache_params: {password: hush}}")
        assert snapshot.settings == {}

    def test_a_setting_that_may_be_litellms_is_listed_with_a_warning(self) -> None:
        snapshot = compiled("litellm_settings: {some_new_global: 1}")
        assert snapshot.unsupported == ("litellm_settings.some_new_global",)
        assert "litellm_settings.some_new_global (gateway.yaml:1): is not a setting this gateway knows" in snapshot.warnings[-1]

    def test_a_setting_that_says_what_happens_anyway_is_supported(self) -> None:
        snapshot = compiled("router_settings: {routing_strategy: simple-shuffle}")
        assert snapshot.unsupported == ()
        assert snapshot.settings == {"router_settings": {"routing_strategy": "simple-shuffle"}}

    def test_a_near_miss_of_a_setting_is_an_error_all_the_same(self) -> None:
        assert "did you mean num_retries?" in found("litellm_settings: {num_retrys: 1}")[0]


def test_an_empty_model_list_is_a_warning() -> None:
    assert "there is no model in model_list" in compiled("general_settings: {}").warnings[0]


def test_sections_may_be_left_empty() -> None:
    assert compiled("model_list:\nlitellm_settings:\nrouter_settings:\ngeneral_settings:\ntollkeeper:\n").deployments == ()
