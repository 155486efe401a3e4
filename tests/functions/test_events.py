"""Every file in events/ is executed by the function it is for: the proxy in its sandbox, keys as the managed runtime calls it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.runtime_api import PATIENCE, ROOT, start_sandbox

from tollkeeper.store.sqlite import SqliteStore

EVENTS = ROOT / "events"

# What calls a handler on the managed Python runtime: events in a JSON list, answers in another.
MANAGED_RUNTIME = """
import json, sys
from handler import handler

class Context:
    aws_request_id = "request"

    def get_remaining_time_in_millis(self):
        return 250_000

print(json.dumps([handler(event, Context()) for event in json.load(sys.stdin)]))
"""


@dataclass(frozen=True)
class Case:
    name: str
    status: int
    says: str
    """Somewhere in the body."""


PROXY = (
    Case("chat_stream", 200, "data: [DONE]"),
    Case("chat_buffered", 200, "Hello from the demo."),
    Case("chat_base64_body", 200, "Hello from the demo."),
    Case("chat_multi_value_headers", 200, "Hello from the demo."),
    Case("chat_iam_signed", 200, "Hello from the demo."),
    Case("chat_unauthenticated", 401, "auth_error"),
    Case("chat_bad_json", 400, "invalid_request_error"),
    Case("models", 200, '"demo"'),
    Case("model_percent_encoded", 200, '"team/demo"'),
    Case("health", 200, "alive"),
    Case("stage_prefix", 200, '"demo"'),
    Case("custom_domain_base_path", 200, '"demo"'),
    Case("unknown_route", 404, "/v1/nothing"),
    Case("not_http", 400, "invalid_request_error"),
)
# In this order: a key is made, looked at and deleted.
KEYS = (
    Case("key_generate", 200, "sk-events-0123456789"),
    Case("key_info", 200, '"events"'),
    Case("key_unauthenticated", 401, "auth_error"),
    Case("models_iam_signed", 200, '"model_name":"demo"'),
    Case("key_delete", 200, "deleted_keys"),
)
REPORTS = (
    Case("spend_logs", 200, "["),
    Case("global_activity", 200, "sum_api_requests"),
)
BACKGROUND = {"janitor": ("janitor_schedule",), "batches": ("batches_schedule",), "rollup": ("rollup_entries", "rollup_unusable")}


@dataclass(frozen=True)
class Played:
    status: int
    headers: Mapping[str, str]
    body: str


def load(names: Iterable[str]) -> list[dict[str, Any]]:
    return [json.loads((EVENTS / f"{name}.json").read_text()) for name in names]


def variables(folder: Path) -> dict[str, str]:
    return {
        "TOLLKEEPER_CONFIG": str(Path(__file__).with_name("gateway.yaml")),
        "TOLLKEEPER_STORE": "sqlite",
        "TOLLKEEPER_STATE": str(folder / "state"),
        "TOLLKEEPER_MASTER_KEY": "sk-events-master",
        "TOLLKEEPER_PEPPER": "pepper",
    }


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    """One sandbox answers all of the proxy's events, as a warm one would."""
    folder = tmp_path_factory.mktemp("proxy")

    async def play() -> dict[str, Played]:
        async with start_sandbox(folder, "handler.app", ROOT / "functions/proxy", **variables(folder)) as box:
            scripted = [box.api.invoke(event) for event in load(case.name for case in PROXY)]
            await box.until("next", times=len(PROXY) + 1)
            assert [(one.error, one.trailers) for one in scripted] == [(None, {})] * len(PROXY)
            answers = [one.streamed for one in scripted]
        return {
            case.name: Played(head["statusCode"], head["headers"], body.decode()) for case, (head, body) in zip(PROXY, answers, strict=True)
        }

    return asyncio.run(play())


def managed(function: str, events: list[dict[str, Any]], folder: Path) -> list[Any]:
    """The answers of one process of the managed runtime."""
    path = f"{ROOT / 'layers/gateway/python'}:{ROOT / 'functions' / function}"
    done = subprocess.run(
        [sys.executable, "-c", MANAGED_RUNTIME],
        input=json.dumps(events),
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **variables(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return answers


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Played]:
    return answered("keys", KEYS, tmp_path_factory.mktemp("keys"))


def answered(function: str, cases: Sequence[Case], folder: Path) -> dict[str, Played]:
    answers = managed(function, load(case.name for case in cases), folder)
    return {case.name: Played(answer["statusCode"], answer["headers"], answer["body"]) for case, answer in zip(cases, answers, strict=True)}


def test_every_event_is_played():
    background = {name for names in BACKGROUND.values() for name in names}
    assert {path.stem for path in EVENTS.glob("*.json")} == {case.name for case in PROXY + KEYS + REPORTS} | background


def test_every_function_has_one():
    """Named for it, or sent to its API."""
    functions = {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")}
    assert functions == {"proxy", "keys", "reports", *BACKGROUND}


def test_the_janitor_function_sweeps_again_and_again(tmp_path: Path):
    first, second = managed("janitor", load(BACKGROUND["janitor"]) * 2, tmp_path)
    assert first == second
    assert (first["expired"], set(first.values())) == (0, {0})


def test_the_batches_function_finds_nothing_to_do(tmp_path: Path):
    nothing = {"slices": 0, "responses": 0}
    assert managed("batches", load(BACKGROUND["batches"]) * 2, tmp_path) == [nothing, nothing]


def test_the_rollup_function_adds_up_what_it_can_and_reports_the_rest(tmp_path: Path):
    entries, unusable = load(BACKGROUND["rollup"])
    broken = {"itemIdentifier": unusable["Records"][0]["dynamodb"]["SequenceNumber"]}
    answers = managed("rollup", [entries, entries, unusable], tmp_path)
    assert answers == [{"batchItemFailures": []}, {"batchItemFailures": []}, {"batchItemFailures": [broken]}]
    ledger = SqliteStore(str(tmp_path / "state")).ledger
    sums = asyncio.run(ledger.get("sum#all", "month#2026-11"))
    assert sums is not None
    assert (sums["requests"], sums["spend"]) == (2, 2 * 8550)


@pytest.mark.parametrize("case", PROXY, ids=lambda case: case.name)
def test_the_proxy_function_answers(proxy: dict[str, Played], case: Case):
    played = proxy[case.name]
    assert (played.status, case.says in played.body) == (case.status, True), played


@pytest.mark.parametrize("case", KEYS, ids=lambda case: case.name)
def test_the_keys_function_answers(keys: dict[str, Played], case: Case):
    played = keys[case.name]
    assert (played.status, case.says in played.body) == (case.status, True), played


def test_the_reports_function_answers(tmp_path: Path):
    for name, played in answered("reports", REPORTS, tmp_path).items():
        case = next(case for case in REPORTS if case.name == name)
        assert (played.status, case.says in played.body) == (case.status, True), played


def test_the_streamed_chat_is_server_sent_events(proxy: dict[str, Played]):
    played = proxy["chat_stream"]
    assert played.headers["content-type"].startswith("text/event-stream")
    assert played.body.count("data: ") > 2
