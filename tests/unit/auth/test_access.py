import pytest

from tollkeeper.auth.access import may_administer, may_use_model, may_use_route, visible_models
from tollkeeper.auth.principal import Principal, principal_of
from tollkeeper.auth.records import KeyRecord, TeamRecord, UserRecord
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


def administers(principal: Principal, *, write: bool) -> bool:
    try:
        may_administer(principal, "/key/generate", write=write)
    except Forbidden:
        return False
    return True


def with_role(role: str, **key) -> Principal:
    return principal_of(KeyRecord(key_hash="k", user_id="u", **key), None, UserRecord(user_id="u", user_role=role))


@pytest.mark.parametrize(
    ("principal", "reads", "writes"),
    [
        (caller(), False, False),
        (principal_of(KeyRecord(key_hash="k"), is_master=True), True, True),
        (caller(key_type="management", allowed_routes=("management_routes",)), True, True),
        (caller(key_type="llm_api", allowed_routes=("llm_api_routes",)), False, False),
        (caller(key_type="read_only", allowed_routes=("info_routes",)), False, False),
        (with_role("proxy_admin"), True, True),
        (with_role("proxy_admin", key_type="llm_api", allowed_routes=("llm_api_routes",)), False, False),
        (with_role("proxy_admin", key_type="read_only", allowed_routes=("info_routes",)), True, False),
        (with_role("proxy_admin_viewer"), True, False),
        (with_role("internal_user"), False, False),
    ],
)
def test_who_may_administer(principal, reads, writes):
    assert (administers(principal, write=False), administers(principal, write=True)) == (reads, writes)
