"""/metrics says what the ledger says, in a text that Prometheus takes, over a bounded number of series."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.gateway import MASTER_KEY, model
from tests.support.upstream import completion
from tests.support.wiring import Said, Wired, wire
from tests.unit.reports.conftest import Books

from tollkeeper.reports.exposition import Family, text_of
from tollkeeper.reports.prometheus import OTHERS, Usage

ROOT = Path(__file__).parents[3]
OBSERVABILITY = ROOT / "infra/observability"
PROMTOOL = shutil.which("promtool") or next((str(path) for path in (ROOT / ".cache/promtool").glob("usr/bin/promtool")), None)
SAMPLE = re.compile(r"(?P<name>[a-z_]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
USAGE = {"prompt_tokens": 100_000, "completion_tokens": 10, "total_tokens": 100_010}


def samples(text: str) -> list[tuple[str, dict[str, str], float]]:
    found = []
    for line in text.splitlines():
        if not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match, line
            labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match["labels"] or ""))
            found.append((match["name"], labels, float(match["value"])))
    return found


def total(text: str, name: str, **labels: str) -> float:
    return sum(value for each, has, value in samples(text) if each == name and labels.items() <= has.items())


async def _wired(**settings: Any) -> Wired:
    row = model("fast", "openai/gpt-4o-mini", "http://x.test/v1")
    return await wire(lambda _: Said(body={**completion(), "usage": USAGE}), row, litellm_settings=settings)


async def _scraped(wired: Wired, key: str | None = MASTER_KEY) -> Any:
    assert wired.running.pump is not None
    await wired.running.drain()
    await wired.running.pump.catch_up()
    return await wired.client.get("/metrics", headers={"authorization": f"Bearer {key}"} if key else {})


async def test_it_shows_what_was_called_and_what_is_left() -> None:
    wired = await _wired()
    team = (await wired.admin("POST", "/team/new", {"team_alias": 'Blue "1"', "max_budget": 2, "budget_duration": "30d"})).json()["team_id"]
    first = await wired.new_key(team_id=team, key_alias="batch", max_budget=1)
    second = await wired.new_key()
    for key in (first, first, second):
        assert (await wired.chat(key)).status_code == 200
    answer = await _scraped(wired)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    entries = await wired.ledger()
    text = answer.text
    assert total(text, "litellm_proxy_total_requests_metric_total") == 3
    assert total(text, "litellm_proxy_total_requests_metric_total", api_key_alias="batch", team=team, requested_model="fast") == 2
    assert round(total(text, "litellm_spend_metric_total") * 10**9) == sum(entry["cost"] for entry in entries)
    assert total(text, "litellm_total_tokens_metric_total") == 3 * 100_010
    assert total(text, "litellm_deployment_success_responses_total", litellm_model_name="gpt-4o-mini", api_provider="openai") == 3
    spent = 2 * entries[0]["cost"] / 10**9
    assert total(text, "litellm_remaining_team_budget_metric", team=team) == pytest.approx(2 - spent)
    assert total(text, "litellm_remaining_api_key_budget_metric", api_key_alias="batch") == pytest.approx(1 - spent)
    assert total(text, "litellm_team_budget_remaining_hours_metric", team=team) > 0
    assert r'team_alias="Blue \"1\""' in text
    _promtool("check", "metrics", text=text)


async def test_it_is_for_those_who_may_see_everything() -> None:
    wired = await _wired()
    assert (await _scraped(wired, key=None)).status_code == 401
    assert (await _scraped(wired, await wired.new_key())).status_code == 403
    assert (await _scraped(await _wired(require_auth_for_metrics_endpoint=False), key=None)).status_code == 200


async def test_series_are_bounded_and_still_add_up(books: Books) -> None:
    reader, clock = books.admin.services.reader, books.admin.services.clock
    for most in (1, 3, 1000):
        text = text_of(await Usage(reader, clock, most_keys=most).families())
        keys = {labels["hashed_api_key"] for name, labels, _ in samples(text) if name == "litellm_spend_metric_total"}
        assert len(keys - {OTHERS}) <= most
        spent = sum(books.of("all", "2027-01-01", "2027-01-15").values())
        assert round(total(text, "litellm_spend_metric_total") * 10**9) == spent


def test_a_counter_is_named_as_its_samples_are() -> None:
    calls = Family("calls", "counter", "How many.")
    calls.add(1, {"of": 'a\\b\n"c"'}, "_total")
    calls.add(2, {"of": 'a\\b\n"c"'}, "_total")
    assert text_of([calls, Family("none", "gauge", "Nothing.")]).splitlines() == [
        "# HELP calls_total How many.",
        "# TYPE calls_total counter",
        r'calls_total{of="a\\b\n\"c\""} 3',
    ]


async def test_rules_and_dashboard_ask_for_metrics_there_are(books: Books) -> None:
    services = books.admin.services
    usage = await Usage(services.reader, services.clock).families()
    known = {family.name for family in usage} | {f"litellm_{word}_metric" for word in _budget_words()}
    text = (OBSERVABILITY / "prometheus-rules.yml").read_text() + (OBSERVABILITY / "grafana-dashboard.json").read_text()
    asked = {re.sub(r"_(total|sum|count)$", "", name) for name in re.findall(r"litellm_[a-z_]+", text)} - {"litellm_model_name"}
    assert asked <= known, asked - known


def _budget_words() -> list[str]:
    owners = ("team", "api_key")
    return [*(f"remaining_{owner}_budget" for owner in owners), *(f"{owner}_max_budget" for owner in owners)]


def test_prometheus_takes_the_rules() -> None:
    _promtool("check", "rules", str(OBSERVABILITY / "prometheus-rules.yml"))
    rules = yaml.safe_load((OBSERVABILITY / "prometheus-rules.yml").read_text())
    assert {"TollkeeperSpendSpike", "TollkeeperErrorRate"} <= {rule.get("alert") for group in rules["groups"] for rule in group["rules"]}


def test_the_dashboard_is_one() -> None:
    board = json.loads((OBSERVABILITY / "grafana-dashboard.json").read_text())
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) == 12


def _promtool(*arguments: str, text: str | None = None) -> None:
    if PROMTOOL is None:
        pytest.skip("promtool is not here; `make emulators` fetches it where Debian's packages are to be had")
    done = subprocess.run([PROMTOOL, *arguments], input=text, capture_output=True, text=True, check=False)
    # 3: readable, and not named as Prometheus would. The names are LiteLLM's.
    assert done.returncode in ({0, 3} if text else {0}), done.stdout + done.stderr
