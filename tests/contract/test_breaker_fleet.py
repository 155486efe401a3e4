"""Fifty processes that share nothing but the store's file: a deployment dies, its breaker opens for all of them, one probe at a time goes
through, and it comes back for all.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from tests.support.breaker_fleet import Sighting, serve_for

PROCESSES, SECONDS, DIES, RECOVERS = 50, 40.0, 8.0, 22.0


@pytest.mark.slow
def test_fifty_processes_agree_within_seconds_and_probe_one_at_a_time(tmp_path: Path) -> None:
    # Processes of their own, which have imported what they need once between them.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.breaker_fleet"])
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        runs = [pool.submit(serve_for, str(tmp_path), seed, PROCESSES, SECONDS, DIES, RECOVERS) for seed in range(PROCESSES)]
        sightings: list[Sighting] = [seen for run in runs for seen in run.result(300)]
    wasted = [seen for seen in sightings if seen.deployment == "dying" and not seen.ok]
    probes = [seen for seen in sightings if seen.trial == "probe"]
    back = [seen.at for seen in sightings if seen.deployment == "dying" and seen.ok and seen.at > RECOVERS]
    unprobed = max((seen.at for seen in wasted if not seen.trial), default=DIES) - DIES
    answered = sum(seen.answers for seen in sightings)
    requests = sum(seen.asked for seen in sightings)
    meetings = sum(seen.met for seen in probes)
    print(
        f"{answered} of {requests} requests of {PROCESSES} processes answered; {len(wasted)} calls wasted; the last of them that was no "
        f"probe {unprobed:.2f} s after the death; {len(probes)} probes, {meetings} of them while another was out; first answer after "
        f"recovery {min(back) - RECOVERS:.2f} s"
    )
    assert answered == requests
    assert unprobed < 6.0, "open for all within seconds"
    assert len(probes) >= 2
    assert meetings == 0
    assert back
