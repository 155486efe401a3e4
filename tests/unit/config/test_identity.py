import pytest
from tests.support.config import compiled

from tollkeeper.errors import ConfigError

MODELS = "model_list: [{model_name: m, litellm_params: {model: m, mock_response: hi}}]\n"


def with_section(section: str) -> str:
    return MODELS + section


def test_token_and_aws_callers_reach_the_snapshot() -> None:
    snapshot = compiled(
        with_section("""
general_settings:
  enable_jwt_auth: true
  litellm_jwtauth:
    issuer: https://login.example.com
    audience: [a]
    team_ids_jwt_field: groups
    end_user_id_jwt_field: customer
    jwt_litellm_role_map: [{jwt_role: ADMIN, litellm_role: proxy_admin}]
tollkeeper:
  iam_callers: [{principal: "arn:aws:iam::111122223333:role/batch-*", team_id: batch}]
""")
    )
    section = snapshot.settings["general_settings"]["litellm_jwtauth"]
    assert (section["audience"], section["jwt_litellm_role_map"]) == (["a"], [{"role": "ADMIN", "internal_role": "proxy_admin"}])
    assert snapshot.settings["tollkeeper"]["iam_callers"][0]["team_id"] == "batch"
    assert snapshot.unsupported == ("general_settings.litellm_jwtauth.end_user_id_jwt_field",)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (
            "general_settings: {litellm_jwtauth: {isuer: x}}",
            "general_settings.litellm_jwtauth.isuer (gateway.yaml:2): unknown key; did you",
        ),
        ("general_settings: {litellm_jwtauth: {jwks_url: keys.json}}", "litellm_jwtauth.jwks_url"),
        ("general_settings: {litellm_jwtauth: {role_mappings: [{role: x, internal_role: king}]}}", "role_mappings[0].internal_role"),
        ("tollkeeper: {iam_callers: [{principal: bob}]}", "iam_callers[0].principal"),
    ],
)
def test_mistakes_are_named(section: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        compiled(with_section(section))
    assert said in str(refused.value)


def test_what_new_keys_and_teams_are_given_is_kept() -> None:
    names = ("default_key_generate_params", "upperbound_key_generate_params", "default_internal_user_params", "default_team_params")
    section = ", ".join(f"{name}: {{max_budget: 5}}" for name in names)
    snapshot = compiled(with_section(f"litellm_settings: {{{section}}}"))
    assert {snapshot.settings["litellm_settings"][name]["max_budget"] for name in names} == {5}
    assert snapshot.unsupported == ()
