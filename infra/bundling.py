"""Layers and function folders as Lambda unpacks them, built without Docker from the locks. Everything lands in .cache/, by content.

Wheels for another platform: https://pip.pypa.io/en/stable/cli/pip_install/#cmdoption-platform
Bytecode: /opt is read-only on Lambda, so what is not compiled beforehand is compiled anew at every cold start. Only the same minor version
of Python can do that; where it is not installed, the layer is complete but slower to start, and the synth says so.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from infra.settings import SettingsError

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache" / "lambda"
SOURCE = ROOT / "layers" / "gateway" / "python" / "tollkeeper"
LOCKS = ROOT / "layers" / "dependencies"
WRAPPER = ROOT / "layers" / "runtime" / "tollkeeper-runtime"
PYTHON = "3.13"
# manylinux2014 is glibc 2.17; python3.13 runs on Amazon Linux 2023, which has 2.34.
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64")
_FORMAT = "1"
_UNUSED = ("bin", "__pycache__", "*.pyi", "tests", "test")


@dataclass(frozen=True)
class Target:
    """Where the packages are to run. `python` is the minor version; no platforms: this machine."""

    python: str
    platforms: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.python}-{self.platforms[0] if self.platforms else 'host'}"


LAMBDA = Target(PYTHON, PLATFORMS)
HOST = Target(f"{sys.version_info[0]}.{sys.version_info[1]}")


def target_of(packages_for: str) -> Target:
    return HOST if packages_for == "host" else LAMBDA


def dependencies_layer(lock: str, target: Target) -> Path:
    """`lock` is `proxy` or `admin`. Needs the package index once; after that the cache answers."""
    path = LOCKS / f"{lock}.txt"

    def build(folder: Path) -> None:
        _pip_install(path, folder / "python", target)
        _prune(folder / "python")
        _compile(folder, target)

    return _cached(f"dependencies-{lock}", target, path.read_bytes(), build)


def gateway_layer(target: Target) -> Path:
    """The package itself, without its development server."""
    files = sorted(path for path in SOURCE.rglob("*") if path.is_file() and not _left_out(path))

    def build(folder: Path) -> None:
        for path in files:
            copy = folder / "python" / "tollkeeper" / path.relative_to(SOURCE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        _compile(folder, target)

    content = b"".join(str(path.relative_to(SOURCE)).encode() + path.read_bytes() for path in files)
    return _cached("gateway", target, content, build)


def runtime_layer() -> Path:
    """The exec wrapper, executable."""

    def build(folder: Path) -> None:
        copy = folder / WRAPPER.name
        shutil.copyfile(WRAPPER, copy)
        copy.chmod(0o755)

    return _cached("runtime", Target("any"), WRAPPER.read_bytes(), build)


def function_folder(function: str, config: bytes) -> Path:
    """handler.py beside the compiled configuration."""
    handler = (ROOT / "functions" / function / "handler.py").read_bytes()

    def build(folder: Path) -> None:
        (folder / "handler.py").write_bytes(handler)
        (folder / "gateway.json").write_bytes(config)

    return _cached(f"function-{function}", Target("any"), handler + config, build)


def compiled_config(path: Path) -> bytes:
    """gateway.yaml as the functions load it. Raises SettingsError with the words `make dev` has for it."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE.parent)}
    command = [sys.executable, "-m", "tollkeeper.dev.cli", "config", "compile", str(path), "-o", "-"]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    if done.returncode:
        raise SettingsError(done.stderr.decode().strip())
    _say(done.stderr.decode().strip())
    return done.stdout


def _left_out(path: Path) -> bool:
    parts = path.relative_to(SOURCE).parts
    return "__pycache__" in parts or parts[0] == "dev" or path.suffix == ".pyc"


def _cached(name: str, target: Target, content: bytes, build: Callable[[Path], None]) -> Path:
    """Built beside its place and moved there whole, so that two synths at once do not see half of it."""
    digest = hashlib.sha256(b"\n".join((_FORMAT.encode(), target.name.encode(), _compiler_version(target).encode(), content))).hexdigest()
    place = CACHE / f"{name}-{digest[:20]}"
    if place.exists():
        return place
    CACHE.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=CACHE))
    try:
        build(fresh)
        fresh.chmod(0o755)
        fresh.rename(place)
    except OSError:
        if not place.exists():
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return place


def _pip_install(lock: Path, folder: Path, target: Target) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--require-hashes"]
    command += ["--only-binary=:all:", "--target", str(folder), "--requirement", str(lock)]
    if target.platforms:
        command += ["--implementation", "cp", "--python-version", target.python]
        command += [option for platform in target.platforms for option in ("--platform", platform)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SettingsError(f"{lock.relative_to(ROOT)} cannot be installed for {target.name}:\n{done.stderr.strip()}")


def _prune(folder: Path) -> None:
    """What no function imports."""
    for pattern in _UNUSED:
        for path in [*folder.rglob(pattern)]:
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists():
                path.unlink()
    for record in folder.glob("*.dist-info/RECORD"):
        record.unlink()


def _compile(folder: Path, target: Target) -> None:
    python = interpreter(target.python)
    if python is None:
        return
    # The hash seed and the paths of /opt make the bytecode, and so the asset's hash, the same on every machine.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    where = ["-s", str(folder / "python"), "-p", "/opt/python", str(folder / "python")]
    command = [python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", *where]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def _compiler_version(target: Target) -> str:
    return "none" if target.python == "any" else str(interpreter(target.python) is not None)


@cache
def interpreter(version: str) -> str | None:
    """A Python of this minor version on this machine; None, after a word about it, if there is none."""
    for candidate in _candidates(version):
        try:
            found = subprocess.run([candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            # pyenv has a shim for every version, also for those that are not switched on.
            continue
        if found.stdout.decode().strip() == version:
            return candidate
    _say(f"note: there is no python{version} here, so the layers carry no bytecode and cold starts are slower; install it to deploy")
    return None


def _candidates(version: str) -> Iterator[str]:
    if version == HOST.python:
        yield sys.executable
    if found := shutil.which(f"python{version}"):
        yield found
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    yield from (str(path) for path in sorted(pyenv.glob(f"{version}*/bin/python{version}"), reverse=True))


def _say(text: str) -> None:
    if text:
        sys.stderr.write(text + "\n")
