"""Starting and stopping the program: what a user sees when it works, and one clear line when it cannot."""

import os
import re
import socket
import subprocess
import threading
from pathlib import Path

import httpx
import pytest
from tests.support.gateway import MASTER_KEY, GatewayProcess, config_of, model
from tests.support.upstream import Reply, Upstream, as_json, as_sse, chunk, completion


class Hasty(GatewayProcess):
    def command(self) -> list[str]:
        return [*super().command(), "--grace", "1"]


def refusal(gateway: GatewayProcess) -> str:
    ended = subprocess.run(gateway.command(), env=gateway.environment(), capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_without_a_configuration_the_demo_model_answers_the_pasted_curl_line(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path, None).start()
    (line,) = [line.strip() for line in gateway.log().splitlines() if line.strip().startswith("curl")]
    answer = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30, check=True).stdout
    assert "demo model" in answer
    key = re.search(r"master key +(sk-\S+)", gateway.log())
    assert key is not None
    assert gateway.stop() == 0
    gateway.start()
    listed = httpx.get(f"{gateway.url}/v1/models", headers={"x-api-key": key.group(1)}, trust_env=False)
    assert [row["id"] for row in listed.json()["data"]] == ["demo"], "the same master key after a restart"
    gateway.stop()


def test_keys_in_the_environment_and_local_servers_are_picked_up(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path, None, env={"OPENAI_API_KEY": "sk-x", "ANTHROPIC_API_KEY": "sk-y"}).start()
    models = next(line for line in gateway.log().splitlines() if line.strip().startswith("models"))
    assert "openai/*" in models
    assert "anthropic/*" in models
    assert "sk-x" not in gateway.log()
    gateway.stop()


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path, None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", gateway.port))
        taken.listen()
        said = refusal(gateway)
    assert said.count("\n") == 1
    assert f"127.0.0.1:{gateway.port}" in said


def test_a_port_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path, None)
    gateway.port = 99999
    said = refusal(gateway)
    assert said.count("\n") == 1
    assert "65535" in said


def test_the_pasted_line_works_where_the_master_key_is_in_a_variable_and_warnings_stay_few(tmp_path: Path) -> None:
    rows = [model(f"m{number}", "openai/gpt-4o", "http://127.0.0.1:9/v1", mock_response="pasted") for number in range(30)]
    config = config_of(*rows, model("keyless", "openai/gpt-4o", "http://127.0.0.1:9/v1", api_key="os.environ/NOT_THERE"))
    config["general_settings"]["master_key"] = "os.environ/MY_KEY"
    gateway = GatewayProcess(tmp_path, config, env={"MY_KEY": MASTER_KEY}).start()
    (line,) = [line.strip() for line in gateway.log().splitlines() if line.strip().startswith("curl")]
    answer = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env={**os.environ, "MY_KEY": MASTER_KEY}, timeout=30)
    gateway.stop()
    assert "pasted" in answer.stdout
    assert MASTER_KEY not in gateway.log()
    assert "NOT_THERE is not set; calls to keyless will fail" in gateway.log()
    assert gateway.log().count("  warning ") <= 11


def test_sigterm_ends_an_open_stream_with_an_error_the_caller_can_read(tmp_path: Path) -> None:
    never = threading.Event()
    with Upstream(lambda _: as_sse(chunk({"content": "Hello"}), never, done=False)) as upstream:
        gateway = Hasty(tmp_path, config_of(model("fast", "openai/gpt-4o-mini", f"{upstream.url}/v1"))).start()
        body = {"model": "fast", "stream": True, "messages": [{"role": "user", "content": "x"}]}
        headers = {"authorization": f"Bearer {MASTER_KEY}"}
        with httpx.stream("POST", f"{gateway.url}/v1/chat/completions", json=body, headers=headers, trust_env=False) as answer:
            lines = answer.iter_lines()
            assert "Hello" in next(line for line in lines if "content" in line)
            assert gateway.process is not None
            gateway.process.terminate()
            rest = [line for line in lines if line.startswith("data: ")]
        never.set()
        assert gateway.process.wait(20) == 0
    assert "stopping" in rest[-1]
    assert "[DONE]" not in rest[-1]
    assert "Traceback" not in gateway.log()
    (entry,) = gateway.ledger()
    assert (entry["status"], entry["usage_at_least"]) == ("cancelled", True)


def test_a_bad_configuration_tells_every_mistake_with_its_line(tmp_path: Path) -> None:
    text = "model_list:\n  - model_name: a\n    litellm_params: {modle: openai/gpt-4o}\nrouter_settings: {num_retires: 1}\n"
    said = refusal(GatewayProcess(tmp_path, text))
    assert "gateway.yaml:3" in said
    assert "did you mean model?" in said
    assert "gateway.yaml:4" in said
    assert "did you mean num_retries?" in said


def test_a_state_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file is in the way")
    said = refusal(GatewayProcess(tmp_path, None))
    assert said.count("\n") == 1
    assert str(tmp_path / "state") in said


def test_sigterm_lets_a_running_call_finish(tmp_path: Path) -> None:
    with Upstream(lambda _: Reply(200, {"content-type": "application/json"}, [0.6, *as_json(completion("late")).pieces])) as upstream:
        gateway = GatewayProcess(tmp_path, config_of(model("fast", "openai/gpt-4o-mini", f"{upstream.url}/v1"))).start()
        assert gateway.process is not None
        asked = subprocess.Popen(
            ["curl", "-s", f"{gateway.url}/v1/chat/completions", "-H", f"Authorization: Bearer {MASTER_KEY}"]
            + ["-d", '{"model": "fast", "messages": [{"role": "user", "content": "x"}]}'],
            stdout=subprocess.PIPE,
            text=True,
        )
        while not upstream.received:
            assert asked.poll() is None
        assert gateway.stop() == 0
        answer, _ = asked.communicate(timeout=10)
    assert "late" in answer
    assert [entry["status"] for entry in gateway.ledger()] == ["success"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_one_line(tmp_path: Path) -> None:
    tmp_path.joinpath("state").mkdir(mode=0o500)
    assert "state" in refusal(GatewayProcess(tmp_path, None))
