"""`os.environ/NAME`, `${NAME}` and `secret:` references."""

import pytest
from tests.support.config import compiled, found, model, only

from tollkeeper.config.snapshot import Secret, dump

LITERAL = "sk-live-0123456789"


@pytest.mark.parametrize(
    ("written", "secret"),
    [
        ("os.environ/MY_KEY", Secret("env", "MY_KEY")),
        ("${MY_KEY}", Secret("env", "MY_KEY")),
        ("${MY_KEY:-}", Secret("env", "MY_KEY")),
        ("secret:prod/llm#openai", Secret("aws", "prod/llm#openai")),
        ("secret:prod/llm", Secret("aws", "prod/llm")),
        (LITERAL, Secret("literal", LITERAL)),
        ("${GONE:-fallback-key}", Secret("literal", "fallback-key")),
        ("${SET:-fallback-key}", Secret("env", "SET")),
    ],
)
def test_a_credential_stays_where_it_is(written: str, secret: Secret) -> None:
    assert only(model(f"model: openai/gpt-4o, api_key: '{written}'"), {"SET": "value"}).api_key == secret
    assert compiled(f"general_settings: {{master_key: '{written}'}}", {"SET": "value"}).master_key == secret


def test_a_referenced_credential_is_never_in_the_snapshot() -> None:
    snapshot = compiled(model("model: openai/gpt-4o, api_key: os.environ/MY_KEY"), {"MY_KEY": LITERAL, "OPENAI_API_KEY": LITERAL})
    assert LITERAL.encode() not in dump(snapshot)


def test_a_literal_credential_works_with_a_warning_that_does_not_show_it() -> None:
    snapshot = compiled(model(f"model: openai/gpt-4o, api_key: {LITERAL}"))
    (warning,) = snapshot.warnings
    assert warning.startswith("model_list[0].litellm_params.api_key (gateway.yaml:3): the credential itself is in the configuration")
    assert LITERAL not in warning + repr(snapshot)


@pytest.mark.parametrize("placeholder", ["none", "EMPTY", "dummy"])
def test_a_placeholder_is_no_secret(placeholder: str) -> None:
    assert compiled(model(f"model: hosted_vllm/x, api_base: 'http://h/v1', api_key: {placeholder}")).warnings == ()


@pytest.mark.parametrize("written", ["os.environ/HOST", "${HOST}", "${HOST:-other}"])
def test_what_is_not_secret_is_resolved_now(written: str) -> None:
    deployment = only(model(f"model: openai/gpt-4o, api_base: '{written}', api_key: none"), {"HOST": "https://llm.example/v1"})
    assert deployment.base_url == "https://llm.example/v1"


def test_a_reference_may_stand_inside_a_text() -> None:
    env = {"HOST": "llm.example", "PATH_": "v1"}
    assert (
        only(model("model: openai/gpt-4o, api_base: 'https://${HOST}/${PATH_}', api_key: none"), env).base_url == "https://llm.example/v1"
    )


def test_a_default_stands_in_for_what_is_not_set() -> None:
    assert only(model("model: openai/gpt-4o, api_base: 'https://${HOST:-a.example}', api_key: none")).base_url == "https://a.example"


def test_text_from_the_environment_counts_as_what_it_spells() -> None:
    deployment = only(model("model: openai/gpt-4o, rpm: os.environ/RPM, drop_params: '${DROP}'"), {"RPM": "60", "DROP": "true"})
    assert (deployment.rpm, deployment.drop_params) == (60, True)


def test_text_from_the_environment_is_checked_too() -> None:
    (finding,) = found(model("model: openai/gpt-4o, rpm: os.environ/RPM"), {"RPM": "sixty"})
    assert finding == "model_list[0].litellm_params.rpm (gateway.yaml:3): must be a whole number"


def test_an_unset_variable_is_named_with_path_and_line() -> None:
    findings = found(model("model: openai/gpt-4o, api_base: 'https://${NO_HOST}/v1', organization: os.environ/NO_ORG"))
    said = "model_list[0].litellm_params.{} (gateway.yaml:3): the environment variable {} is not set; set it, or write ${{{}:-default}}"
    assert findings == (said.format("api_base", "NO_HOST", "NO_HOST"), said.format("organization", "NO_ORG", "NO_ORG"))


@pytest.mark.parametrize("written", ["os.environ/", "os.environ/A B", "secret:", "secret:#field"])
def test_a_reference_to_nothing_is_an_error(written: str) -> None:
    assert len(found(model(f"model: openai/gpt-4o, api_key: '{written}'"))) == 1


def test_a_mock_response_is_taken_as_written() -> None:
    assert only(model("model: openai/gpt-4o, mock_response: 'costs ${NOT_A_VARIABLE}'")).mock_response == "costs ${NOT_A_VARIABLE}"


class TestEnvironmentVariables:
    """The file's own section: it wins over the process, as in LiteLLM."""

    def test_it_supplies_values(self) -> None:
        text = "environment_variables: {HOST: https://a.example}\n" + model("model: openai/x, api_base: os.environ/HOST, api_key: none")
        assert only(text, {"HOST": "https://b.example"}).base_url == "https://a.example"

    def test_a_credential_in_it_is_literal_with_a_warning(self) -> None:
        snapshot = compiled(f"environment_variables: {{OPENAI_API_KEY: {LITERAL}}}\n" + model("model: openai/gpt-4o"))
        assert snapshot.deployments[0].api_key == Secret("literal", LITERAL)
        assert snapshot.warnings[0].startswith("environment_variables.OPENAI_API_KEY (gateway.yaml:1): the credential itself")

    def test_a_reference_in_it_is_followed(self) -> None:
        text = "environment_variables: {OPENAI_API_KEY: os.environ/OTHER}\n" + model("model: openai/gpt-4o")
        assert only(text).api_key == Secret("env", "OTHER")


def test_a_resolved_credential_header_is_warned_of() -> None:
    text = model("model: openai/gpt-4o, extra_headers: {X-Api-Key: '${TOKEN}', X-Team: '${TEAM}'}")
    snapshot = compiled(text, {"TOKEN": LITERAL, "TEAM": "blue"})
    assert snapshot.deployments[0].headers == {"x-api-key": LITERAL, "x-team": "blue"}
    (warning,) = snapshot.warnings
    assert warning.startswith("model_list[0].litellm_params.extra_headers.X-Api-Key (gateway.yaml:3): this header's value is resolved now")
    assert LITERAL not in warning
