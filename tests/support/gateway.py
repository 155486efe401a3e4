"""The real program as users start it: `python -m tollkeeper.dev.server` in a process of its own, on a free port, with its own state."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import yaml

ROOT = Path(__file__).resolve().parents[2]
MASTER_KEY = "sk-master-0123456789abcdef"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class GatewayProcess:
    """A running gateway. `url` has no trailing slash; `stop` sends SIGTERM, `kill` SIGKILL; `start` again keeps the state."""

    def __init__(self, folder: Path, config: dict[str, Any] | str | None, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.config_path: Path | None = None
        if config is not None:
            self.config_path = folder / "gateway.yaml"
            self.config_path.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
        self._env = env or {}
        self.port = free_port()
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        config = ["--config", str(self.config_path)] if self.config_path else []
        return [sys.executable, "-m", "tollkeeper.dev.server", *config, "--port", str(self.port), "--state", str(self.state)]

    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "ANTHROPIC_", "TOLLKEEPER_", "AWS_"))}
        return {**clean, "PYTHONPATH": str(ROOT / "layers/gateway/python"), "PYTHONUNBUFFERED": "1", **self._env}

    def start(self) -> "GatewayProcess":
        log = (self.folder / "gateway.log").open("a")
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=subprocess.STDOUT, env=self.environment(), text=True)
        log.close()
        for _ in range(600):
            if self.process.poll() is not None:
                raise AssertionError(f"the gateway ended with {self.process.returncode}:\n{self.log()}")
            try:
                if httpx.get(f"{self.url}/health/liveliness", trust_env=False).status_code == 200:
                    return self
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"the gateway did not come up:\n{self.log()}")

    def log(self) -> str:
        return (self.folder / "gateway.log").read_text()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(20)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    def admin(self, method: str, path: str, body: Any = None, **params: Any) -> httpx.Response:
        return self.request(method, path, body, {"authorization": f"Bearer {MASTER_KEY}"}, **params)

    def request(self, method: str, path: str, body: Any, headers: dict[str, str], **params: Any) -> httpx.Response:
        return httpx.request(method, self.url + path, json=body, params=params, headers=headers, timeout=30, trust_env=False)

    def new_key(self, **fields: Any) -> str:
        answer = self.admin("POST", "/key/generate", fields)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["key"])

    def ledger(self) -> list[dict[str, Any]]:
        """Every ledger entry in the state folder, oldest first."""
        found = []
        for path in self.state.glob("*.db"):
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
                found += [json.loads(body) for (body,) in connection.execute("SELECT body FROM ledger")]
            connection.close()
        return sorted((item for item in found if item["pk"].startswith("day#")), key=lambda item: str(item["sk"]))

    def forget(self, table: str, pk: str, sk: str) -> None:
        """Removes an item from the state folder behind the gateway's back."""
        removed = 0
        for path in self.state.glob("*.db"):
            with sqlite3.connect(path) as connection:
                removed += connection.execute(f"DELETE FROM {table} WHERE pk = ? AND sk = ?", (pk, sk)).rowcount
            connection.close()
        assert removed == 1


def model(name: str, upstream: str, api_base: str, **params: Any) -> dict[str, Any]:
    """One row of model_list."""
    info = params.pop("model_info", {})
    return {
        "model_name": name,
        "litellm_params": {"model": upstream, "api_base": api_base, "api_key": "sk-upstream", **params},
        "model_info": info,
    }


def config_of(*models: dict[str, Any], **sections: Any) -> dict[str, Any]:
    general = {"master_key": MASTER_KEY, **sections.pop("general_settings", {})}
    return {"model_list": list(models), "general_settings": general, **sections}
