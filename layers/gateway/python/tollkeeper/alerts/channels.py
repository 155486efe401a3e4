"""The ways out: a webhook with LiteLLM's JSON, Slack, Microsoft Teams, an SNS topic, e-mail through SES. Each takes several at once."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import urlencode

import orjson

from tollkeeper.alerts.alert import Alert, webhook_json
from tollkeeper.clock import Clock, iso
from tollkeeper.store.aws import CredentialSource, HttpSend, endpoint_of, sign

TIMEOUT_SECONDS = 10.0
Url = Callable[[], Awaitable[str]]
"""Resolved at each use: a webhook's URL is a secret, and may be rotated."""


class NotDelivered(Exception):
    """The channel did not take it; it is offered again. The message goes to the log and holds no URL."""


class Channel(Protocol):
    @property
    def name(self) -> str: ...

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Raises NotDelivered."""
        ...


class Webhook:
    """One POST for each alert, as LiteLLM does it."""

    name = "webhook"

    def __init__(self, send: HttpSend, url: Url) -> None:
        self._send, self._url = send, url

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            await _post(self._send, await self._url(), webhook_json(alert))


class Slack:
    """One message. https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks"""

    name = "slack"

    def __init__(self, send: HttpSend, url: Url) -> None:
        self._send, self._url = send, url

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        await _post(self._send, await self._url(), {"text": _slack_text(alerts)})


class Teams:
    """One adaptive card. https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using"""

    name = "teams"

    def __init__(self, send: HttpSend, url: Url) -> None:
        self._send, self._url = send, url

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        lines = [{"type": "TextBlock", "text": line, "wrap": True} for line in _lines(alerts)]
        head = {"type": "TextBlock", "text": subject_of(alerts), "weight": "Bolder", "size": "Medium", "wrap": True}
        card = {"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4"}
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": {**card, "body": [head, *lines]}}
        await _post(self._send, await self._url(), {"type": "message", "attachments": [attachment]})


class Signed:
    """What the channels on AWS have in common."""

    def __init__(self, send: HttpSend, credentials: CredentialSource, region: str, endpoint: str | None, clock: Clock) -> None:
        self._send, self._credentials, self._region, self._endpoint, self._clock = send, credentials, region, endpoint, clock

    async def post(self, service: str, path: str, content_type: str, body: bytes, host: str = "") -> None:
        url = (self._endpoint or endpoint_of(host or service, self._region)).rstrip("/") + path
        headers = sign(
            "POST",
            url,
            {"content-type": content_type},
            body,
            service=service,
            region=self._region,
            credentials=await self._credentials.get(),
            now=self._clock.now(),
        )
        await _sent(self._send, url, headers, body)


class Topic:
    """https://docs.aws.amazon.com/sns/latest/api/API_Publish.html"""

    name = "sns"

    def __init__(self, aws: Signed, topic: str) -> None:
        self._aws, self._topic = aws, topic

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        fields = {"Action": "Publish", "Version": "2010-03-31", "TopicArn": self._topic}
        fields |= {"Subject": subject_of(alerts)[:100], "Message": text_of(alerts)}
        await self._aws.post("sns", "/", "application/x-www-form-urlencoded; charset=utf-8", urlencode(fields).encode())


class Mail:
    """https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html"""

    name = "email"

    def __init__(self, aws: Signed, sender: str, recipients: Sequence[str]) -> None:
        self._aws, self._sender, self._recipients = aws, sender, list(recipients)

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        simple = {"Subject": {"Data": subject_of(alerts)}, "Body": {"Text": {"Data": text_of(alerts)}}}
        body = {"FromEmailAddress": self._sender, "Destination": {"ToAddresses": self._recipients}, "Content": {"Simple": simple}}
        await self._aws.post("ses", "/v2/email/outbound-emails", "application/json", orjson.dumps(body), host="email")


def subject_of(alerts: Sequence[Alert]) -> str:
    """One line of plain text: it becomes a mail's subject."""
    if len(alerts) > 1:
        return f"Tollkeeper: {len(alerts)} alerts"
    return f"Tollkeeper: {' '.join(alerts[0].message.split())}"[:200]


def text_of(alerts: Sequence[Alert]) -> str:
    return "\n".join(_lines(alerts)) + "\n"


def _lines(alerts: Sequence[Alert]) -> list[str]:
    return [f"{iso(alert.created)[:16].replace('T', ' ')} UTC  {alert.kind}: {alert.message}" for alert in alerts]


def _slack_text(alerts: Sequence[Alert]) -> str:
    """Names are callers' own: Slack's three control characters are taken from them."""
    lines = [f"*{alert.kind}* {alert.message.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')}" for alert in alerts]
    return "\n".join(lines)


async def _post(send: HttpSend, url: str, body: Any) -> None:
    await _sent(send, url, {"content-type": "application/json"}, orjson.dumps(body))


async def _sent(send: HttpSend, url: str, headers: Mapping[str, str], body: bytes) -> None:
    try:
        status, _, _ = await send("POST", url, headers, body, TIMEOUT_SECONDS)
    except OSError as error:
        raise NotDelivered("timeout" if isinstance(error, TimeoutError) else "no connection") from None
    if not 200 <= status < 300:
        raise NotDelivered(f"HTTP {status}")
