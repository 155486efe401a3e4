"""`tollkeeper.providers`: providers of one's own as rows in gateway.yaml, each a row of the catalog for the rest of this file.

tollkeeper:
  providers:
    - name: acme                          # model: acme/<model>
      dialect: openai_chat                # one of dialects/registry.py, or package.module:Class
      base_url: https://llm.acme.example/v1
      auth: bearer                        # or x-api-key, api-key, x-goog-api-key, none, {header: x-token, prefix: "Token "}
      env: ACME_API_KEY                   # where the key is, unless a deployment has its own api_key
      headers: {x-team: ${TEAM:-none}}
      quirks: [max_tokens]                # catalog/profiles.py says what they are
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tollkeeper.catalog.provider import Provider
from tollkeeper.catalog.providers import PROVIDERS
from tollkeeper.config.findings import Findings, Path, did_you_mean
from tollkeeper.config.schema import Text, check
from tollkeeper.dialects import registry
from tollkeeper.errors import ConfigError

_NAME = r"^[a-z0-9][a-z0-9_.-]*$"


class KeyHeader(BaseModel):
    model_config = ConfigDict(extra="forbid")

    header: Text
    prefix: str = ""


class ProviderRow(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=_NAME)
    base_url: Text
    dialect: Text = "openai_chat"
    auth: Literal["bearer", "x-api-key", "api-key", "x-goog-api-key", "none"] | KeyHeader = "bearer"
    headers: dict[str, str] = Field(default_factory=dict)
    env: Text | list[Text] = Field(default_factory=list)
    quirks: list[str] = Field(default_factory=list)


def providers_of(rows: Any, path: Path, findings: Findings) -> Mapping[str, Provider]:
    """The catalog with these rows added. Mistakes become findings, and leave their row out."""
    if rows is not None and not isinstance(rows, list):
        findings.error(path, "must be a list", "write one provider per line, each after `- `")
    made: dict[str, Provider] = {}
    for index, row in enumerate(rows if isinstance(rows, list) else ()):
        here = (*path, index)
        checked = check(ProviderRow, row, here, findings)
        if checked is None:
            continue
        if checked.name in PROVIDERS or checked.name in made:
            findings.error((*here, "name"), f"there is a provider {checked.name} already", "choose another name")
            continue
        _check_row(checked, here, findings)
        made[checked.name] = _provider(checked)
    return {**PROVIDERS, **made}


def _provider(row: ProviderRow) -> Provider:
    env = (row.env,) if isinstance(row.env, str) else tuple(row.env)
    own = isinstance(row.auth, KeyHeader)
    return Provider(
        row.name,
        row.base_url.rstrip("/"),
        row.dialect,
        "header" if isinstance(row.auth, KeyHeader) else row.auth,
        key_env=env,
        key_required=bool(env) or own,
        quirks=frozenset(row.quirks),
        headers={name.lower(): value for name, value in row.headers.items()},
        key_header=(row.auth.header.lower(), row.auth.prefix) if isinstance(row.auth, KeyHeader) else None,
    )


def _check_row(row: ProviderRow, path: Path, findings: Findings) -> None:
    if not row.base_url.startswith(("http://", "https://", "onprem://")):
        findings.error((*path, "base_url"), "is not a URL", "write it with https:// or http://")
    if ":" in row.dialect:
        try:
            registry.get(row.dialect)
        except ConfigError as error:
            # It may live in a layer that only the function has.
            findings.warn((*path, "dialect"), error.message, "it must be importable where the gateway runs")
    elif row.dialect not in registry.names():
        remedy = did_you_mean(row.dialect, registry.names(), "write one of them, or package.module:Class")
        findings.error((*path, "dialect"), f"there is no dialect {row.dialect}", remedy)
