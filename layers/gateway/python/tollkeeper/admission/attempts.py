"""One try of an admitted call at one deployment: room in the budgets, the request in its words, the provider's answer, what it cost."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from tollkeeper.admission.doorkeeper import Doorkeeper
from tollkeeper.admission.visit import Visit
from tollkeeper.clock import Clock
from tollkeeper.dialects.base import Json
from tollkeeper.dialects.openai_mend import said_bytes
from tollkeeper.dialects.usage import Usage, usage_from_hub
from tollkeeper.errors import UpstreamTimeout
from tollkeeper.ledger.metered import Opened, open_stream
from tollkeeper.providers.client import ProviderClient, may_have_been_billed
from tollkeeper.providers.patience import Patience, patience_for
from tollkeeper.providers.scripted import rehearsed_failure
from tollkeeper.routing.plan import Attempt


@dataclass(frozen=True, slots=True)
class Result:
    """What a successful try brought: a body or a stream, in the endpoint's own words if `native`, else the hub's. `usage` as in the hub;
    `headers` are the provider's.
    """

    native: bool
    headers: Mapping[str, str]
    body: Json | None = None
    opened: Opened | None = None
    usage: Json | None = None


def note_answer(visit: Visit, result: Result) -> None:
    """What an answer says of what it used; a stream says it later (ledger/metered.py)."""
    account = visit.account
    account.stated(visit.call.exactly)
    if result.opened is not None:
        return
    body = result.body or {}
    account.stated(result.usage, body.get("service_tier"))
    account.first_token()
    if not result.usage:
        account.received(answer_bytes(body))
    if account.transcript is not None:
        account.transcript.body = result.body


class Attempts:
    """One per process."""

    def __init__(self, doorkeeper: Doorkeeper, client: ProviderClient, clock: Clock) -> None:
        self._doorkeeper, self._client, self._clock = doorkeeper, client, clock

    async def try_one(self, visit: Visit, step: Attempt) -> Result:
        """Raises TollkeeperError; what a failed try may have cost is then on the account."""
        call, deployment, account = visit.call, step.deployment, visit.account
        async with visit.door:
            limited = await self._doorkeeper.enter(
                visit.ticket, call.raw, deployment, account.lost_cost, beside=1 if step.trial == "hedge" else 0
            )
        dialect, body = visit.wording(deployment, limited)
        account.attempted(deployment, fallback=step.fallback)
        alias = call.shown_model
        patience = patience_for(call.body, call.headers, deployment, visit.left(self._clock), at_most=_impatience(step))
        began = self._clock.monotonic()
        try:
            if not step.fallback and (failure := rehearsed_failure(call.body)) is not None:
                raise failure
            async with asyncio.timeout(patience.first_byte if call.streamed else patience.whole):
                if call.streamed:
                    opened = await open_stream(await self._client.stream(deployment, alias, body, patience, dialect))
                    result = Result(dialect is not None, opened.stream.headers, opened=opened)
                else:
                    done = await self._client.complete(deployment, alias, body, patience, dialect)
                    usage = dialect.usage(done.body) if dialect is not None else done.body.get("usage")
                    result = Result(dialect is not None, done.headers, done.body, usage=usage)
        except BaseException as error:
            if may_have_been_billed(error):
                account.lost(Usage(input=visit.input_estimate(deployment)), deployment)
            if isinstance(error, TimeoutError):
                raise UpstreamTimeout(f"Timeout: {deployment.provider} did not answer in time.") from None
            raise
        finally:
            account.upstream += self._clock.monotonic() - began
        account.answered(deployment)
        return result

    async def put_away(self, visit: Visit, step: Attempt, result: Result) -> None:
        """An answer nobody needs: it has been billed all the same."""
        stated = result.usage
        if result.opened is not None:
            stated = result.opened.stream.stated_usage
            await result.opened.stream.aclose()
        estimate = Usage(input=visit.input_estimate(step.deployment))
        visit.account.lost(usage_from_hub(stated) if stated else estimate, step.deployment)


def answer_bytes(body: Json) -> int:
    """How much a buffered answer says, for an estimate where its provider counted no tokens. Never less than its text."""
    if choices := body.get("choices"):
        messages = [choice.get("message") or choice.get("text") for choice in choices if isinstance(choice, dict)]
        return sum(said_bytes(message) if isinstance(message, dict) else len(orjson.dumps(message)) for message in messages)
    return sum(len(orjson.dumps(body[name])) for name in _ANSWERS if body.get(name))


_ANSWERS = ("content", "output", "candidates")
"""Where Messages, Responses and Gemini have their answers."""


def _impatience(step: Attempt) -> Patience | None:
    """What the group's `latency` allows a try that has an alternative."""
    limits = step.group.policy.latency if step.group is not None else None
    if limits is None or step.last or (limits.first_token is None and limits.whole is None):
        return None
    return Patience(limits.first_token or float("inf"), limits.whole or float("inf"))
