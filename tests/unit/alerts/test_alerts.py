"""Somebody is told once, for certain, and nobody waits for it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
from tests.support.gateway import model
from tests.support.upstream import completion
from tests.support.wiring import Said, Wired, wire

from tollkeeper.alerts.alert import Alert
from tollkeeper.alerts.board import Board
from tollkeeper.alerts.channels import NotDelivered
from tollkeeper.alerts.courier import Courier
from tollkeeper.bootstrap.running import Running
from tollkeeper.config.compile import compile_config
from tollkeeper.errors import ConfigError
from tollkeeper.providers.transport import OutboundRequest

USD = 10**9
HOOKS = {"WEBHOOK_URL": "https://hooks.test/in", "SLACK_WEBHOOK_URL": "https://slack.test/in", "TEAMS_WEBHOOK_URL": "https://teams.test/in"}
USAGE = {"prompt_tokens": 100_000, "completion_tokens": 0, "total_tokens": 100_000}
PRICES = {"input_cost_per_token": 0.000001, "output_cost_per_token": 0.00001}


class Gateway:
    """A gateway whose calls cost ten cents, and the hooks it calls."""

    def __init__(self) -> None:
        self.heard: list[OutboundRequest] = []
        self.status = 200
        self.wired: Wired

    async def start(
        self, *, alerting: Sequence[str] = ("webhook",), alerts: Any = None, others: Sequence[Any] = (), **general: Any
    ) -> "Gateway":
        self.wired = await wire(
            self._answer,
            model("fast", "openai/gpt-5-mini", "http://x.test/v1", model_info=PRICES),
            *others,
            env=HOOKS,
            general_settings={"alerting": list(alerting), **general},
            tollkeeper={"alerts": alerts} if alerts else {},
        )
        return self

    def _answer(self, request: OutboundRequest) -> Said:
        if "x.test" in request.url:
            return Said(body={**completion(), "usage": USAGE})
        self.heard.append(request)
        return Said(status=self.status, body={})

    async def call(self, key: str, times: int = 1) -> None:
        for _ in range(times):
            assert (await self.wired.chat(key, messages=[{"role": "user", "content": "x" * 110_000}], max_tokens=1)).status_code == 200
        await self.wired.running.drain()

    async def deliver(self) -> None:
        assert self.wired.running.alerting is not None
        await self.wired.running.alerting.courier.deliver()

    async def look(self) -> None:
        """What the fleet does once a day."""
        running = self.wired.running
        assert running.pump is not None
        assert running.watch is not None
        await running.pump.catch_up()
        await running.watch.look()
        await self.deliver()

    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(request.body) for request in self.heard if request.url == HOOKS["WEBHOOK_URL"]]


async def test_a_budget_that_runs_out_is_told_at_each_threshold_once() -> None:
    gateway = await Gateway().start()
    key = await gateway.wired.new_key(max_budget=1, key_alias="batch-jobs", soft_budget=0.35)
    await gateway.call(key, times=8)
    await gateway.deliver()
    await gateway.deliver()
    told = sorted((event["event"], round(event["spend"], 2), event["max_budget"]) for event in gateway.events())
    assert told == [("soft_budget_crossed", 0.4, 1.0), ("threshold_crossed", 0.8, 1.0)]
    [soft, crossed] = sorted(gateway.events(), key=lambda event: event["event"])
    assert (soft["event_group"], soft["soft_budget"]) == ("key", 0.35)
    assert "80% of a budget is spent: key " in crossed["event_message"]


async def test_two_processes_tell_it_once() -> None:
    gateway = await Gateway().start()
    ledger, clock = gateway.wired.running.installation.store.ledger, gateway.wired.clock
    boards = [Board(ledger, clock), Board(ledger, clock)]
    alert = Alert("spend_anomaly", "team#blue", "2026-11-20", "unusual")
    assert [await board.put_up(alert) for board in (*boards, *boards)] == [True, False, False, False]


async def test_a_channel_that_fails_is_tried_again_and_keeps_nobody_waiting() -> None:
    gateway = await Gateway().start(alerting=["webhook", "slack"])

    class Broken:
        name = "slack"
        well = False
        taken: list[str] = []  # noqa: RUF012 - one instance

        async def deliver(self, alerts: Sequence[Alert]) -> None:
            if not self.well:
                raise NotDelivered("HTTP 500")
            self.taken += [alert.kind for alert in alerts]

    class Fine(Broken):
        name = "webhook"
        well = True
        taken: list[str] = []  # noqa: RUF012 - one instance

    ledger, clock = gateway.wired.running.installation.store.ledger, gateway.wired.clock
    board, broken, fine = Board(ledger, clock), Broken(), Fine()
    courier = Courier(board, [broken, fine], clock)
    await board.put_up(Alert("provider_outage", "d1", "1", "down"))
    assert await courier.deliver() == 0
    assert await courier.deliver() == 0
    assert (broken.taken, fine.taken) == ([], ["provider_outage"])
    broken.well = True
    assert await courier.deliver() == 1
    assert (broken.taken, fine.taken) == (["provider_outage"], ["provider_outage"])
    assert await courier.deliver() == 0
    assert [alert.message for alert in await board.told()] == ["down"]


async def test_a_digest_waits_and_goes_out_as_one() -> None:
    gateway = await Gateway().start(alerting=["slack", "teams"], alerts={"digest_minutes": 60})
    running = gateway.wired.running
    assert running.alerting is not None
    for number in range(3):
        await running.alerting.board.put_up(Alert("spend_anomaly", f"team#{number}", "1", f"<team {number}> & more"))
    await gateway.deliver()
    assert gateway.heard == []
    gateway.wired.clock.advance(3601)
    await gateway.deliver()
    slack, teams = gateway.heard
    text = orjson.loads(slack.body)["text"]
    assert text.count("\n") == 2
    assert "&lt;team 0&gt; &amp; more" in text
    card = orjson.loads(teams.body)["attachments"][0]["content"]
    assert (card["type"], card["body"][0]["text"], len(card["body"])) == ("AdaptiveCard", "Tollkeeper: 3 alerts", 4)


async def test_only_the_types_that_are_wanted() -> None:
    gateway = await Gateway().start(alert_types=["outage_alerts"])
    await gateway.call(await gateway.wired.new_key(max_budget=1), times=8)
    running = gateway.wired.running
    assert running.alerting is not None
    assert await running.alerting.board.put_up(Alert("provider_outage", "d1", "1", "down"))
    await gateway.deliver()
    assert [event["event"] for event in gateway.events()] == ["provider_outage"]


async def test_without_alerting_nothing_is_written() -> None:
    gateway = await Gateway().start(alerting=[])
    await gateway.call(await gateway.wired.new_key(max_budget=1), times=8)
    page = await gateway.wired.running.installation.store.ledger.query("alerts/pending", index="gsi1")
    assert page.items == []


async def test_amazons_channels_are_signed() -> None:
    from tollkeeper.alerts.channels import Mail, Signed, Topic
    from tollkeeper.store.aws import Credentials, StaticCredentials

    heard: list[tuple[str, dict[str, str], bytes]] = []

    async def send(method: str, url: str, headers: Any, body: bytes, timeout: float) -> tuple[int, dict[str, str], bytes]:
        heard.append((url, dict(headers), body))
        return 200, {}, b""

    gateway = await Gateway().start()
    signed = Signed(send, StaticCredentials(Credentials("AKID", "secret")), "eu-west-1", None, gateway.wired.clock)
    alerts = [Alert("budget_crossed", "team#blue", "total", "100% of a budget\nis spent")]
    await Topic(signed, "arn:aws:sns:eu-west-1:1:alerts").deliver(alerts)
    await Mail(signed, "gateway@example.com", ["finance@example.com"]).deliver(alerts)
    (sns, headers, form), (ses, _, mail) = heard
    assert (sns, ses) == ("https://sns.eu-west-1.amazonaws.com/", "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails")
    assert "/eu-west-1/sns/aws4_request" in headers["authorization"]
    fields = parse_qs(form.decode())
    assert (fields["Action"], fields["Subject"]) == (["Publish"], ["Tollkeeper: 100% of a budget is spent"])
    assert orjson.loads(mail)["Content"]["Simple"]["Subject"]["Data"] == "Tollkeeper: 100% of a budget is spent"


async def test_a_channel_without_what_it_needs_is_one_clear_line() -> None:
    with pytest.raises(ConfigError, match=r"needs tollkeeper.alerts.sns_topic"):
        await Gateway().start(alerting=["sns"])


def test_an_unknown_channel_is_listed() -> None:
    snapshot = compile_config("model_list: []\ngeneral_settings: {alerting: [slack, pagerduty]}\n", env={}.get)
    assert "general_settings.alerting[1]" in snapshot.unsupported


async def test_a_provider_that_fails_is_told_once_an_hour() -> None:
    gateway = await Gateway().start(others=[model("fast", "openai/gpt-5-mini", "http://broken.test/v1", model_info=PRICES)])
    gateway.wired.transport.answer = lambda request: Said(status=500, body={}) if "broken" in request.url else gateway._answer(request)
    for _ in range(30):
        gateway.wired.clock.advance(2)
        assert (await gateway.wired.chat()).status_code == 200
    await gateway.wired.running.drain()
    await gateway.deliver()
    [event] = gateway.events()
    assert event["event"] == "provider_outage"
    assert "openai/gpt-5-mini fails" in event["event_message"]


async def test_a_day_that_was_unusual_is_told_once_for_the_whole_fleet() -> None:
    gateway = await Gateway().start()
    wired, running = gateway.wired, gateway.wired.running
    key = await wired.new_key(key_alias="jobs")
    quiet, storm = 20, 40
    for day in range(quiet + 1):
        await gateway.call(key, times=storm if day == quiet else 1)
        wired.clock.advance(86_400)
    assert running.pump is not None
    await running.pump.catch_up()
    others = Running(running.installation, running.pepper)
    assert running.watch is not None
    assert others.watch is not None
    assert [await watch.look() for watch in (running.watch, others.watch, running.watch)] == [1, 0, 0]
    await gateway.deliver()
    [event] = [each for each in gateway.events() if each["event"] == "spend_anomaly"]
    assert event["event_group"] == "key"
    assert "on such days it spends about $0.1" in event["event_message"]
    assert event["event_message"].startswith("key jobs spent $4")


async def test_a_budget_that_will_not_last_is_told_once_for_each_window_and_size() -> None:
    """Ten cents a day: thirty-one of them are too many for a month's two dollars, and few enough for five."""
    gateway = await Gateway().start(alerts={"thresholds": []})
    wired = gateway.wired
    wired.clock.advance(datetime(2026, 10, 1, 12, tzinfo=UTC).timestamp() - wired.clock.now())
    team = await wired.admin("POST", "/team/new", {"team_alias": "Blue", "max_budget": 5, "budget_duration": "30d"})
    key = await wired.new_key(key_alias="jobs", team_id=team.json()["team_id"], max_budget=2, budget_duration="30d")
    for _ in range(4):
        await gateway.call(key)
        wired.clock.advance(86_400)
        await gateway.look()
    [event] = gateway.events()
    assert (event["event"], event["event_group"], event["key_alias"]) == ("projected_limit_exceeded", "key", "jobs")
    assert (event["spend"], event["max_budget"], event["projected_exceeded_date"]) == (0.3, 2.0, "2026-10-20")
    assert event["projected_spend"] == pytest.approx(3.1)
    assert "is reset on 2026-11-01" in event["event_message"]


