"""The cost page: its sums are its rows, its alarms are the stack's, and the README shows it."""

from dataclasses import replace
from pathlib import Path

import pytest
from infra.environments import load
from infra.settings import FunctionSize

from infra import cost, functions

README = Path(__file__).parents[2] / "infra" / "README.md"


def test_idle_costs_next_to_nothing_without_on_prem():
    assert sum(cost.idle(load("dev")).values()) < 5


def test_on_prem_costs_its_load_balancer():
    on = cost.idle(replace(load("dev"), on_prem=cost.EXAMPLE_POOL))
    assert on["On-prem load balancer"] == pytest.approx(730 * 0.0225)


@pytest.mark.parametrize(("seconds", "dollars"), [(30, 200), (5, 33.3)])
def test_waiting_costs_memory_times_time(seconds, dollars):
    rows = cost.million_calls(load("dev"), cost.Call(seconds, own_milliseconds=0))
    assert rows["Lambda"] == pytest.approx(dollars + 0.2, abs=0.2)
    assert rows["API Gateway"] == 3.5


def test_settings_change_the_page():
    dev = load("dev")
    large = replace(dev, functions={"proxy": FunctionSize(memory=1024, timeout=900)})
    small, twice = (cost.million_calls(env, cost.Call(30))["Lambda"] for env in (dev, large))
    assert twice == pytest.approx(2 * small, rel=0.01)
    assert cost.idle(replace(dev, own_key=True))["Encryption key"] == 1
    assert "Firewall" in cost.idle(load("prod"))


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_the_alarms_counted_are_the_alarms_made(assemblies, name):
    made = assemblies[name].all("AWS::CloudWatch::Alarm")
    metrics = sum(sum("MetricStat" in row for row in alarm.properties.get("Metrics", [])) or 1 for alarm in made)
    assert cost.alarm_metrics(load(name)) == metrics


def test_the_readme_shows_the_page_and_the_permissions():
    text = README.read_text()
    assert cost.page(load("dev")) in text, "run `make infra-readme`"
    assert functions.grants_table() in text, "run `make infra-readme`"


def test_the_readme_has_a_line_for_every_function_to_try_it():
    text = README.read_text()
    for row in functions.deployed():
        assert f"{row.name.capitalize()}Function" in text


def test_the_events_it_names_exist():
    events = README.parents[1] / "events"
    named = {
        part.rstrip("`") for line in README.read_text().splitlines() if "sam local" in line for part in line.split() if "events/" in part
    }
    assert named
    assert all((events.parent / name).exists() for name in named), named
