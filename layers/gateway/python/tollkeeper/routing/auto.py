"""Which model an auto-router stands for, request by request: rules first, then a score, or the meaning of what was said.

A complexity router scores what the user said last (0 to 1) and looks the tier up; a semantic one compares it with example sentences, by
embeddings from a configured model. Whatever goes wrong, the router's default model serves: a choice is never the reason for an outage.
https://docs.litellm.ai/docs/proxy/auto_routing
"""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from random import Random
from typing import Any

from tollkeeper.config.snapshot import AutoRouter
from tollkeeper.errors import TollkeeperError
from tollkeeper.routing.request import last_text, prompt_tokens

log = logging.getLogger("tollkeeper.routing")

Vector = Sequence[float]
Embed = Callable[[str, list[str]], Awaitable[list[Vector]]]
"""(embedding model, texts) → their vectors. Raises TollkeeperError."""

_SIGNS: tuple[tuple[float, re.Pattern[str]], ...] = (
    (0.35, re.compile(r"```|\b(?:def|class|function|import|SELECT|stack ?trace|refactor|debug|compile|regex|algorithm)\b", re.IGNORECASE)),
    (
        0.30,
        re.compile(
            r"\b(?:prove|derive|step[- ]by[- ]step|reason(?:ing)?|think (?:hard|carefully)|trade[- ]?offs?|root cause)\b", re.IGNORECASE
        ),
    ),
    (
        0.20,
        re.compile(r"\b(?:architect\w*|distributed|concurren\w+|optimi[sz]e|design|analy[sz]e|compare|evaluate|strategy)\b", re.IGNORECASE),
    ),
    (0.15, re.compile(r"(?m)^\s*(?:\d+[.)]|[-*])\s+.+\n\s*(?:\d+[.)]|[-*])\s+")),
)
_TRIVIAL = re.compile(r"\s*(?:hi|hello|hey|thanks?|thank you|good (?:morning|evening)|what(?:'s| is) .{1,40}\?)\s*[.!?]*\s*", re.IGNORECASE)
_REASONING = re.compile(r"\b(?:prove|derive|theorem|step[- ]by[- ]step|think (?:hard|carefully|step))\b", re.IGNORECASE)
_LONG_TOKENS, _LENGTH_WEIGHT = 2_000, 0.25
_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class Choice:
    model: str
    reason: str


class Chooser:
    """One per process: it keeps the vectors of the routers' example sentences."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._examples: dict[str, list[tuple[str, float, list[Vector]]]] = {}

    async def choose(self, name: str, router: AutoRouter, body: Mapping[str, Any], embed: Embed) -> Choice:
        """Never raises; `name` is the router's."""
        if router.kind == "complexity":
            return self._by_complexity(router, body)
        try:
            return await self._by_meaning(name, router, body, embed)
        except TollkeeperError as error:
            log.warning("auto_router_failed router=%s %s", name, error.type)
            return Choice(router.default, f"its embedding model failed ({error.type})")

    def _by_complexity(self, router: AutoRouter, body: Mapping[str, Any]) -> Choice:
        text = last_text(body)
        for rule in router.config["keyword_rules"]:
            if found := next((word for word in rule["keywords"] if word.lower() in text.lower()), None):
                return Choice(rule["model"], f"keyword {found}")
        score = complexity(text, prompt_tokens(body))
        tier = tier_of(score, text, router.config["boundaries"])
        pool = router.config["tiers"].get(tier)
        model = self._random.choice(pool) if pool else router.default
        return Choice(model, f"{tier}, score {score:.2f}")

    async def _by_meaning(self, name: str, router: AutoRouter, body: Mapping[str, Any], embed: Embed) -> Choice:
        text, model = last_text(body), router.config["embedding_model"]
        routes = router.config["routes"]
        key = f"{name} {model} {hash(str(routes))}"
        if key not in self._examples:
            await self._learn(key, model, routes, embed)
        (asked,) = await embed(model, [text or " "])
        best, target = 0.0, None
        for route, threshold, vectors in self._examples[key]:
            likeness = max((cosine(asked, vector) for vector in vectors), default=0.0)
            if likeness >= threshold and likeness > best:
                best, target = likeness, route
        return Choice(target, f"likeness {best:.2f}") if target else Choice(router.default, "nothing like it")

    async def _learn(self, key: str, model: str, routes: Sequence[Mapping[str, Any]], embed: Embed) -> None:
        """All example sentences in one request."""
        vectors = iter(await embed(model, [sentence for route in routes for sentence in route["utterances"]]))
        if len(self._examples) >= _REMEMBERED:
            self._examples.clear()
        self._examples[key] = [(route["name"], route["score_threshold"], [next(vectors) for _ in route["utterances"]]) for route in routes]


def complexity(text: str, tokens: int) -> float:
    """0 for a greeting, towards 1 for long, technical and many-sided questions."""
    if _TRIVIAL.fullmatch(text):
        return 0.0
    signs = sum(weight for weight, pattern in _SIGNS if pattern.search(text))
    return min(signs + _LENGTH_WEIGHT * min(tokens / _LONG_TOKENS, 1.0), 1.0)


def tier_of(score: float, text: str, boundaries: Mapping[str, float]) -> str:
    """Two words that ask for reasoning are enough for the last tier, whatever the score."""
    if score >= boundaries["complex_reasoning"] or len(set(_REASONING.findall(text.lower()))) >= 2:
        return "REASONING"
    if score >= boundaries["medium_complex"]:
        return "COMPLEX"
    return "MEDIUM" if score >= boundaries["simple_medium"] else "SIMPLE"


def cosine(one: Vector, other: Vector) -> float:
    length = sqrt(sum(x * x for x in one)) * sqrt(sum(x * x for x in other))
    return sum(x * y for x, y in zip(one, other, strict=False)) / length if length else 0.0
