"""Keys that renew themselves: the old text goes on for a day, the new one is to be fetched where the gateway runs."""

import time
from pathlib import Path

import openai
import pytest
from tests.support.gateway import GatewayProcess, config_of

from tollkeeper.dev.cli import main


def ask(gateway: GatewayProcess, key: str) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as client:
        client.chat.completions.create(model="demo", messages=[{"role": "user", "content": "x"}])


def test_a_key_that_is_due_is_renewed_and_its_new_text_kept_where_the_gateway_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of({"model_name": "demo", "litellm_params": {"model": "openai/demo", "mock_response": "hi"}})
    gateway = GatewayProcess(tmp_path, config).start()
    old = gateway.new_key(key_alias="ci", auto_rotate=True, rotation_interval="1s")
    gateway.stop()
    time.sleep(1)
    gateway.start()  # housekeeping begins at once, and again every minute
    try:
        for _ in range(200):
            if main(["keys", "fetch", "ci", "--state", str(gateway.state)]) == 0:
                break
            time.sleep(0.05)
        new = capsys.readouterr().out.strip()
        assert new.startswith("sk-")
        assert new != old
        ask(gateway, new)
        ask(gateway, old)
        stored = b"".join(path.read_bytes() for path in gateway.state.rglob("*") if path.is_file())
        assert new.encode() not in stored
    finally:
        gateway.stop()
    assert main(["keys", "fetch", "nobody", "--state", str(gateway.state)]) == 1
    assert main(["keys", "fetch", "ci", "--state", str(tmp_path / "none")]) == 1
