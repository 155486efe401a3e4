"""Prometheus' text format: families of samples → text. https://prometheus.io/docs/instrumenting/exposition_formats/"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = Mapping[str, str]
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


@dataclass(slots=True)
class Family:
    """One metric: its samples by suffix (`_total`, `_sum`, `_count` or none) and labels. Equal labels are added up."""

    name: str
    kind: Literal["counter", "gauge", "summary"]
    help: str
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)

    def add(self, value: float, labels: Labels, suffix: str = "") -> None:
        key = (suffix, tuple(labels.items()))
        self.samples[key] = self.samples.get(key, 0) + value


def text_of(families: Iterable[Family]) -> str:
    """Families without samples are left out."""
    lines: list[str] = []
    for family in families:
        if not family.samples:
            continue
        # A counter's HELP and TYPE bear the name its samples have.
        name = f"{family.name}_total" if family.kind == "counter" else family.name
        lines += [f"# HELP {name} {family.help}", f"# TYPE {name} {family.kind}"]
        lines += [f"{family.name}{suffix}{_labels(labels)} {_number(value)}" for (suffix, labels), value in family.samples.items()]
    return "\n".join(lines) + "\n"


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels) + "}" if labels else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
