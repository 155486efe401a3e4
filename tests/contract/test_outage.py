"""Ten thousand requests through the real program while one of three deployments dies in every way and recovers (tests/bench/outage.py)."""

from pathlib import Path

import pytest
from tests.bench.outage import outage


@pytest.mark.slow
def test_no_request_is_lost_while_a_healthy_deployment_remains(tmp_path: Path) -> None:
    outcome = outage(tmp_path, requests=10_000, together=12)
    print("\n".join(outcome.lines("one of three dies in every way")))
    assert outcome.lost.total() == 0
    assert outcome.cut <= outcome.wasted.get("cut mid-stream", 0), "nothing else shows after the first content"
    assert sum(outcome.wasted.values()) < 300
