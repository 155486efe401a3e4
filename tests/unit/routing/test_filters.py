"""Which deployments a request may be sent to at all: tags, and the length of its prompt."""

from typing import Any

import pytest
from tests.support.routing import Router, deployment, down, snapshot

from tollkeeper.errors import ContextWindowExceeded, Forbidden, UpstreamFailed

FREE, PAID = deployment("g", "free", tags=("free",)), deployment("g", "paid", tags=("paid", "eu"))
ANY = deployment("g", "any", tags=("default",))
TAGS = {"enable_tag_filtering": True}


def router(*rows: Any, **fields: Any) -> Router:
    return Router(snapshot(*rows, **fields), down([], lambda: UpstreamFailed("x")))


async def reached(subject: Router, body: dict[str, Any], **headers: str) -> set[str]:
    return {await subject.ask(body=body, **headers) for _ in range(30)}


async def test_tags_choose_among_the_deployments() -> None:
    subject = router(FREE, PAID, router=TAGS)
    assert await reached(subject, {"tags": ["free"]}) == {"free"}
    assert await reached(subject, {"metadata": {"tags": ["paid", "other"]}}) == {"paid"}
    assert await reached(subject, {}, **{"x-litellm-tags": "free, paid"}) == {"free", "paid"}
    assert await reached(subject, {}) == {"free", "paid"}


async def test_the_default_tag_serves_whom_nothing_else_fits() -> None:
    subject = router(FREE, ANY, router=TAGS)
    assert await reached(subject, {"tags": ["unknown"]}) == {"any"}
    assert await reached(subject, {}) == {"any"}
    assert await reached(subject, {"tags": ["free"]}) == {"free"}


async def test_without_a_match_the_request_is_refused_as_litellm_does() -> None:
    with pytest.raises(Forbidden) as refused:
        await router(FREE, PAID, router=TAGS).ask(body={"tags": ["unknown"]})
    assert refused.value.status == 401
    assert refused.value.message == "Not allowed to access model due to tags configuration. Passed model=g and tags=['unknown']"


async def test_tags_hold_for_fallbacks_too() -> None:
    rows = (FREE, deployment("x", "other", tags=("paid",)), deployment("y", "mine", tags=("free",)))
    subject = Router(snapshot(*rows, router=TAGS, fallbacks={"g": ("x", "y")}, num_retries=0), down(["free"], lambda: UpstreamFailed("x")))
    assert await subject.ask(body={"tags": ["free"]}) == "mine"
    assert subject.tried == ["free", "mine"]


async def test_all_tags_may_be_asked_for() -> None:
    subject = router(FREE, PAID, ANY, router={**TAGS, "tag_filtering_match_any": False})
    assert await reached(subject, {"tags": ["paid", "eu"]}) == {"paid"}
    assert await reached(subject, {"tags": ["paid", "us"]}) == {"any"}


async def test_tags_mean_nothing_unless_filtering_is_on() -> None:
    assert await reached(router(FREE, PAID), {"tags": ["free"]}) == {"free", "paid"}


def prompt(chars: int) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "x" * chars}, {"type": "image_url", "image_url": {"url": "y" * 9999}}]}
        ]
    }


async def test_a_long_prompt_goes_where_it_fits() -> None:
    rows = (deployment("g", "small", max_input_tokens=1000), deployment("g", "large", max_input_tokens=9000))
    subject = router(*rows, router={"enable_pre_call_checks": True})
    assert await reached(subject, prompt(3000)) == {"small", "large"}
    assert await reached(subject, prompt(8000)) == {"large"}
    with pytest.raises(ContextWindowExceeded):
        await subject.ask(body=prompt(50_000))
    assert await reached(router(*rows), prompt(50_000)) == {"small", "large"}


async def test_one_that_fits_nowhere_takes_the_fallback_for_that_without_a_wasted_call() -> None:
    rows = (deployment("g", "small", max_input_tokens=10), deployment("w", "wide"), deployment("f", "other"))
    chains = {"context_window_fallbacks": {"g": ("w",)}, "fallbacks": {"g": ("f",)}}
    subject = router(*rows, router={"enable_pre_call_checks": True}, **chains)
    assert await subject.ask(body=prompt(5000)) == "wide"
    assert subject.tried == ["wide"]
