"""LiteLLM's own management client, as its package ships it, in an environment of its own: it must not notice who answers.

The package is large and pins what we pin otherwise, so it is installed by this test alone, with uv or pip, and kept in `.venv-litellm`.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.gateway import MASTER_KEY, ROOT, GatewayProcess, config_of, model

PLACE = ROOT / ".venv-litellm"
SCRIPT = """
import json, sys
from litellm.proxy.client import Client
from litellm.proxy.client.users import UsersManagementClient

url, master = sys.argv[1:]
client, users, seen = Client(base_url=url, api_key=master), UsersManagementClient(base_url=url, api_key=master), {}
team = {"team_id": "painters", "team_alias": "Painters", "max_budget": 3, "models": ["fast"]}

seen["models"] = [row["id"] for row in client.models.list()]
seen["info"] = client.models.info()
seen["group"] = client.model_groups.info()
seen["team"] = client.http.request("POST", "/team/new", json=team)
seen["user"] = users.create_user({"user_id": "ann", "user_email": "ann@example.com", "user_role": "internal_user", "teams": ["painters"]})
seen["key"] = client.keys.generate(models=["fast"], key_alias="easel", team_id="painters", user_id="ann", duration="24h", spend=0)
seen["updated"] = client.keys.update(seen["key"]["key"], key_alias="brush", models=["fast"])
seen["key_info"] = client.keys.info(seen["key"]["key"])
seen["keys"] = client.keys.list(page=1, size=10, team_id="painters", return_full_object=True, include_team_keys=True)
seen["teams"] = client.teams.list()
seen["teams_v2"] = client.teams.list_v2(page=1, page_size=10)
seen["available"] = client.teams.get_available()
seen["users"] = users.list_users({"page": 1})
seen["user_info"], seen["user_info_v2"] = users.get_user("ann"), users.get_user_v2("ann")

seen["credential"] = client.credentials.create("shared", {"custom_llm_provider": "openai"}, {"api_key": "sk-x"})
seen["credentials"] = client.credentials.list()
seen["credential_renamed"] = client.credentials.update_display_name("shared", "Shared")
seen["credential_read"] = client.credentials.get("shared")
params = {"model": "openai/gpt-4o", "litellm_credential_name": "shared"}
seen["model"] = client.models.new("extra", params, {"id": "extra-1"})
seen["model_read"] = client.models.get(model_id="extra-1")
seen["model_updated"] = client.models.update("extra-1", {"rpm": 5})
seen["model_deleted"] = client.models.delete("extra-1")
seen["credential_deleted"] = client.credentials.delete("shared")

mine = Client(base_url=url, api_key=seen["key"]["key"])
seen["mine"] = [row["id"] for row in mine.models.list()]
seen["chat"] = mine.chat.completions(model="fast", messages=[{"role": "user", "content": "Hello"}])
seen["deleted"] = client.keys.delete(keys=[seen["key"]["key"]])
seen["user_deleted"] = users.delete_user(["ann"])
seen["team_deleted"] = client.http.request("POST", "/team/delete", json={"team_ids": ["painters"]})
try:
    mine.models.list()
except Exception as refusal:
    seen["refused"] = type(refusal).__name__
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of an environment that has LiteLLM."""
    binary = PLACE / "bin" / "python"
    if not binary.exists():
        uv = shutil.which("uv")
        subprocess.run([uv, "venv", "-q", str(PLACE)] if uv else [sys.executable, "-m", "venv", str(PLACE)], check=True)
    if subprocess.run([binary, "-c", "import litellm.proxy.client"], capture_output=True, env=quiet()).returncode:
        uv = shutil.which("uv")
        install = [uv, "pip", "install", "-q", "--python", str(binary)] if uv else [str(binary), "-m", "pip", "install", "-q"]
        if subprocess.run([*install, "litellm"], capture_output=True).returncode:
            pytest.skip("LiteLLM cannot be installed here")
    return binary


def quiet() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}


@pytest.fixture
def seen(python: Path, tmp_path: Path) -> dict[str, Any]:
    fast = {"model_name": "fast", "litellm_params": {"model": "openai/gpt-4o-mini", "mock_response": "Hi"}}
    config = config_of(fast, model("other", "openai/gpt-4o", "http://127.0.0.1:9/v1"))
    gateway = GatewayProcess(tmp_path, config, env={"TOLLKEEPER_KEY_CACHE_SECONDS": "0"}).start()
    command = [str(python), "-c", SCRIPT, gateway.url, MASTER_KEY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=quiet(), cwd=tmp_path)
    gateway.stop()
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.slow
def test_litellms_own_client_manages_us(seen: dict[str, Any]) -> None:
    assert seen["models"] == ["fast", "other"]
    assert [row["model_name"] for row in seen["info"]] == ["fast", "other"]
    assert seen["group"][0]["providers"] == ["openai"]
    assert (seen["team"]["team_id"], seen["user"]["user_id"], seen["user"]["key"][:3]) == ("painters", "ann", "sk-")
    assert (seen["key"]["key_alias"], seen["updated"]["key_alias"], seen["key_info"]["info"]["key_alias"]) == ("easel", "brush", "brush")
    assert "brush" in [row["key_alias"] for row in seen["keys"]["keys"]]
    assert [row["team_id"] for row in seen["teams"]] == [row["team_id"] for row in seen["teams_v2"]["teams"]] == ["painters"]
    assert seen["available"] == []
    assert [row["user_id"] for row in seen["users"]] == ["ann"]
    assert (seen["user_info"]["teams"][0]["team_id"], seen["user_info_v2"]["user_email"]) == ("painters", "ann@example.com")
    assert (seen["credential"]["success"], seen["credential_read"]["display_name"]) == (True, "Shared")
    assert (seen["model"]["model_id"], seen["model_updated"]["litellm_params"]["rpm"]) == ("extra-1", 5)
    assert (seen["mine"], seen["chat"]["choices"][0]["message"]["content"]) == (["fast"], "Hi")
    assert (seen["deleted"]["deleted_keys"], seen["refused"]) == ([seen["key"]["key"]], "UnauthorizedError")
