"""The `llm` command with an OpenAI-compatible model; prints what it got as JSON."""

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

MODELS = ("gpt", "claude", "gemini")
home = Path(tempfile.mkdtemp())
rows = [
    f"- model_id: gw-{name}\n  model_name: {name}\n  api_base: {os.environ['GATEWAY_URL']}/v1\n  api_key_name: gw\n  supports_tools: true\n"
    f"  supports_schema: true\n"
    for name in MODELS
]
(home / "extra-openai-models.yaml").write_text("".join(rows))
(home / "keys.json").write_text(json.dumps({"gw": os.environ["GATEWAY_KEY"]}))
TOOL = "def get_weather(city: str) -> str:\n    'Of a city'\n    return 'sunny-in-' + city.lower()\n"


def llm(*arguments: str) -> str:
    command = [str(Path(sys.executable).parent / "llm"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LLM_USER_PATH": str(home)}, check=False)
    return done.stdout.strip() or f"{done.returncode}: {done.stderr[-500:]}"


print(
    json.dumps(
        {
            "version": version("llm"),
            "chat": {name: llm("-m", f"gw-{name}", "--no-stream", "Say hello") for name in MODELS},
            "stream": {name: llm("-m", f"gw-{name}", "Say hello") for name in MODELS},
            "tools": {name: llm("-m", f"gw-{name}", "--functions", TOOL, "Weather in Paris?") for name in MODELS},
            "structured": {name: json.loads(llm("-m", f"gw-{name}", "--schema", "city, degrees int", "Weather")) for name in MODELS},
        }
    )
)
