"""Every recorded answer, metered as a raw call: what the provider said it used is what is billed."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.support.recorded_usage import Stated, stated_usages
from tests.support.recordings import ROOT

from tollkeeper.dialects.metering import Meter, kind_of
from tollkeeper.dialects.usage import usage_from_hub

STREAMS = {"text/event-stream", "application/vnd.amazon.eventstream", "application/x-ndjson"}
UNMETERED = {"embedding", "batchEmbedContents", "generate", "generations"}
"""Last segments of paths that nobody meters raw."""
READ_OTHERWISE = {
    "mistral/chat/sync-audio--ruby-llm-41b8b5": "audio is beside prompt_tokens, and is billed",
    "gemini/streamGenerateContent/stream-system--crewai-1b8d29": "its prompt count changes while it answers; the last is billed",
    "openrouter/chat/stream-midstream-error-tool-call-reasoning--req-llm-31ef61": "a stream that fails states its usage in the error",
}


@dataclass(frozen=True)
class Exchange:
    path: str
    streamed: bool
    body: bytes


def exchange(name: str) -> Exchange:
    data: dict[str, Any] = json.loads((ROOT / f"{name}.json").read_text("utf-8"))
    response = data["response"]
    content_type = next((value for key, value in response["headers"].items() if key.lower() == "content-type"), "").partition(";")[0]
    asked = data["request"].get("body") or {}
    return Exchange(
        urlsplit(data["request"]["url"]).path.lstrip("/"),
        content_type in STREAMS or (not content_type and asked.get("stream", "ollama" in name) is True),
        response["body"].encode(),
    )


@pytest.mark.parametrize("stated", stated_usages())
def test_a_recorded_answer_is_metered(stated: Stated) -> None:
    found = exchange(stated.name)
    kind = kind_of("POST", found.path)
    if kind is None:
        assert found.path.rpartition("/")[2].rpartition(":")[2] in UNMETERED
        return
    meter = Meter(kind, "m", streamed=found.streamed)
    for start in range(0, len(found.body), 1000):
        meter.feed(found.body[start : start + 1000])
    meter.close()
    if stated.name not in READ_OTHERWISE:
        usage = usage_from_hub(meter.usage or {})
        assert usage.input == stated.input
        assert usage.output >= stated.output
