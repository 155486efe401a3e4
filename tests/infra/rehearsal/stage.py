"""What the rehearsal stands on: an emulator in a session of its own, the CDK's command line, and steps that tell their time."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

ROOT = Path(__file__).parents[3]
EMULATOR = ROOT / ".venv-ministack" / "bin" / "python"
CDK = ROOT / "node_modules" / ".bin" / "cdk"
ACCOUNT, REGION = "000000000000", "eu-central-1"
START_SECONDS = 60.0
CDK_SECONDS = 300.0


class RehearsalFailed(Exception):
    """What was expected and what was found."""


def expect(good: object, message: str) -> None:
    if not good:
        raise RehearsalFailed(message)


class Steps:
    """Prints each step with its seconds, and what it found."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._number = 0

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        self._number += 1
        began = time.monotonic()
        print(f"{self._number:2}. {title}", flush=True)
        yield
        print(f"      {time.monotonic() - began:.1f} s", flush=True)

    def say(self, text: str) -> None:
        print(f"      {text}", flush=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began


class Emulator:
    """AWS on loopback. Its policies are enforced: a function can do what its role allows, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = _free_port()
        self.session = 0
        self.endpoint = f"http://127.0.0.1:{self._port}"

    @contextmanager
    def running(self) -> Iterator["Emulator"]:
        variables = {
            **_plain_environment(),
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_PORT": str(self._port),
            "GATEWAY_PORT": str(self._port),
            "MINISTACK_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "TMPDIR": str(self._folder),
        }
        with (self._folder / "emulator.log").open("wb") as log:
            # A session of its own: its workers, one per function, are ended with it.
            process = subprocess.Popen(
                [str(EMULATOR), "-m", "ministack"], env=variables, cwd=self._folder, stdout=log, stderr=log, start_new_session=True
            )
        self.session = process.pid
        try:
            self._wait(process)
            yield self
        except RehearsalFailed as error:
            raise RehearsalFailed(f"{error}\n{self._function_logs()}") from error
        finally:
            end_session(process)

    def _function_logs(self) -> str:
        """The last lines the functions printed."""
        logs, lines = self.client("logs"), []
        for group in logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]:
            events = logs.filter_log_events(logGroupName=group["logGroupName"])["events"][-12:]
            lines += [f"  {group['logGroupName']}: {event['message'].strip()}" for event in events]
        return "\n".join(lines)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up and process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=2)
            try:
                connection.request("GET", "/_ministack/health")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                time.sleep(0.1)
            finally:
                connection.close()
        raise RehearsalFailed(f"the emulator did not start (exit code {process.poll()}):\n{self.log()}")

    def log(self) -> str:
        return (self._folder / "emulator.log").read_text(errors="replace")[-6000:]

    def client(self, service: str) -> Any:
        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")

    def url(self, api_id: str, stage: str) -> str:
        return f"{self.endpoint}/_aws/execute-api/{api_id}/{stage}"


class Cdk:
    """The real command line, pinned by package-lock.json, pointed at the emulator."""

    def __init__(self, emulator: Emulator, folder: Path, variables: dict[str, str]) -> None:
        self._folder = folder
        self._context = ["-c", "env=rehearsal", "-c", f"endpoint={emulator.endpoint}"]
        self._environment = {
            **_plain_environment(),
            **variables,
            "AWS_ENDPOINT_URL": emulator.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
        }

    def run(self, *arguments: str, config: Path | None = None) -> str:
        context = [*self._context, *(["-c", f"config={config}"] if config else [])]
        command = [str(CDK), *context, "--output", str(self._folder / "cdk.out"), "--no-notices", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self._environment, capture_output=True, text=True, timeout=CDK_SECONDS, check=False)
        if done.returncode:
            raise RehearsalFailed(f"cdk {' '.join(arguments)}:\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}")
        return done.stdout + done.stderr


def end_session(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and everything it started, and waits until none of them is there."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            continue
    process.wait(timeout=15)


def left_behind(session: int) -> list[str]:
    """The command lines of processes still in a session; [] where /proc does not tell."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append((status.parent / "cmdline").read_text().replace("\0", " ").strip())
        except OSError:
            continue  # it ended while we looked
    return found


def _plain_environment() -> dict[str, str]:
    """Without anything that points at another AWS, another gateway or a proxy on the way."""
    unwanted = ("AWS_", "TOLLKEEPER_", "OPENAI_", "ANTHROPIC_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(unwanted)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
