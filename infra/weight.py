"""What the proxy weighs when it is deployed, and how long a fresh sandbox takes to import it. `make weight`.

Imports are timed in new processes on this machine, by the CPU they use, with bytecode as in the layers. A Lambda of 512 MB has 0.29 of one.
"""

import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from infra import bundling
from infra.bundling import Target
from infra.environments import gateway_yaml

RUNS = 7
_IMPORT = "import time; began = time.process_time(); import handler; print(1000 * (time.process_time() - began))"


@dataclass(frozen=True)
class Weight:
    """Unzipped, in MB of 1,000,000 bytes."""

    parts: dict[str, float]

    @property
    def total(self) -> float:
        return sum(self.parts.values())


def weigh(target: Target = bundling.LAMBDA) -> Weight:
    folders = {
        "dependencies": bundling.dependencies_layer("proxy", target),
        "gateway": bundling.gateway_layer(target),
        "runtime": bundling.runtime_layer(),
        "function": bundling.function_folder("proxy", bundling.compiled_config(gateway_yaml("dev"))),
    }
    return Weight({name: _bytes(folder) / 1e6 for name, folder in folders.items()})


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def target_here() -> Target:
    """Lambda's Python on this machine where it is installed, else this interpreter."""
    if platform.system() == "Linux" and bundling.interpreter(bundling.PYTHON):
        machine = platform.machine()
        return Target(bundling.PYTHON, (f"manylinux2014_{machine}", f"manylinux_2_17_{machine}", f"manylinux_2_28_{machine}"))
    return bundling.HOST


def import_milliseconds(target: Target) -> list[float]:
    """CPU time of each run, the first after unpacking left out."""
    python = bundling.interpreter(target.python)
    assert python is not None
    task = bundling.function_folder("proxy", bundling.compiled_config(gateway_yaml("dev")))
    path = ":".join(str(folder / "python") for folder in (bundling.dependencies_layer("proxy", target), bundling.gateway_layer(target)))
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": f"{path}:{task}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TOLLKEEPER_CONFIG": "gateway.json",
    }
    with tempfile.TemporaryDirectory() as state:
        environment["TOLLKEEPER_STATE"] = state
        command = [python, "-c", _IMPORT]
        runs = [subprocess.run(command, cwd=task, env=environment, capture_output=True, text=True, check=True) for _ in range(RUNS + 1)]
    return [float(run.stdout) for run in runs[1:]]


def main() -> int:
    weight = weigh()
    print(f"unzipped {weight.total:.1f} MB: " + ", ".join(f"{name} {size:.1f}" for name, size in weight.parts.items()))
    target = target_here()
    runs = import_milliseconds(target)
    print(f"import under python{target.python}: median {statistics.median(runs):.0f} ms of CPU, best {min(runs):.0f} ms of {len(runs)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