async def test_a_budget_for_life_is_looked_ahead_a_fortnight_and_one_that_is_gone_not_at_all() -> None:
    gateway = await Gateway().start(alerts={"thresholds": []})
    wired = gateway.wired
    keys = [await wired.new_key(key_alias=name, max_budget=cap) for name, cap in (("soon", 1), ("later", 9), ("gone", 1))]
    for day in range(3):
        for key in keys:
            await gateway.call(key)
        if day == 2:
            await wired.admin("POST", "/key/update", {"key": keys[2], "max_budget": 0.2})
        wired.clock.advance(86_400)
        await gateway.look()
    assert [event["key_alias"] for event in gateway.events()] == ["soon"]


async def test_an_administrator_may_try_a_channel() -> None:
    gateway = await Gateway().start()
    key = await gateway.wired.new_key()
    client = gateway.wired.client
    assert (await client.get("/health/services?service=webhook", headers={"authorization": f"Bearer {key}"})).status_code == 403
    await gateway.wired.admin("POST", "/user/new", {"user_id": "watcher", "user_role": "proxy_admin_viewer", "auto_create_key": False})
    watching = {"authorization": f"Bearer {await gateway.wired.new_key(user_id='watcher')}"}
    assert (await client.get("/health/latest", headers=watching)).status_code == 200
    assert (await client.get("/health/services?service=webhook", headers=watching)).status_code == 403
    assert gateway.events() == []
    assert (await gateway.wired.admin("GET", "/health/services?service=webhook")).json()["status"] == "success"
    assert [event["event"] for event in gateway.events()] == ["test"]
    gateway.status = 500
    told = (await gateway.wired.admin("GET", "/health/services?service=webhook")).json()
    assert told["status"] == "unhealthy"
    assert HOOKS["WEBHOOK_URL"] not in told["message"]
    assert (await gateway.wired.admin("GET", "/health/services?service=pager")).status_code == 404
    assert (await gateway.wired.admin("GET", "/health/services")).json()["error"]["param"] == "service"
    quiet = await Gateway().start(alerting=[])
    assert (await quiet.wired.admin("GET", "/health/services?service=slack")).status_code == 404
