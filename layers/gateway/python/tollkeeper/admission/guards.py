"""Guardrails around one call: which of them it must pass, and what becomes of it.

    pre_call     in a row, before the first try; each reads what the one before it left
    during_call  all at once, beside the call; no answer leaves before they are done
    post_call    in a row, on the answer; a stream is held back until it is whole

A guardrail is asked because it is `default_on`, or because the request, its key, team or project names it. Nobody can name one away: only a
key's or team's `disable_global_guardrails` leaves out those that are on by default.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from tollkeeper.admission.attempts import Result
from tollkeeper.admission.doorkeeper import Doorkeeper
from tollkeeper.admission.payer import Payer
from tollkeeper.admission.visit import Guarding, Visit
from tollkeeper.auth.principal import Principal
from tollkeeper.budgets.estimate import output_tokens
from tollkeeper.config.snapshot import Guardrail
from tollkeeper.dialects.base import Chunk, Json
from tollkeeper.dialects.native import CONTENT_TYPE, RAW
from tollkeeper.dialects.usage import Usage
from tollkeeper.errors import BadRequest, Forbidden
from tollkeeper.guardrails.check import PASS, Asked, Check, CheckFailed, CredentialRefused, GuardrailBlocked, GuardrailUnavailable, Verdict
from tollkeeper.guardrails.streamed import Whole
from tollkeeper.guardrails.texts import ANSWERED, ASKED, forget_logprobs, replaced, slots_of
from tollkeeper.ledger.metered import InspectedStream, MeteredStream, OnEnd, Opened

_SPARED = "disable_global_guardrails"
"""Of a key or team, as LiteLLM has it."""
APPLIED = "x-litellm-applied-guardrails"
log = logging.getLogger("tollkeeper.guardrails")


@dataclass(frozen=True, slots=True)
class Named:
    """What a request asks for: names, each with what it has for that guardrail."""

    names: Mapping[str, Mapping[str, Any]]
    shared: Mapping[str, Any]

    def extras(self) -> dict[str, Mapping[str, Any]]:
        return {name: {**self.shared, **extra} for name, extra in self.names.items()}


class Guards:
    """One per process."""

    def __init__(self, rows: Mapping[str, tuple[Guardrail, Check]], doorkeeper: Doorkeeper) -> None:
        self.rows = rows
        self._doorkeeper = doorkeeper

    def asks_of(self, principal: Principal) -> bool:
        """Whether any is asked whatever a request says. Raises BadRequest for a name nobody has."""
        return bool(self._chosen(principal, _named({})))

    async def before(self, visit: Visit) -> Visit:
        """The call as it may go out. Raises GuardrailBlocked, GuardrailUnavailable, BadRequest for a name nobody has, BudgetExceeded."""
        payer = visit.ticket.payer
        if payer is None or (not self.rows and not _says_anything(visit.call.body, payer.principal)):
            return visit
        guarding = self._guarding(payer, _named(visit.call.body), _asked(visit))
        if not guarding.names:
            return visit
        visit = replace(visit, guarding=guarding)
        visit.account.entry.guardrails = guarding.names
        texts = [slot.text for slot in slots_of(visit.call.body, ASKED)]
        changed = await self._in_a_row(guarding, "pre_call", texts)
        if changed != texts:
            visit = await self._reworded(visit, changed)
        for name in guarding.of("during_call") if changed else ():
            guarding.beside.append(asyncio.ensure_future(self._verdict(name, "during_call", changed, guarding)))
        return visit

    async def after(self, visit: Visit, result: Result) -> None:
        """Changes the answer's texts in place; a stream's are read by `stream`. Raises GuardrailBlocked, GuardrailUnavailable."""
        try:
            await asyncio.gather(*visit.guarding.beside)
        except BaseException:
            if result.opened is not None:
                await _put_away(visit, result.opened)
            raise
        if result.body is not None and visit.guarding.of("post_call"):
            await self._answer(visit.guarding, result.body)

    def stream(self, visit: Visit, opened: Opened, on_end: OnEnd) -> MeteredStream:
        if not visit.guarding.of("post_call"):
            return MeteredStream(opened, visit.account, on_end)
        return InspectedStream(opened, visit.account, on_end, lambda chunks: self._inspect(visit.guarding, chunks))

    async def verdict(self, name: str, texts: Sequence[str], asked: Asked) -> tuple[str, ...]:
        """For who asks a guardrail by itself: the texts as it leaves them. Raises as `before` does."""
        row, check = self.rows[name]
        verdict = await _asked_of(row, check, texts, asked)
        _raise_refusal(row, verdict, "pre_call")
        return tuple(texts) if verdict.texts is None else verdict.texts

    def _chosen(self, principal: Principal, named: Named) -> list[Guardrail]:
        key, team, project = principal.key, principal.team, principal.project
        theirs = dict.fromkeys((*key.guardrails, *(team.guardrails if team else ()), *(project.guardrails if project else ())))
        for name in theirs:
            if name not in self.rows:
                raise BadRequest(
                    f"This key's calls must pass the guardrail {name!r}, which this gateway does not have.", param="guardrails"
                )
        for name in named.names:
            if name not in self.rows:
                known = ", ".join(self.rows) or "none"
                raise BadRequest(f"There is no guardrail {name[:200]!r}. There is: {known}.", param="guardrails")
        records = (key, team) if team else (key,)
        spared = any(_SPARED in {name for name, on in {**each.extra, **each.metadata}.items() if on is True} for each in records)
        return [row for row, _ in self.rows.values() if row.name in theirs or row.name in named.names or (row.default_on and not spared)]

    async def _reworded(self, visit: Visit, texts: Sequence[str]) -> Visit:
        body = replaced(visit.call.body, ASKED, texts)
        # The body of a form holds files, which are no JSON. What bounds the cost is the longer of the two.
        raw = max(visit.call.raw, orjson.dumps(body, default=lambda _: None), key=len)
        call = replace(visit.call, body=body, raw=raw)
        await self._doorkeeper.reworded(visit.ticket, body, call.raw, visit.plan.deployments())
        return replace(visit, call=call)

    async def raw(self, payer: Payer, body: Json, call_id: str) -> Json:
        """The body of a raw call as it may go out. Its answer is passed on unread: a guardrail of answers refuses the call. Raises
        GuardrailBlocked, GuardrailUnavailable, Forbidden.
        """
        principal = payer.principal
        if not self.rows and not _says_anything({}, principal):
            return body
        guarding = self._guarding(payer, _named({}), Asked(call_id, key_hash=principal.key_hash, team_id=principal.team_id))
        if needed := guarding.of("post_call"):
            raise Forbidden(
                f"Answers must pass the guardrail {needed[0]}, which cannot read those of raw provider APIs.", type="auth_error"
            )
        texts = [slot.text for slot in slots_of(body, ASKED)]
        for stage in ("pre_call", "during_call"):
            changed = await self._in_a_row(guarding, stage, texts)
            body, texts = replaced(body, ASKED, changed) if changed != texts else body, changed
        return body

    def _guarding(self, payer: Payer, named: Named, asked: Asked) -> Guarding:
        chosen = self._chosen(payer.principal, named)
        stages = {row.name: row.stages_for(payer.tags) for row in chosen}
        return Guarding(tuple(stages), replace(asked, extra=named.extras()), stages)

    async def _inspect(self, guarding: Guarding, chunks: list[Chunk]) -> None:
        whole = Whole(chunks)
        # Some streams say a text piece by piece and once more at their end: it is read once.
        distinct = list(dict.fromkeys(whole.texts))
        changed = await self._in_a_row(guarding, "post_call", distinct)
        after = dict(zip(distinct, changed, strict=True))
        whole.put([after[text] for text in whole.texts])

    async def _answer(self, guarding: Guarding, body: Json) -> None:
        if RAW in body:
            if str(body.get(CONTENT_TYPE, "")).startswith("text/"):
                [text] = await self._in_a_row(guarding, "post_call", [body[RAW].decode(errors="replace")])
                body[RAW] = text.encode()
            return
        slots = slots_of(body, ANSWERED)
        texts = [slot.text for slot in slots]
        changed = await self._in_a_row(guarding, "post_call", texts)
        if changed != texts:
            forget_logprobs(body)
        for slot, text in zip(slots, changed, strict=True):
            slot.put(text)

    async def _in_a_row(self, guarding: Guarding, stage: str, texts: list[str]) -> list[str]:
        for name in guarding.of(stage) if texts else ():
            verdict = await self._verdict(name, stage, texts, guarding)
            texts = texts if verdict.texts is None else list(verdict.texts)
        return texts

    async def _verdict(self, name: str, stage: str, texts: Sequence[str], guarding: Guarding) -> Verdict:
        row, check = self.rows[name]
        asked = replace(guarding.asked, side="response" if stage == "post_call" else "request", extra=guarding.asked.extra.get(name, {}))
        verdict = await _asked_of(row, check, texts, asked)
        _raise_refusal(row, verdict, stage)
        return verdict


async def _asked_of(row: Guardrail, check: Check, texts: Sequence[str], asked: Asked) -> Verdict:
    try:
        try:
            return await check.check(texts, asked)
        except CredentialRefused:
            return await check.check(texts, asked)
    except CheckFailed as error:
        log.warning("guardrail_failed %s %s %s", row.name, asked.call_id, error)
        if row.fail_open:
            return PASS
        raise GuardrailUnavailable(f"The guardrail {row.name} gave no verdict, and no call may pass without it. Try again later.") from None


def _raise_refusal(row: Guardrail, verdict: Verdict, stage: str) -> None:
    if verdict.refused is None:
        return
    message = row.message.replace("{default_message}", verdict.refused) if row.message else verdict.refused
    fields = {"error": message, **verdict.details, "guardrail_name": row.name, "guardrail_mode": stage}
    headers = {APPLIED: row.name}
    raise GuardrailBlocked(message, code="guardrail_blocked", extra={"provider_specific_fields": fields}, headers=headers)


async def _put_away(visit: Visit, opened: Opened) -> None:
    """A stream nobody gets: it is charged for what has come of it."""
    await opened.stream.aclose()
    if (stated := opened.stream.stated_usage) is not None:
        visit.account.stated(stated)
    elif (deployment := visit.account.deployment) is not None:
        received = output_tokens(sum(chunk.text_bytes for chunk in opened.first))
        visit.account.lost(Usage(input=visit.input_estimate(deployment), output=received), deployment)


def _says_anything(body: Json, principal: Principal) -> bool:
    groups = (principal.key, principal.team, principal.project)
    return "guardrails" in body or "metadata" in body or any(record is not None and record.guardrails for record in groups)


def _named(body: Json) -> Named:
    """`["a"]`, `[{"a": {"extra_body": {…}}}]` or `{"a": {"extra_body": {…}}}`, in the request or its metadata. Raises BadRequest."""
    metadata = body.get("metadata")
    given = [body.get("guardrails"), metadata.get("guardrails") if isinstance(metadata, dict) else None]
    names: dict[str, Mapping[str, Any]] = {}
    for said in given:
        for entry in said if isinstance(said, list) else [said] if said is not None else []:
            if isinstance(entry, str):
                names.setdefault(entry, {})
            elif isinstance(entry, dict):
                names.update({name: _extra(terms) for name, terms in entry.items() if terms is not False})
            else:
                raise BadRequest("'guardrails' must be a list of names, or an object of names with their `extra_body`.", param="guardrails")
    shared = body.get("guardrail_config")
    return Named(names, shared if isinstance(shared, dict) else {})


def _extra(terms: Any) -> Mapping[str, Any]:
    extra = terms.get("extra_body") if isinstance(terms, dict) else None
    return extra if isinstance(extra, dict) else {}


def _asked(visit: Visit) -> Asked:
    entry, tools = visit.account.entry, visit.call.body.get("tools")
    return Asked(
        call_id=visit.call.shown_id,
        model=visit.call.shown_model,
        key_hash=entry.key_hash,
        key_alias=entry.key_alias,
        user_id=entry.user_id,
        team_id=entry.team_id,
        customer_id=entry.customer_id,
        organization_id=entry.organization_id,
        tools=tuple(tools) if isinstance(tools, list) else (),
    )
