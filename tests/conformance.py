"""`python -m tests.conformance`: how much of what was recorded with real providers the dialects get right.

Every recorded exchange with a chat API is replayed by the contract suites (tests/contract/test_recordings_*.py), both ways, whole and cut;
this runs them and turns the outcome into a table of provider × feature × passed/total. A recording passes if every test that has it does.
What no suite replays is listed with the reason, and so is every failure; the exit code is 1 if anything is left unexplained.
"""

import contextlib
import csv
import io
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.recordings import ROOT

from tollkeeper.dialects import registry

SUITES = sorted(str(path) for path in Path(__file__).parent.glob("contract/test_recordings_*.py") if "mutated" not in path.name)

DIALECTS = {
    "openai.chat": "openai_chat",
    "openai.responses": "openai_responses",
    "anthropic.messages": "anthropic_messages",
    "anthropic.messages(vertex)": "vertex_anthropic",
    "gemini": "gemini_generate",
    "bedrock.converse": "bedrock_converse",
    "bedrock.invoke/anthropic": "bedrock_invoke",
    "bedrock.invoke/mistral": "bedrock_family",
    "bedrock.invoke/openai": "bedrock_family",
    "cohere.v2": "cohere_v2",
    "ollama.native": "ollama_chat",
}
"""Wire formats of chat in the index → the dialect that speaks them. Other endpoints (embeddings, audio, models …) are not chat."""

FEATURES: dict[str, str] = {
    "stream": r"stream$|ev=|kind=(?:sse|ndjson|eventstream)",
    "system": r"q:(?:system|developer-role)",
    "multi-turn": r"q:multi-turn",
    "tools": r"q:tools",
    "tool call": r"tool-call=|stream-tool-call",
    "parallel": r"tool-call=parallel",
    "result": r"q:tool-result",
    "forced": r"q:tool_choice=(?!auto|none|AUTO|NONE)",
    "native tool": r"q:native-tool|out=(?!function)\w+_call$|q:mcp_servers",
    "image": r"q:image$",
    "document": r"q:(?:documents?|file-uri)",
    "audio": r"q:audio|u:audio_tokens|has:audio",
    "schema": r"q:response_format=json_schema|q:responseSchema|q:output_config",
    "json": r"q:response_format=json_object|q:responseMimeType",
    "reasoning": r"has:(?:reasoning|thinking)|u:(?:reasoning_tokens|thoughts)|q:thinking",
    "signed": r"q:signature|has:(?:signature|thoughtSignature|encrypted_content)|q:encrypted_content",
    "cache": r"u:\w*cache\w*|q:cache_control",
    "logprobs": r"has:logprobs|q:logprobs",
    "cut short": r"finish_?[rR]eason=(?:length|MAX_TOKENS)|incomplete=|stop_reason=max_tokens|done_reason=length",
    "refused": r".*content.filter|has:refusal|guardrail|promptFeedback",
    "error": r"status=[45]\d\d|midstream-error",
}
"""Column → the tags of a recording that show it."""

NOT_REPLAYED = {
    r"^ollama/api_generate/": "completions: a chat goes to /api/chat",
    r"^bedrock/invoke/sync-fin-stop-sequence--dd-trace-js-23d64e$": "Claude's text completions (`prompt`), from before Messages",
    r"^openrouter/chat/err429-json--pydantic-ai-41088f$": "its recorder wrapped the body",
}


@dataclass
class Case:
    """One recording; `done` are the tests that replayed it, `failed` those that did not pass."""

    name: str
    dialect: str
    features: set[str]
    done: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return self.done > 0 and not self.failed


class Replay:
    """A pytest plugin that notes which recordings the tests passed with; it prints nothing."""

    def __init__(self, cases: dict[str, Case]) -> None:
        self._cases = cases

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        suite, _, test = report.nodeid.partition("::")
        test_name, _, identifier = test.partition("[")
        case = self._cases.get(identifier.removesuffix("]"))
        if case is None or report.skipped:
            return
        case.done += report.when == "call"
        if report.failed:
            case.failed.append(f"{Path(suite).name}::{test_name}")


def chat_cases() -> dict[str, Case]:
    with (ROOT / "INDEX.tsv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["dialect"] in DIALECTS]
    cases = {}
    for row in rows:
        tags = [*row["tags"].split(), f"kind={row['kind']}"]
        shown = {name for name, pattern in FEATURES.items() if any(re.match(pattern, tag) for tag in tags)}
        name = row["path"].removesuffix(".json")
        cases[name] = Case(name, DIALECTS[row["dialect"]], shown)
    return cases


def table(cases: Iterable[Case]) -> list[str]:
    """A line for each provider and dialect, a column for each feature that anything shows."""
    groups: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.name.split("/")[0], case.dialect].append(case)
    groups["all", ""] = [case for group in list(groups.values()) for case in group]
    columns = ["all", *FEATURES]
    rows = [["provider", "dialect", *columns]]
    rows += [[provider, dialect, *(_score(group, column) for column in columns)] for (provider, dialect), group in groups.items()]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _score(group: list[Case], feature: str) -> str:
    wanted = [case for case in group if feature == "all" or feature in case.features]
    return f"{sum(case.passed for case in wanted)}/{len(wanted)}" if wanted else "-"


def reason_of(case: Case) -> str | None:
    """Why no suite replays this recording; None if there is no reason."""
    return next((reason for pattern, reason in NOT_REPLAYED.items() if re.search(pattern, case.name)), None)


def main() -> int:
    if not (ROOT / "INDEX.tsv").exists():
        print(f"no recordings at {ROOT}")
        return 0
    cases = chat_cases()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # the outcome is read from the reports; pytest's own pages would only bury the table
        code = pytest.main(["--tb=no", "-p", "no:cacheprovider", *SUITES], plugins=[Replay(cases)])
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        print(said.getvalue())
        return 1
    left_out = {name: reason for name, case in cases.items() if not case.done and (reason := reason_of(case))}
    print("\n".join(table(case for name, case in cases.items() if name not in left_out)))
    print(f"\ndialects: {', '.join(sorted({case.dialect for case in cases.values()} & set(registry.names())))}")
    for name, reason in left_out.items():
        print(f"not replayed: {name}: {reason}")
    broken = [case for name, case in cases.items() if name not in left_out and not case.passed]
    for case in broken:
        print(f"FAILED: {case.name} ({case.dialect}): {', '.join(sorted(set(case.failed))) or 'no suite replays it'}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
