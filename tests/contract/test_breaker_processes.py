"""One probe at a time over all processes: real ones, which share nothing but the store's file."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.support.breaker_race import race_in_process

PROCESSES, REQUESTS = 4, 600


def test_of_all_processes_one_at_a_time_probes_a_dead_deployment(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        runs = [pool.submit(race_in_process, str(tmp_path), seed, REQUESTS) for seed in range(PROCESSES)]
        results = [run.result(120) for run in runs]
    answered, probes, together = (sum(column) for column in zip(*results, strict=True))
    print(f"{answered} of {PROCESSES * REQUESTS} answered, {probes} probes, {together} of them while another was out")
    assert answered == PROCESSES * REQUESTS
    assert probes > 1
    assert together == 0
