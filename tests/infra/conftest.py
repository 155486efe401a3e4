import fcntl
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support.assembly import Assembly

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-infra" / "bin" / "python"


@pytest.fixture(scope="session")
def infra_python() -> Path:
    """The interpreter that has the CDK."""
    if not PYTHON.exists():
        pytest.skip("no .venv-infra: run `make infra-env`")
    return PYTHON


@pytest.fixture(scope="session")
def assemblies(tmp_path_factory: pytest.TempPathFactory, worker_id: str, infra_python: Path) -> Mapping[str, Assembly]:
    """Every variant of variants.py, synthesized once for all test processes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "assemblies"
    with (folder.parent / "assemblies.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            folder.mkdir(exist_ok=True)
            done = subprocess.run(
                [str(infra_python), "-m", "tests.infra.variants", str(folder)],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
            (folder / "done").touch()
    return {path.name: Assembly(path) for path in folder.iterdir() if (path / "manifest.json").exists()}
