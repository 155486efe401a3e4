import json

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from tests.support.admin import MASTER, PEPPER, HandClock

from tollkeeper.auth.authenticate import Authenticator
from tollkeeper.auth.jwks import BURST, PAUSE, STALE, TokenVerifier
from tollkeeper.auth.records import Member, TeamRecord, UserRecord
from tollkeeper.auth.token_rules import rules_of
from tollkeeper.auth.tokens import TokenAuth
from tollkeeper.errors import ConfigError, Forbidden, StoreUnavailable, Unauthenticated
from tollkeeper.money import NanoUSD
from tollkeeper.store.sqlite import SqliteStore

ISSUER = "https://login.example.com"
RULES = {
    "issuer": ISSUER,
    "audience": "tollkeeper",
    "jwks_url": f"{ISSUER}/keys",
    "team_id_jwt_field": "team",
    "team_ids_jwt_field": "groups",
    "user_roles_jwt_field": "realm.roles",
    "role_mappings": [{"role": "platform", "internal_role": "proxy_admin_viewer"}],
    "user_id_upsert": True,
    "public_key_ttl": 600,
}


class Provider:
    """An identity provider: signs, shows its keys, and can be away."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "one"})
        self.fetched: list[str] = []
        self.away = False
        self.more: list = []

    async def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        if self.away:
            raise StoreUnavailable("The identity provider does not answer.")
        if url.endswith("/openid-configuration"):
            return json.dumps({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}).encode()
        return json.dumps({"keys": [*self.more, *KeySet([self.key]).as_dict(private=False)["keys"]]}).encode()

    def token(self, clock: HandClock, key=None, algorithm: str = "RS256", **claims) -> str:
        now = int(clock.now())
        key = key or self.key
        content = {"iss": ISSUER, "aud": "tollkeeper", "sub": "ann", "iat": now, "exp": now + 300, **claims}
        header = {"alg": algorithm, **({"kid": key.kid} if key.kid else {})}
        return jwt.encode(header, {name: value for name, value in content.items() if value is not None}, key, algorithms=[algorithm])


PROVIDER = Provider()


class Desk:
    def __init__(self, **rules) -> None:
        self.clock, self.provider = HandClock(), PROVIDER
        self.provider.fetched, self.provider.away, self.provider.more = [], False, []
        self.store = SqliteStore(":memory:", clock=self.clock)
        made = rules_of({**RULES, **rules})
        verifier = TokenVerifier(made.issuers, self.provider.fetch, self.clock, ttl=made.public_key_ttl)
        self.authenticator = Authenticator(
            self.store.directory,
            PEPPER,
            master_key=MASTER,
            clock=self.clock,
            tokens=lambda shelves: TokenAuth(made, verifier, shelves, self.register),
        )
        self.registered: list[UserRecord | TeamRecord] = []

    async def register(self, record) -> None:
        self.registered.append(record)

    async def save(self, *records) -> None:
        for record in records:
            await self.store.directory.put(record.to_item())

    async def ask(self, token: str | None = None, team: str | None = None, **claims):
        token = token or self.provider.token(self.clock, **claims)
        more = {"X-Litellm-Team-Id": team} if team else {}
        return await self.authenticator.authenticate({"authorization": f"Bearer {token}", **more})


@pytest.fixture
def make():
    desks = []

    def made(**rules) -> Desk:
        desks.append(Desk(**rules))
        return desks[-1]

    yield made
    for desk in desks:
        desk.store.close()


@pytest.fixture
def desk(make):
    return make()


async def test_a_token_is_a_principal_with_its_user_team_and_membership(desk):
    team = TeamRecord(team_id="core", members_with_roles=(Member(user_id="ann"),), team_member_budget=NanoUSD(3))
    await desk.save(team, UserRecord(user_id="ann", user_role="internal_user", max_budget=NanoUSD(9)))
    principal = await desk.ask(team="core", groups=["other", "core"])
    assert (principal.user_id, principal.team_id, principal.role) == ("ann", "core", "internal_user")
    assert (principal.user.max_budget, principal.membership.max_budget) == (9, 3)
    again = await desk.ask(groups=["core"])
    assert again.key_hash == principal.key_hash
    assert (await desk.ask(sub="bob")).key_hash != principal.key_hash


async def test_virtual_keys_and_the_master_key_work_beside_it(desk):
    assert (await desk.authenticator.authenticate({"authorization": f"Bearer {MASTER}"})).is_master


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example.com"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"nbf": 1_900_000_000},
        {"sub": None},
        {"sub": {"a": 1}},
        {"sub": "x" * 300},
    ],
    ids=str,
)
async def test_claims_that_do_not_pass(desk, claims):
    token = desk.provider.token(desk.clock, **claims)
    with pytest.raises(Unauthenticated) as refusal:
        await desk.ask(token)
    assert token not in refusal.value.message


async def test_a_token_ends_in_use(desk):
    token = desk.provider.token(desk.clock)
    await desk.ask(token)
    desk.clock.advance(300 + 61)
    with pytest.raises(Unauthenticated):
        await desk.ask(token)


async def test_keys_of_somebody_else_and_tricks_with_the_algorithm(desk):
    stranger = RSAKey.generate_key(2048, {"kid": "one"})
    public = json.dumps(desk.provider.key.as_dict(private=False)).encode()
    hmac = OctKey.import_key(public)
    unsigned = desk.provider.token(desk.clock).rsplit(".", 1)[0] + "."
    none = "eyJhbGciOiJub25lIn0." + unsigned.split(".")[1] + "."
    tokens = [
        desk.provider.token(desk.clock, stranger),
        desk.provider.token(desk.clock, hmac, "HS256"),
        desk.provider.token(desk.clock, ECKey.generate_key("P-256", {"kid": "two"}), "ES256"),
        unsigned,
        none,
        "eyJ.eyJ.x",
        "ey",
        "ey" + "a" * 20_000,
        "ey..",
    ]
    for token in tokens:
        with pytest.raises(Unauthenticated):
            await desk.ask(token)


async def test_keys_are_fetched_once_in_a_while(desk):
    for _ in range(5):
        await desk.ask()
    assert desk.provider.fetched == [f"{ISSUER}/keys"]
    desk.clock.advance(600)
    await desk.ask()
    assert len(desk.provider.fetched) == 2


async def test_a_rotated_key_is_found_and_a_flood_of_unknown_ones_is_not_a_flood_of_fetches(desk, rotated):
    await desk.ask()
    desk.clock.advance(PAUSE)
    rotated(RSAKey.generate_key(2048, {"kid": "next"}))
    await desk.ask()
    assert len(desk.provider.fetched) == 2
    stranger = RSAKey.generate_key(2048, {"kid": "stranger"})
    for _ in range(10):
        with pytest.raises(Unauthenticated):
            await desk.ask(desk.provider.token(desk.clock, stranger))
    assert len(desk.provider.fetched) == 1 + BURST


@pytest.fixture
def rotated():
    """The provider changes its key, and has its old one back after the test."""
    old = PROVIDER.key

    def change(key) -> None:
        PROVIDER.key = key

    yield change
    PROVIDER.key = old


async def test_an_outage_of_the_provider_is_none_here_for_an_hour(desk):
    await desk.ask()
    desk.provider.away = True
    desk.clock.advance(600)
    await desk.ask()
    desk.clock.advance(STALE)
    with pytest.raises(StoreUnavailable):
        await desk.ask()


async def test_roles_of_the_token(desk):
    assert (await desk.ask(scope="openid litellm_proxy_admin")).role == "proxy_admin"
    assert (await desk.ask(realm={"roles": ["platform", "other"]})).role == "proxy_admin_viewer"
    assert (await desk.ask(realm={"roles": ["other"]})).role is None


async def test_only_some_roles_are_let_in(make):
    desk = make(user_allowed_roles=["engineer"])
    await desk.ask(realm={"roles": ["engineer"]})
    with pytest.raises(Forbidden):
        await desk.ask(realm={"roles": ["visitor"]})


async def test_unknown_users_and_teams(make):
    desk = make(user_id_upsert=False)
    with pytest.raises(Unauthenticated, match="user is not known"):
        await desk.ask()
    desk = make()
    with pytest.raises(Unauthenticated, match="none of the token's teams"):
        await desk.ask(team="nowhere", groups=["nowhere"])
    assert (await make(team_id_upsert=True).ask(groups=["nowhere"])).team_id == "nowhere"


async def test_the_team_in_the_header_has_to_be_one_of_the_tokens(desk):
    await desk.save(TeamRecord(team_id="core"), TeamRecord(team_id="rich"))
    assert (await desk.ask(groups=["core", "rich"], team="rich")).team_id == "rich"
    with pytest.raises(Forbidden):
        await desk.ask(groups=["core"], team="rich")


async def test_a_blocked_team_stops_its_tokens(desk):
    await desk.save(TeamRecord(team_id="core", blocked=True))
    with pytest.raises(Unauthenticated, match="Team=core is blocked"):
        await desk.ask(groups=["core"])


async def test_a_machine_needs_no_user_where_a_team_answers_for_it(make):
    desk = make(user_id_upsert=False)
    await desk.save(TeamRecord(team_id="robots"))
    principal = await desk.ask(sub="service-7", team="robots", groups=["robots"])
    assert (principal.user_id, principal.team_id) == (None, "robots")
    desk = make(user_id_upsert=False, user_id_jwt_field="email")
    await desk.save(TeamRecord(team_id="robots"))
    with pytest.raises(Unauthenticated, match="user is not known"):
        await desk.ask(email="ann@example.com", groups=["robots"])


async def test_who_is_let_in_unknown_is_written_down(make):
    desk = make(team_id_upsert=True, user_email_jwt_field="email")
    await desk.ask(groups=["new"], email="ann@example.com")
    assert [type(record).__name__ for record in desk.registered] == ["TeamRecord", "UserRecord"]
    assert (desk.registered[1].user_id, desk.registered[1].user_email) == ("ann", "ann@example.com")


async def test_several_issuers_each_with_its_audience(make):
    rows = [
        {"issuer": ISSUER, "audience": ["a", "b"], "jwks_url": f"{ISSUER}/keys"},
        {"issuer": "https://other.example.com/", "jwks_url": "https://other.example.com/keys"},
    ]
    desk = make(issuers=rows, audience=None)
    await desk.ask(aud=["b", "c"])
    await desk.ask(iss="https://other.example.com", aud=None)
    with pytest.raises(Unauthenticated):
        await desk.ask(aud="c")


async def test_without_an_issuer_the_keys_alone_decide(make):
    desk = make(issuer=None, audience=None)
    await desk.ask(iss=None, aud="anything")
    with pytest.raises(Unauthenticated):
        await desk.ask(desk.provider.token(desk.clock, RSAKey.generate_key(2048, {"kid": "one"}), iss=None))


async def test_the_issuers_openid_configuration_says_where_the_keys_are(make):
    desk = make(jwks_url=None)
    await desk.ask()
    assert desk.provider.fetched == [f"{ISSUER}/.well-known/openid-configuration", f"{ISSUER}/keys"]


async def test_keys_nobody_here_can_use_are_passed_over(desk):
    desk.provider.more = [{"kty": "XYZ", "kid": "odd"}, {"kty": "RSA", "use": "enc", "kid": "two"}, "nonsense", None]
    assert (await desk.ask()).user_id == "ann"


async def test_scopes_confine_what_their_bearer_may_use(make):
    mappings = [{"scope": "chat", "models": ["gpt-4o"], "routes": ["/v1/chat/completions"]}, {"scope": "embed", "models": ["e"]}]
    desk = make(scope_mappings=mappings, enforce_scope_based_access=True)
    principal = await desk.ask(scope="chat embed")
    assert (principal.models, principal.key.allowed_routes) == (("gpt-4o", "e"), ("/v1/chat/completions",))
    with pytest.raises(Forbidden, match="scopes"):
        await desk.ask(scope="other")
    assert (await desk.ask(scope="litellm_proxy_admin")).models == ()


async def test_roles_by_pattern_by_name_and_routes_by_role(make):
    desk = make(role_mappings=None, jwt_litellm_role_map=[{"role": "plat*", "internal_role": "proxy_admin_viewer"}])
    assert (await desk.ask(realm={"roles": ["platform"]})).role == "proxy_admin_viewer"
    assert (await make(role_mappings=None).ask(realm={"roles": ["internal_user"]})).role == "internal_user"
    desk = make(admin_allowed_routes=["management_routes"], team_allowed_routes=["openai_routes"])
    await desk.save(TeamRecord(team_id="core"))
    assert (await desk.ask(scope="litellm_proxy_admin")).key.allowed_routes == ("management_routes",)
    assert (await desk.ask(groups=["core"])).key.allowed_routes == ("llm_api_routes",)


async def test_only_some_addresses_are_let_in(make):
    desk = make(user_email_jwt_field="email", user_allowed_email_domain="example.com")
    await desk.ask(email="ann@example.com")
    for email in ("ann@evil.com", "ann@notexample.com", None):
        with pytest.raises(Forbidden):
            await desk.ask(email=email)


def test_litellms_variables_say_what_the_section_does_not():
    env = {"JWT_PUBLIC_KEY_URL": "https://a/keys, https://b/keys", "JWT_AUDIENCE": "x,y", "JWT_ISSUER": "https://a"}
    issuers = rules_of({}, env.get).issuers
    assert [(row.issuer, row.jwks_url, row.audience) for row in issuers] == [
        ("https://a", "https://a/keys", ("x", "y")),
        ("https://a", "https://b/keys", ("x", "y")),
    ]
    assert rules_of({"jwks_url": "https://c/keys"}, env.get).issuers[0].jwks_url == "https://c/keys"


def test_rules_that_name_no_keys_are_refused():
    with pytest.raises(ConfigError, match="whose keys prove a token"):
        rules_of({"audience": "x", "issuer": "not a url"})
