import pytest

from tollkeeper.dialects import fields
from tollkeeper.dialects.base import Json, Target
from tollkeeper.errors import BadRequest, UnsupportedParams


def target(**more: object) -> Target:
    return Target("m", "https://up.example/v1", "alias", provider="acme", **more)  # type: ignore[arg-type]


def test_what_is_addressed_to_the_gateway_stays_here() -> None:
    request = {"model": "alias", "messages": [], "seed": 1, **dict.fromkeys(fields.GATEWAY_FIELDS, "x")}
    assert fields.upstream_fields(request, target()) == {"model": "alias", "messages": [], "seed": 1}


@pytest.mark.parametrize(("store", "sent"), [(True, True), (False, False), (None, False)])
def test_metadata_goes_up_only_with_store(store: bool | None, sent: bool) -> None:
    request: Json = {"metadata": {"tags": "a"}} | ({} if store is None else {"store": store})
    assert ("metadata" in fields.upstream_fields(request, target())) is sent


def test_the_callers_fields_lie_over_the_deployments() -> None:
    assert fields.upstream_fields({"top_p": 0.5}, target(extra_body={"top_p": 1, "top_k": 4})) == {"top_p": 0.5, "top_k": 4}


def test_additional_drop_params_are_always_dropped() -> None:
    assert fields.upstream_fields({"user": "u", "seed": 1}, target(drop=frozenset({"user"}))) == {"seed": 1}


def test_an_unsupported_parameter_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedParams, match=r"acme does not support parameters: seed, n") as caught:
        fields.drop_unsupported({"seed": 1, "n": 2, "top_p": 1}, ("seed", "n", "absent"), target())
    assert caught.value.param == "seed"


@pytest.mark.parametrize(
    ("settings", "left"),
    [({"drop_params": True}, {}), ({"allow": frozenset({"seed"})}, {"seed": 1})],
)
def test_unless_the_deployment_says_otherwise(settings: Json, left: Json) -> None:
    body: Json = {"seed": 1}
    fields.drop_unsupported(body, ("seed",), target(**settings))
    assert body == left


def test_a_value_that_asks_for_nothing_is_left_out() -> None:
    body: Json = {"n": 1, "temperature": 1.0, "logit_bias": {}, "stop": None}
    fields.drop_unsupported(body, ("n", "temperature", "logit_bias", "stop"), target())
    assert body == {}


def test_extra_body_is_unfolded_below_the_callers_fields() -> None:
    request = {"model": "m", "top_k": 1, "extra_body": {"top_k": 2, "n": 3}}
    assert fields.unfold_extra_body(request) == {"model": "m", "top_k": 1, "n": 3}
    assert fields.unfold_extra_body({"model": "m"}) == {"model": "m"}
    with pytest.raises(BadRequest):
        fields.unfold_extra_body({"extra_body": "x"})


def test_only_harmless_headers_are_forwarded() -> None:
    given = {"Anthropic-Beta": "a", "Authorization": "Bearer stolen", "host": "evil", "X-Title": "app"}
    assert fields.forwarded_headers({"extra_headers": given}) == {"anthropic-beta": "a", "x-title": "app"}
    assert fields.forwarded_headers({"extra_headers": "nonsense"}) == {}
