"""Reports of the real program: right seconds after the calls, after SIGTERM and after SIGKILL, equal to the ledger and to /key/info."""

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
from tests.support.gateway import GatewayProcess, config_of, model
from tests.support.upstream import Received, Reply, Upstream, as_json, as_sse, completion, text_stream

from tollkeeper.clock import iso, system
from tollkeeper.dev.cli import main

PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001}


def provider(request: Received) -> Reply:
    if "fail" in str(request.json["messages"]):
        return as_json({"error": {"message": "no", "type": "server_error"}}, status=500)
    return as_sse(*text_stream(*["a"] * 40), pauses=0.01) if request.json.get("stream") else as_json(completion())


def nano(dollars: float) -> int:
    return round(dollars * 10**9)


def call(gateway: GatewayProcess, key: str, text: str, *, stream: bool = False, leave: bool = False, **more: Any) -> None:
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)
    with client, suppress(openai.APIStatusError):
        answer = client.chat.completions.create(
            model="fast", messages=[{"role": "user", "content": text}], stream=stream, max_tokens=50, extra_body=more
        )
        if stream:
            for number, _ in enumerate(answer):
                if leave and number == 3:
                    answer.close()
                    break


def busy_hour(gateway: GatewayProcess) -> dict[str, str]:
    """Two teams, three keys; whole answers, streams, failures and callers who leave."""
    for team in ("red", "blue"):
        assert gateway.admin("POST", "/team/new", {"team_id": team, "team_alias": f"Team {team}"}).status_code == 200
    user = gateway.admin("POST", "/user/new", {"user_id": "ann", "user_role": "internal_user"}).json()["key"]
    keys = {"red": gateway.new_key(team_id="red", key_alias="red key"), "blue": gateway.new_key(team_id="blue", max_budget=5), "ann": user}
    for name, key in keys.items():
        for number in range(4):
            call(gateway, key, "hello", metadata={"tags": [f"tag-{name}", "all"]}, user=f"customer {number}")
        call(gateway, key, "hello", stream=True)
        call(gateway, key, "hello", stream=True, leave=True)
        call(gateway, key, "fail")
    return keys


def check(gateway: GatewayProcess, keys: dict[str, str]) -> None:
    today = iso(system.now())[:10]
    dates = {"start_date": iso(system.now() - 86400)[:10], "end_date": today}

    def get(path: str, **query: Any) -> Any:
        answer = gateway.admin("GET", path, **query)
        assert answer.status_code == 200, (path, answer.text)
        return answer.json()

    spent: Counter[str] = Counter()
    entries = gateway.ledger()
    for item in entries:
        for name in (item["key_hash"], item.get("team_id") or "Unassigned Team", *item["tags"], item.get("customer_id"), "all calls"):
            spent[name] += item["cost"]
    infos = {name: get("/key/info", key=key)["info"] for name, key in keys.items()}
    rows = {row["api_key"]: row for row in get("/global/spend/keys")}
    for name, key in keys.items():
        (report,) = get("/key/spend/report", api_key=key, **dates)
        hashed = report["api_key"]
        assert nano(infos[name]["spend"]) == nano(report["total_cost"]) == nano(rows[hashed]["total_spend"]) == spent[hashed]
        logs = get("/spend/logs/v2", api_key=key, page_size=100, **dates)
        assert (logs["total"], sum(nano(row["spend"]) for row in logs["data"])) == (7, spent[hashed])
        assert Counter(row["status"] for row in logs["data"]) == {"success": 6, "failure": 1}
        assert nano(get("/key/daily/activity", api_key=key, **dates)["metadata"]["total_spend"]) == spent[hashed]
    assert nano(get("/global/spend")["spend"]) == spent["all calls"]
    assert get("/global/activity", **dates)["sum_api_requests"] == len(entries) == 21
    assert {row["individual_request_tag"]: nano(row["total_spend"]) for row in get("/spend/tags")} == {
        name: spent[name] for name in ("all", "tag-red", "tag-blue", "tag-ann")
    }
    teams = {row["team_id"]: nano(row["total_spend"]) for row in get("/global/spend/teams")["total_spend_per_team"]}
    assert teams == {"Team red": spent["red"], "Team blue": spent["blue"], "Unassigned Team": spent["Unassigned Team"]}
    (team,) = get("/team/daily/activity", team_ids="red", **dates)["results"][:1]
    assert team["breakdown"]["entities"]["red"]["metadata"] == {"team_alias": "Team red"}
    assert next(iter(team["breakdown"]["api_keys"].values()))["metadata"]["key_alias"] == "red key"
    (customer,) = [row for row in gateway.admin("POST", "/global/spend/end_users", {}).json() if row["end_user"] == "customer 1"]
    assert (customer["total_count"], nano(customer["total_spend"])) == (3, spent["customer 1"])
    assert gateway.admin("POST", "/spend/calculate", {"model": "fast", "messages": [{"role": "user", "content": "hi"}]}).json()["cost"] > 0


def test_every_report_agrees_with_the_ledger_at_once_and_after_every_end(tmp_path: Path, capsys: Any) -> None:
    with Upstream(provider) as upstream:
        config = config_of(model("fast", "openai/gpt-4o-mini", f"{upstream.url}/v1", num_retries=0, model_info=PRICES))
        config["router_settings"] = {"num_retries": 0, "allowed_fails": 1000}
        gateway = GatewayProcess(tmp_path, config).start()
        try:
            keys = busy_hour(gateway)
            check(gateway, keys)
            gateway.kill()
            gateway.start()
            check(gateway, keys)
        finally:
            gateway.stop()
    month = iso(system.now())[:7]
    assert main(["rollup", "rebuild", "--month", month, "--state", str(gateway.state)]) == 0
    assert "all equal" in capsys.readouterr().out
    assert main(["rollup", "drift", "--state", str(gateway.state)]) == 0
    assert "drift 0 nano-USD in 0 counters" in capsys.readouterr().out
