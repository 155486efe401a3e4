"""What a deployment is after compiling."""

import pytest
from tests.support.config import compiled, found, model, only

from tollkeeper.config.snapshot import Secret


@pytest.mark.parametrize(
    ("params", "provider", "name"),
    [
        ("model: openai/gpt-4o", "openai", "gpt-4o"),
        ("model: gpt-4o", "openai", "gpt-4o"),
        ("model: o3-mini", "openai", "o3-mini"),
        ("model: ft:gpt-4o:org::id", "openai", "ft:gpt-4o:org::id"),
        ("model: claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("model: openrouter/openai/gpt-4o", "openrouter", "openai/gpt-4o"),
        ("model: meta-llama/Llama-3, custom_llm_provider: openai, api_base: 'http://h/v1', api_key: none", "openai", "meta-llama/Llama-3"),
        ("model: openai/gpt-4o, custom_llm_provider: openai", "openai", "gpt-4o"),
        ("model: openai/gpt-4o, custom_llm_provider: groq", "groq", "openai/gpt-4o"),
        ("model: openai/responses/gpt-4o", "openai", "gpt-4o"),
    ],
)
def test_the_model_string_names_provider_and_model(params: str, provider: str, name: str) -> None:
    deployment = only(model(params))
    assert (deployment.provider, deployment.model) == (provider, name)


def test_the_responses_api_is_chosen_by_marker_or_mode() -> None:
    assert only(model("model: openai/responses/gpt-5")).dialect == "openai_responses"
    assert only(model("model: openai/gpt-5", "mode: responses")).dialect == "openai_responses"
    assert only(model("model: openai/gpt-5")).dialect == "openai_chat"
    assert compiled(model("model: openai/responses/gpt-5")).unsupported == ()


def test_a_plain_entry_has_its_providers_address_dialect_and_key() -> None:
    openai, anthropic = compiled("""
        model_list:
          - {model_name: a, litellm_params: {model: openai/gpt-4o}}
          - {model_name: b, litellm_params: {model: anthropic/claude-sonnet-4-5}}
    """).deployments
    assert (openai.dialect, openai.base_url, openai.api_key) == (
        "openai_chat",
        "https://api.openai.com/v1",
        Secret("env", "OPENAI_API_KEY"),
    )
    assert (anthropic.dialect, anthropic.api_key) == ("anthropic_messages", Secret("env", "ANTHROPIC_API_KEY"))


def test_a_provider_that_needs_no_key_is_given_one_only_if_it_is_set() -> None:
    text = model("model: hosted_vllm/qwen, api_base: 'http://vllm:8000/v1'")
    assert only(text).api_key is None
    assert only(text, {"HOSTED_VLLM_API_KEY": "x"}).api_key == Secret("env", "HOSTED_VLLM_API_KEY")


def test_the_address_may_come_from_the_providers_variable() -> None:
    assert only(model("model: hosted_vllm/qwen"), {"HOSTED_VLLM_API_BASE": "http://vllm:8000/v1"}).base_url == "http://vllm:8000/v1"


def test_a_foreign_address_with_the_providers_own_key_is_warned_of() -> None:
    (warning,) = compiled(model("model: openai/gpt-4o, api_base: https://elsewhere.example/v1")).warnings
    assert "would be sent the key in OPENAI_API_KEY" in warning
    assert compiled(model("model: openai/gpt-4o, api_base: https://api.openai.com/v1")).warnings == ()


def test_everything_that_routing_and_translation_read() -> None:
    deployment = only(
        model(
            "model: openai/gpt-4o, rpm: 60, tpm: 1000, weight: 2, order: 3, timeout: 30, stream_timeout: 5, drop_params: true, "
            "additional_drop_params: [seed], allowed_openai_params: [tools], extra_headers: {X-A: b}, organization: org-1, "
            "temperature: 0.5, extra_body: {top_k: 4}",
            "mode: chat, access_groups: [beta], max_input_tokens: 10, max_output_tokens: 5, team: blue",
        )
    )
    assert (deployment.rpm, deployment.tpm, deployment.weight, deployment.order) == (60, 1000, 2, 3)
    assert (deployment.timeout, deployment.stream_timeout, deployment.drop_params) == (30, 5, True)
    assert (deployment.additional_drop_params, deployment.allowed_openai_params) == (("seed",), ("tools",))
    assert deployment.headers == {"x-a": "b", "openai-organization": "org-1"}
    assert deployment.body == {"temperature": 0.5, "top_k": 4}
    assert (deployment.access_groups, deployment.max_input_tokens, deployment.max_output_tokens) == (("beta",), 10, 5)
    given = {"mode": "chat", "access_groups": ["beta"], "max_input_tokens": 10, "max_output_tokens": 5, "team": "blue"}
    assert given.items() <= deployment.info.items()


def test_settings_are_the_default_of_every_deployment() -> None:
    first, second = compiled("""
        model_list:
          - {model_name: a, litellm_params: {model: openai/gpt-4o}}
          - {model_name: b, litellm_params: {model: openai/gpt-4o, drop_params: false, timeout: 7, stream_timeout: 2}}
        litellm_settings: {drop_params: true, request_timeout: 99}
        router_settings: {timeout: 50, stream_timeout: 20}
    """).deployments
    assert (first.drop_params, first.timeout, first.stream_timeout) == (True, 50, 20)
    assert (second.drop_params, second.timeout, second.stream_timeout) == (False, 7, 2)


def test_a_weight_that_is_not_given_is_not_a_weight_of_one() -> None:
    assert only(model("model: openai/gpt-4o")).weight is None


def test_a_mock_response_needs_no_provider() -> None:
    deployment = only(model("model: anything, mock_response: [Hello, {sleep: 1}, there]"))
    assert (deployment.model, deployment.mock_response, deployment.api_key) == ("anything", ["Hello", {"sleep": 1}, "there"], None)


def test_a_named_credential_fills_in_what_is_missing() -> None:
    text = """
        credential_list:
          - credential_name: vllm
            credential_values: {api_key: os.environ/VLLM_KEY, api_base: http://vllm:8000/v1}
            credential_info: {description: on-prem}
        model_list:
          - {model_name: a, litellm_params: {model: hosted_vllm/x, litellm_credential_name: vllm}}
          - {model_name: b, litellm_params: {model: hosted_vllm/x, litellm_credential_name: vllm, api_base: http://other:8000/v1}}
    """
    first, second = compiled(text).deployments
    assert (first.api_key, first.base_url) == (Secret("env", "VLLM_KEY"), "http://vllm:8000/v1")
    assert second.base_url == "http://other:8000/v1"


class TestIds:
    def test_an_id_is_stable_and_follows_what_is_written(self) -> None:
        first, again = only(model("model: openai/gpt-4o")), only(model("model: openai/gpt-4o"))
        assert first.id == again.id
        assert len(first.id) == 64
        assert only(model("model: openai/gpt-4o, rpm: 1")).id != first.id
        assert only(model("model: openai/gpt-4o", name="n")).id != first.id

    def test_an_id_knows_nothing_of_a_literal_credential(self) -> None:
        assert only(model("model: openai/gpt-4o, api_key: sk-aaaaaaaa")).id == only(model("model: openai/gpt-4o, api_key: sk-bbbbbbbb")).id

    def test_entries_that_look_alike_have_their_own(self) -> None:
        entry = "{model_name: a, litellm_params: {model: openai/gpt-4o, api_key: %s}}"
        first, second = compiled(f"model_list: [{entry % 'sk-aaaaaaaa'}, {entry % 'sk-bbbbbbbb'}]").deployments
        assert first.id != second.id

    def test_a_given_id_is_kept_and_must_be_unique(self) -> None:
        assert only(model("model: openai/gpt-4o", "id: 7")).id == "7"
        entry = "{model_name: a, litellm_params: {model: openai/gpt-4o}, model_info: {id: x}}"
        assert "is another deployment's id too" in found(f"model_list: [{entry}, {entry}]")[0]


class TestWildcards:
    def test_a_provider_wildcard_keeps_its_star(self) -> None:
        deployment = only(model("model: openai/*", name="openai/*"))
        assert (deployment.group, deployment.provider, deployment.model) == ("openai/*", "openai", "*")

    def test_its_prices_go_by_the_model_that_is_asked_for(self) -> None:
        book = only(model("model: openai/*", name="openai/*")).wildcard_prices
        listed = only(model("model: openai/gpt-4o")).prices
        assert listed is not None
        assert book.get("gpt-4o") == book.get("GPT-4o") == book.get("gpt-4o-2024-11-20") == listed
        assert book.get("my-own-model") is None

    def test_configured_prices_hold_for_all_of_its_models(self) -> None:
        deployment = only(model("model: openai/*", "input_cost_per_token: 0, output_cost_per_token: 0", name="openai/*"))
        assert deployment.prices is not None
        assert deployment.wildcard_prices.get("gpt-4o") is None

    def test_everything_means_each_provider_whose_key_is_set(self) -> None:
        text = model("model: '*', rpm: 5", name="*")
        rows = {row.group: row for row in compiled(text, {"OPENAI_API_KEY": "x", "GROQ_API_KEY": "y"}).deployments}
        assert {"openai/*", "gpt-*", "groq/*"} <= rows.keys()
        assert "anthropic/*" not in rows
        assert (rows["gpt-*"].provider, rows["gpt-*"].model, rows["gpt-*"].rpm) == ("openai", "gpt-*", 5)
        assert len({row.id for row in rows.values()}) == len(rows)

    def test_everything_without_a_key_is_an_error(self) -> None:
        assert "means every provider whose key is set, and none is" in found(model("model: '*'", name="*"))[0]

    def test_two_stars_are_an_error(self) -> None:
        assert "has more than one *" in found(model("model: openai/*-*", name="*"))[0]
