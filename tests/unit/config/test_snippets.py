"""Five gateway.yaml as people write them: each loads without a finding, and means what it says."""

from pathlib import Path

import pytest

from tollkeeper.config.compile import compile_file
from tollkeeper.config.snapshot import Snapshot, dump, load
from tollkeeper.routing.policy import Policies
from tollkeeper.routing.resolve import Groups
from tollkeeper.routing.rules import Circumstances, Decision

SNIPPETS = Path(__file__).parent / "snippets"


def snippet(name: str) -> Snapshot:
    """As the proxy on Lambda reads it: through its compiled form."""
    return load(dump(compile_file(SNIPPETS / f"{name}.yaml", env={}.get)))


def decision(snapshot: Snapshot, model: str, *, tokens: int = 10, **metadata: str) -> Decision:
    seen = Circumstances(model, {}, {}, metadata, lambda: tokens, frozenset, str)
    return Groups(snapshot).rules.decide(seen)


@pytest.mark.parametrize("path", sorted(SNIPPETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_snippet_is_understood_in_full(path: Path) -> None:
    assert snippet(path.stem).unsupported == ()


def test_weights_of_60_to_40_over_two_models_make_a_third() -> None:
    group = Groups(snippet("weights")).find("chat")
    assert group is not None
    assert {row.id: row.weight for row in group.deployments} == {"openai-1": 60, "anthropic-1": 40}
    assert group.policy.strategy == "simple-shuffle"


def test_a_chain_leads_through_its_links_with_retries_and_a_delay() -> None:
    snapshot = snippet("chain")
    assert snapshot.fallbacks == {"primary": ("secondary", "last-resort")}
    policy = Policies(snapshot).of("primary")
    assert (policy.num_retries, policy.retry_after) == (2, 0.5)


def test_confidential_requests_go_to_the_private_model_and_require_it() -> None:
    snapshot = snippet("private")
    found = decision(snapshot, "chat", classification="secret")
    assert (found.use, found.rule) == ("secure-private", "confidential")
    met = {row.id: all(rule.met_by(row) for rule in found.require) for row in snapshot.deployments}
    assert met == {"cloud": False, "house": True}
    assert decision(snapshot, "chat", classification="public") == Decision()


def test_long_prompts_go_to_the_long_window() -> None:
    snapshot = snippet("context")
    assert decision(snapshot, "short", tokens=100_001).use == "long"
    assert decision(snapshot, "short", tokens=100_000).use is None
    assert decision(snapshot, "long", tokens=500_000).use is None


def test_latency_thresholds_are_read() -> None:
    policy = Policies(snippet("latency")).of("fast")
    assert policy.strategy == "latency-based-routing"
    assert policy.latency is not None
    assert (policy.latency.first_token, policy.latency.whole, policy.latency.slow) == (2.0, 20.0, 5.0)
