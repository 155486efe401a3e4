"""Checks that another service makes: what is asked of it, and what its answer means. Each is one POST, except Presidio's two.

Nothing of a text goes into a log; what a service says of it may go to the caller, whose text it is.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from tollkeeper.config.snapshot import Guardrail
from tollkeeper.dialects.base import Json
from tollkeeper.guardrails.check import PASS, Asked, CheckFailed, Verdict

Post = Callable[[str, Json, Mapping[str, str]], Awaitable[Any]]
"""(URL, JSON, headers) → the JSON of a 2xx answer. Raises CheckFailed."""
SignedPost = Callable[[str, Json], Awaitable[Any]]
"""The same to Bedrock: (path, JSON)."""
Credential = Callable[[str], Awaitable[str | None]]

GENERIC_PATH = "/beta/litellm_basic_guardrail_api"


@dataclass(frozen=True, slots=True)
class GenericApi:
    """LiteLLM's contract for services of anybody's. https://docs.litellm.ai/docs/adding_provider/generic_guardrail_api"""

    row: Guardrail
    post: Post
    credential: Credential

    async def check(self, texts: Sequence[str], asked: Asked) -> Verdict:
        key = await self.credential("api_key")
        headers = {name: str(value) for name, value in self.row.terms["headers"].items()} | ({"x-api-key": key} if key else {})
        url = self.row.url if self.row.url.endswith(GENERIC_PATH) else self.row.url + GENERIC_PATH
        said = await self.post(url, self._question(texts, asked), headers)
        action = said.get("action") if isinstance(said, dict) else None
        if action == "BLOCKED":
            return Verdict(str(said.get("blocked_reason") or "Content blocked"))
        if action == "NONE":
            return PASS
        if action != "GUARDRAIL_INTERVENED":
            raise CheckFailed("it answered without an action")
        return _changed(said.get("texts"), texts) if said.get("texts") is not None else PASS

    def _question(self, texts: Sequence[str], asked: Asked) -> Json:
        return {
            "texts": list(texts),
            "input_type": asked.side,
            **({"tools": list(asked.tools)} if asked.tools and asked.side == "request" else {}),
            "litellm_call_id": asked.call_id,
            "litellm_trace_id": asked.call_id,
            "request_data": {
                "user_api_key_hash": asked.key_hash,
                "user_api_key_alias": asked.key_alias,
                "user_api_key_user_id": asked.user_id,
                "user_api_key_team_id": asked.team_id,
                "user_api_key_end_user_id": asked.customer_id,
                "user_api_key_org_id": asked.organization_id,
            },
            "additional_provider_specific_params": {**self.row.terms["additional_provider_specific_params"], **asked.extra},
        }


@dataclass(frozen=True, slots=True)
class OpenAIModeration:
    """https://platform.openai.com/docs/api-reference/moderations"""

    row: Guardrail
    post: Post
    credential: Credential

    async def check(self, texts: Sequence[str], asked: Asked) -> Verdict:
        key = await self.credential("api_key")
        url = (self.row.url or "https://api.openai.com/v1").removesuffix("/moderations") + "/moderations"
        headers = {"authorization": f"Bearer {key}"} if key else {}
        said = await self.post(url, {"model": self.row.terms["model"], "input": list(texts)}, headers)
        try:
            flagged = [row for row in said["results"] if row["flagged"]]
            categories = sorted({name for row in flagged for name, found in row["categories"].items() if found})
        except (KeyError, TypeError, AttributeError):
            raise CheckFailed("it answered without results") from None
        if not flagged:
            return PASS
        return Verdict("Violated OpenAI moderation policy", details={"violated_categories": categories})


@dataclass(frozen=True, slots=True)
class Bedrock:
    """https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ApplyGuardrail.html"""

    row: Guardrail
    post: SignedPost

    async def check(self, texts: Sequence[str], asked: Asked) -> Verdict:
        terms = self.row.terms
        path = f"/guardrail/{quote(terms['guardrailIdentifier'], safe='')}/version/{quote(terms['guardrailVersion'], safe='')}/apply"
        source = "INPUT" if asked.side == "request" else "OUTPUT"
        said = await self.post(path, {"source": source, "content": [{"text": {"text": text}} for text in texts]})
        if not isinstance(said, dict) or said.get("action") not in {"NONE", "GUARDRAIL_INTERVENED"}:
            raise CheckFailed("it answered without an action")
        if said["action"] == "NONE":
            return PASS
        outputs = [str(row.get("text", "")) for row in said.get("outputs") or () if isinstance(row, dict)]
        masks = terms["mask_request_content"] if asked.side == "request" else terms["mask_response_content"]
        if masks and not _refuses(said.get("assessments")):
            return _changed(outputs, texts)
        reason = outputs[0] if outputs else "Violated guardrail policy"
        return Verdict("Violated guardrail policy", details={"bedrock_guardrail_response": reason})


@dataclass(frozen=True, slots=True)
class Presidio:
    """Analyzer and anonymizer. https://microsoft.github.io/presidio/api-docs/api-docs.html"""

    row: Guardrail
    post: Post
    analyzer: str
    anonymizer: str

    async def check(self, texts: Sequence[str], asked: Asked) -> Verdict:
        changed = []
        for text in texts:
            found = await self._found(text, asked)
            for row in found:
                if self.row.terms["pii_entities_config"].get(row["entity_type"]) == "BLOCK":
                    kind = row["entity_type"]
                    message = f"Blocked PII entity detected: {kind} by Guardrail: {self.row.name}."
                    return Verdict(message, details={"entity_type": kind})
            changed.append(await self._anonymized(text, found) if found else text)
        return Verdict(texts=tuple(changed)) if changed != list(texts) else PASS

    async def _found(self, text: str, asked: Asked) -> list[Json]:
        terms = self.row.terms
        question: Json = {"text": text, "language": asked.extra.get("language") or terms["presidio_language"]}
        if wanted := terms["pii_entities_config"]:
            question["entities"] = sorted(wanted)
        rows = await self.post(f"{self.analyzer}/analyze", question, {})
        try:
            return [row for row in rows if row["score"] >= self._least(row["entity_type"])]
        except (KeyError, TypeError):
            raise CheckFailed("the analyzer answered without scores") from None

    def _least(self, kind: str) -> float:
        thresholds: Mapping[str, float] = self.row.terms["presidio_score_thresholds"]
        return thresholds.get(kind, thresholds.get("ALL", 0.0))

    async def _anonymized(self, text: str, found: list[Json]) -> str:
        said = await self.post(f"{self.anonymizer}/anonymize", {"text": text, "analyzer_results": found}, {})
        if not isinstance(said, dict) or not isinstance(said.get("text"), str):
            raise CheckFailed("the anonymizer answered without a text")
        return str(said["text"])


def _changed(given: Any, texts: Sequence[str]) -> Verdict:
    if not isinstance(given, list) or len(given) != len(texts) or not all(isinstance(text, str) for text in given):
        raise CheckFailed("it answered with another number of texts than it was given")
    return Verdict(texts=tuple(given)) if given != list(texts) else PASS


def _refuses(assessments: Any) -> bool:
    """Whether anything was blocked, and not only anonymized."""
    return b'"BLOCKED"' in orjson.dumps(assessments)
