"""Models that were added through the management API: what was given, without its secrets, and what it compiles to.

Compiled when it is written, as gateway.yaml is when it is deployed: the proxy needs neither the compiler nor the price data, and a model
that does not compile never gets here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tollkeeper.auth.records import Record
from tollkeeper.store import items


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord(Record):
    """`compiled` is the JSON of a config.snapshot.Deployment. Credentials in it and in `litellm_params` are references."""

    model_id: str
    model_name: str = ""
    litellm_params: Mapping[str, Any] = field(default_factory=dict)
    model_info: Mapping[str, Any] = field(default_factory=dict)
    blocked: bool = False
    compiled: str = ""

    def address(self) -> dict[str, str]:
        # One partition of the table itself, not an index: every proxy reads all of it every few seconds.
        return {"pk": items.MODELS_PK, "sk": self.model_id}
