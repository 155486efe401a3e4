"""What a deployment is, for rules: where its data goes and what becomes of it, what it can and cannot do, and when it may be used."""

from collections.abc import Mapping
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

from tollkeeper.catalog.regions import inference_profile
from tollkeeper.config.findings import Findings, Path
from tollkeeper.config.schema import AccessWindow as WrittenWindow
from tollkeeper.config.snapshot import AccessWindow

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ABILITIES: Mapping[str, tuple[str, ...]] = {
    "vision": ("supports_vision",),
    "audio": ("supports_audio_input", "supports_audio_output"),
    "file": ("supports_pdf_input",),
    "tools": ("supports_function_calling", "supports_tool_choice"),
    "json_schema": ("supports_response_schema",),
    "reasoning": ("supports_reasoning",),
    "web_search": ("supports_web_search",),
}
"""What a request may need (routing/needs.py) → the model_info that says whether a model has it. https://docs.litellm.ai/docs/proxy/model_management"""


def abilities(info: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(what it is said to have, what it is said to lack); of the rest nobody said anything."""
    said = {need: [info[key] for key in keys if isinstance(info.get(key), bool)] for need, keys in ABILITIES.items()}
    return tuple(need for need, values in said.items() if any(values)), tuple(
        need for need, values in said.items() if values and not any(values)
    )


def labels_of(written: Mapping[str, Any], region: str | None, provider: str, model: str, base_url: str) -> dict[str, Any]:
    """`region` is the narrowest known. A cross-region profile of Bedrock leaves it; what is behind a private pool stays in the house."""
    profile = inference_profile(model) if provider == "bedrock" else None
    place = profile if profile is not None and not written.get("region") else region
    known: dict[str, Any] = {"provider": provider}
    if place:
        known["region"] = place
    if base_url.startswith("onprem://"):
        known["private"] = True
    return {**known, **written}


def windows_of(written: list[Any], path: Path, findings: Findings) -> tuple[AccessWindow, ...]:
    found = []
    for index, row in enumerate(written):
        try:
            found.append(_window(_spoken(row) if isinstance(row, str) else row))
        except (ValueError, KeyError):
            findings.error((*path, index), "is no access window", 'write "mon-fri 08:00-18:00 Europe/Berlin"')
    return tuple(found)


def _spoken(text: str) -> WrittenWindow:
    """`mon-fri 08:00-18:00 Europe/Berlin`: days and zone may be left out."""
    parts = text.split()
    days = parts.pop(0) if parts and parts[0][:3].lower() in DAYS else None
    start, dash, end = parts.pop(0).partition("-") if parts else ("00:00", "-", "24:00")
    if not dash or len(parts) > 1:
        raise ValueError(text)
    return WrittenWindow(days=days, start=start, end=end, timezone=parts[0] if parts else "UTC")


def _window(row: WrittenWindow) -> AccessWindow:
    ZoneInfo(row.timezone)
    days = row.days if isinstance(row.days, list) else (row.days or "mon-sun").split(",")
    return AccessWindow(tuple(sorted({day for part in days for day in _days(part)})), _minute(row.start), _minute(row.end), row.timezone)


def _days(part: str) -> list[int]:
    first, dash, last = (text.strip().lower()[:3] for text in part.partition("-"))
    start, end = DAYS.index(first), DAYS.index(last if dash else first)
    return [(start + step) % 7 for step in range((end - start) % 7 + 1)]


def _minute(text: str) -> int:
    if text == "24:00":
        return 24 * 60
    moment = time.fromisoformat(text)
    return moment.hour * 60 + moment.minute
