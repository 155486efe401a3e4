import pytest

from tollkeeper.auth.access import customer_may_use_model, may_use_model, may_use_route, visible_models
from tollkeeper.auth.principal import Principal, principal_of
from tollkeeper.auth.records import KeyRecord, TeamRecord, UserRecord
from tollkeeper.auth.records_groups import CustomerRecord, OrganizationRecord, ProjectRecord, TeamMembership
from tollkeeper.errors import Forbidden


def caller(models=(), team=None, user=None, aliases=None, **key) -> Principal:
    record = KeyRecord(key_hash="k", models=tuple(models), aliases=aliases or {}, team_id="t" if team is not None else None, **key)
    team_record = TeamRecord(team_id="t", models=tuple(team)) if team is not None else None
    return principal_of(record, team_record, UserRecord(user_id="u", models=tuple(user)) if user is not None else None)


def denied(principal: Principal, model: str, groups=()) -> str | None:
    """The refusal's type; None if there was none."""
    refusal = None
    try:
        may_use_model(principal, model, groups)
    except Forbidden as raised:
        refusal = raised
    assert refusal is None or (refusal.status, refusal.param) == (403, "model")
    return refusal.type if refusal else None


@pytest.mark.parametrize(
    ("models", "model", "groups"),
    [
        ([], "anything", ()),
        (["gpt-4o"], "gpt-4o", ()),
        (["x", "openai/*"], "openai/gpt-4o", ()),
        (["bedrock/us.*-v1:0"], "bedrock/us.claude-v1:0", ()),
        (["*"], "anything", ()),
        (["all-proxy-models"], "anything", ()),
        (["all-team-models"], "anything", ()),
        (["beta"], "gpt-5", ("beta",)),
        (["beta-*"], "gpt-5", ("beta-models",)),
    ],
)
def test_what_a_keys_list_allows(models, model, groups):
    assert denied(caller(models), model, groups) is None


@pytest.mark.parametrize(
    ("models", "model"),
    [
        (["gpt-4o"], "gpt-4o-mini"),
        (["openai/*"], "azure/openai/gpt"),
        (["openai/*"], "openai"),
        (["gpt.4o"], "gpt-4o"),
        (["gpt-4[ox]*"], "gpt-4o"),
        (["no-default-models"], "gpt-4o"),
        (["GPT-4O"], "gpt-4o"),
    ],
)
def test_what_a_keys_list_refuses(models, model):
    assert denied(caller(models), model) == "key_model_access_denied"


def test_a_hostile_name_does_not_keep_the_wildcards_busy():
    assert denied(caller(["a*a*a*a*a*a*b"]), "a" * 1_000_000) == "key_model_access_denied"


def test_a_team_restricts_its_keys_whatever_they_list():
    assert denied(caller([], team=["gpt-4o"]), "gpt-4o") is None
    assert denied(caller([], team=["gpt-4o"]), "o3") == "team_model_access_denied"
    assert denied(caller(["all-team-models"], team=["gpt-4o"]), "o3") == "team_model_access_denied"
    assert denied(caller(["o3"], team=["gpt-4o"]), "gpt-4o") == "key_model_access_denied"
    assert denied(caller(["all-proxy-models"], team=[]), "o3") is None


def test_a_users_list_restricts_only_keys_without_a_team():
    assert denied(caller([], user=["no-default-models"]), "gpt-4o") == "user_model_access_denied"
    assert denied(caller([], user=["no-default-models"], team=["gpt-4o"]), "gpt-4o") is None


def test_an_alias_is_allowed_by_its_own_name_or_by_its_target():
    assert denied(caller(["gpt-4o"], aliases={"fast": "gpt-4o"}), "fast") is None
    assert denied(caller(["fast"], aliases={"fast": "gpt-4o"}), "fast") is None
    assert denied(caller(["other"], aliases={"fast": "gpt-4o"}), "fast") == "key_model_access_denied"


def test_the_refusal_reads_like_litellms():
    with pytest.raises(Forbidden, match="The requested model 'o3' is not available for this API key, or the model name is invalid"):
        may_use_model(caller(["gpt-4o"]), "o3")


def test_visible_models_are_those_that_may_be_used():
    models = {"gpt-4o": (), "o3": ("beta",), "claude": (), "openai/x": ()}
    assert visible_models(caller([]), models) == list(models)
    assert visible_models(caller(["beta", "openai/*"]), models) == ["o3", "openai/x"]
    assert visible_models(caller(["beta", "claude"], team=["claude", "gpt-4o"]), models) == ["claude"]


def test_allowed_routes_by_name_prefix_and_group():
    may_use_route(caller(), "/v1/embeddings")
    may_use_route(caller(allowed_routes=("/v1/embeddings",)), "/v1/embeddings")
    may_use_route(caller(allowed_routes=("/v1/*",)), "/v1/embeddings")
    may_use_route(caller(allowed_routes=("llm_api_routes",)), "/v1/chat/completions")
    with pytest.raises(Forbidden, match=r"Only allowed to call routes: \['/v1/embeddings'\]. Tried to call route: /v1/chat/completions"):
        may_use_route(caller(allowed_routes=("/v1/embeddings",)), "/v1/chat/completions")
    with pytest.raises(Forbidden):
        may_use_route(caller(allowed_routes=("management_routes",)), "/v1/chat/completions")


def test_an_alias_of_a_key_opens_nothing_that_a_teams_list_closes():
    assert denied(caller([], team=["gpt-4o"], aliases={"gpt-4o": "o3"}), "gpt-4o") == "team_model_access_denied"
    assert denied(caller([], team=["o3"], aliases={"fast": "o3"}), "fast") is None


def test_a_teams_own_alias_may_be_called_by_its_name():
    team = TeamRecord(team_id="t", models=("fast",), model_aliases={"fast": "o3"})
    may_use_model(principal_of(KeyRecord(key_hash="k", team_id="t"), team), "fast")


@pytest.mark.parametrize(
    ("owner", "refusal"),
    [
        ({"organization": OrganizationRecord(organization_id="o", models=("gpt-4o",))}, "org_model_access_denied"),
        ({"project": ProjectRecord(project_id="p", team_id="t", models=("gpt-4o",))}, "project_model_access_denied"),
        ({"membership": TeamMembership(team_id="t", user_id="u", allowed_models=("gpt-4o",))}, "team_member_model_access_denied"),
    ],
)
def test_everything_a_key_belongs_to_restricts_it(owner, refusal):
    principal = principal_of(KeyRecord(key_hash="k"), **owner)
    assert denied(principal, "gpt-4o") is None
    assert denied(principal, "o3") == refusal


def test_a_customers_list_and_block():
    customer_may_use_model(CustomerRecord(customer_id="c", models=("gpt-*",)), "gpt-4o")
    customer_may_use_model(CustomerRecord(customer_id="c", models=("beta",)), "o3", ("beta",))
    for customer, refusal in (
        (CustomerRecord(customer_id="c", models=("gpt-4o",)), "customer_model_access_denied"),
        (CustomerRecord(customer_id="c", blocked=True), "auth_error"),
    ):
        with pytest.raises(Forbidden) as refused:
            customer_may_use_model(customer, "o3")
        assert refused.value.type == refusal
