"""`make dev`: gateway and management API on one local port, embedded store, a demo model, and whatever providers it can see.

A wrong config, a port in use, a state folder that cannot be written: one clear line on stderr and exit code 1 (2 for wrong arguments).
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from tollkeeper import bootstrap
from tollkeeper.config.snapshot import Snapshot
from tollkeeper.dev.discover import discover
from tollkeeper.errors import ConfigError, TollkeeperError
from tollkeeper.settings import Settings, secret_env
from tollkeeper.telemetry import log

MOST_WARNINGS = 10


def main() -> None:
    arguments = _arguments()
    log.configure(arguments.log_level, json=False)
    try:
        listener = _listen(arguments.host, arguments.port)
        settings = Settings.from_env(store="sqlite", state=arguments.state, config=arguments.config)
        installation = bootstrap.Installation(settings, snapshot=_snapshot(settings))
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            running = runner.run(installation.start())
            _greet(running, runner.run(running.shown_master_key()), listener.getsockname()[1], arguments.host)
            runner.run(_serve(running, listener, arguments.grace))
    except (TollkeeperError, ValueError, OSError) as error:
        sys.exit(f"tollkeeper: {_plain(error)}")


async def _serve(running: bootstrap.Running, listener: socket.socket, grace: int) -> None:
    config = uvicorn.Config(
        bootstrap.local_app(running),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=grace,
        timeout_keep_alive=75,
    )
    await _Server(config).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Ends with exit code 0 after SIGTERM or SIGINT; uvicorn's own would raise the signal again once everything is settled."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def _snapshot(settings: Settings) -> Snapshot:
    """The given config; without one, the demo configuration with what was found on this machine."""
    if settings.config:
        return bootstrap.load_snapshot(settings.config)
    return discover()


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OverflowError:
        raise OSError(f"cannot listen on {host}:{port}: a port is a number from 0 to 65535") from None
    except OSError as error:
        reason = os.strerror(error.errno) if isinstance(error.errno, int) and error.errno > 0 else "the address is not known"
        raise OSError(f"cannot listen on {host}:{port}: {reason}; choose another with PORT=") from None
    return listener


def _greet(running: bootstrap.Running, key: str, port: int, host: str) -> None:
    snapshot = running.installation.snapshot
    names = list(dict.fromkeys(row.group for row in snapshot.deployments))
    base = f"http://{host}:{port}"
    print(f"Tollkeeper is up on {base}  (state: {running.installation.settings.state})")
    print(f"  models      {', '.join(names)}")
    print(f"  master key  {key}")
    warnings = [*_unset(snapshot), *snapshot.warnings]
    for warning in warnings[:MOST_WARNINGS]:
        print(f"  warning     {warning}")
    if (more := len(warnings) - MOST_WARNINGS) > 0:
        print(f"  warning     … and {more} more; `tollkeeper config validate` says them all")
    if snapshot.unsupported:
        print(f"  not supported yet, ignored: {', '.join(snapshot.unsupported)}")
    model = next((name for name in names if "*" not in name), names[0] if names else "demo")
    print("  try it:")
    quote, shown = ("'", key) if key.startswith("sk-") else ('"', f"${_variable(running)}")
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'
    auth = f"-H {quote}Authorization: Bearer {shown}{quote} -H 'Content-Type: application/json'"
    print(f"    curl -s {base}/v1/chat/completions {auth} -d '{body}'")
    sys.stdout.flush()


def _unset(snapshot: Snapshot) -> list[str]:
    """Credentials that will be missing at their first use, unless somebody sets them until then."""
    missing: dict[str, list[str]] = {}
    for row in snapshot.deployments:
        if row.api_key is not None and row.api_key.source == "env" and row.mock_response is None and secret_env(row.api_key.value) is None:
            missing.setdefault(row.api_key.value, []).append(row.group)
    return [f"{name} is not set; calls to {', '.join(dict.fromkeys(groups))} will fail" for name, groups in missing.items()]


def _variable(running: bootstrap.Running) -> str:
    """The environment variable the master key is read from, so that the line below works as pasted where it is set."""
    secret = running.installation.snapshot.master_key
    if running.installation.settings.master_key:
        return "TOLLKEEPER_MASTER_KEY"
    return secret.value if secret is not None and secret.source == "env" else "MASTER_KEY"


def _loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tollkeeper.dev.server", description=__doc__.splitlines()[0])
    parser.add_argument("--config", default=None, help="gateway.yaml (LiteLLM's config.yaml format); default: a demo configuration")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4000)
    parser.add_argument("--state", default=".tollkeeper", help="folder of the embedded store")
    parser.add_argument("--grace", type=int, default=10, help="seconds that open calls get to finish after SIGTERM")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    return parser.parse_args()


def _plain(error: Exception) -> str:
    return error.message if isinstance(error, TollkeeperError) and not isinstance(error, ConfigError) else str(error)


if __name__ == "__main__":
    main()
