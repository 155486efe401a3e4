"""Which keys of a configuration are ours to act on, which are LiteLLM's and do nothing here yet, and which are nobody's."""

from typing import Any

from tollkeeper.config.findings import Findings, Path, did_you_mean, path_text, suggest
from tollkeeper.config.litellm_keys import (
    BODY_PARAMS,
    CLOSED,
    IMPLEMENTED,
    IMPLEMENTED_VALUES,
    INFORMATIVE_INFO,
    KNOWN,
    KNOWN_PREFIXES,
    MISPLACED,
    PRICE_RATES,
    is_billed,
    is_price,
)

SECTIONS = ("litellm_settings", "router_settings", "general_settings", "tollkeeper")
_LONG_BODY_PARAMS = frozenset(name for name in BODY_PARAMS if len(name) > 7)
_SUGGESTED = {
    "litellm_params": (KNOWN["litellm_params"] | PRICE_RATES.keys()) - {"s3_bucket_name"},
    "model_info": (KNOWN["model_info"] | PRICE_RATES.keys()) - INFORMATIVE_INFO,
}


class KeyCheck:
    """Walks a loaded configuration once. `unsupported` collects the paths of LiteLLM's keys that do nothing here."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self.unsupported: list[str] = []

    def document(self, data: dict[str, Any]) -> dict[str, Any]:
        """The configuration without the keys nobody acts on."""
        kept = self._section("top", data, ())
        for name in SECTIONS:
            if isinstance(section := kept.get(name), dict):
                kept[name] = self._section(name, section, (name,))
        if isinstance(general := kept.get("general_settings"), dict) and isinstance(jwt := general.get("litellm_jwtauth"), dict):
            kept["general_settings"] = {
                **general, "litellm_jwtauth": self._section("litellm_jwtauth", jwt, ("general_settings", "litellm_jwtauth"))
            }  # fmt: skip
        if isinstance(models := kept.get("model_list"), list):
            kept["model_list"] = [self._entry(entry, ("model_list", index)) for index, entry in enumerate(models)]
        if isinstance(credentials := kept.get("credential_list"), list):
            kept["credential_list"] = [
                self._section("credential", row, ("credential_list", index)) if isinstance(row, dict) else row
                for index, row in enumerate(credentials)
            ]
        return kept

    def _entry(self, entry: Any, path: Path) -> Any:
        if not isinstance(entry, dict):
            return entry
        kept = self._section("entry", entry, path)
        for name in ("litellm_params", "model_info"):
            if isinstance(section := kept.get(name), dict):
                kept[name] = self._section(name, section, (*path, name))
        return kept

    def _section(self, section: str, data: dict[str, Any], path: Path) -> dict[str, Any]:
        return {key: value for key, value in data.items() if self._keep(section, key, value, (*path, key))}

    def _keep(self, section: str, key: str, value: Any, path: Path) -> bool:
        if isinstance(value, list) and (values := IMPLEMENTED_VALUES.get((section, key))):
            self.unsupported += [path_text((*path, index)) for index, item in enumerate(value) if str(item) not in values]
        if key in IMPLEMENTED[section]:
            return True
        if section in {"litellm_params", "model_info"} and is_billed(key):
            return True
        if section == "model_info" and (key in INFORMATIVE_INFO or key.startswith("supports_")):
            return True
        if self._is_litellms(section, key):
            self.unsupported.append(path_text(path))
            return False
        return self._unknown(section, key, path)

    def _is_litellms(self, section: str, key: str) -> bool:
        if key in KNOWN[section] or key.startswith(KNOWN_PREFIXES.get(section, ())):
            return True
        return section in {"litellm_params", "model_info"} and is_price(key)

    def _unknown(self, section: str, key: str, path: Path) -> bool:
        if section in CLOSED:
            self._findings.error(path, "unknown key", did_you_mean(key, KNOWN[section], "remove it"))
            return False
        if section == "litellm_params" and key in BODY_PARAMS:
            return True
        if section == "litellm_params" and key in MISPLACED:
            self._findings.error(path, "does nothing here", f"move it to {MISPLACED[key]}")
            return False
        if near := _near_miss(section, key):
            self._findings.error(path, "unknown key", f"did you mean {near}?")
            return False
        if section == "litellm_settings":
            self._findings.warn(path, "is not a setting this gateway knows", "remove it if it is none of LiteLLM's either")
            self.unsupported.append(path_text(path))
            return False
        return True


def _near_miss(section: str, key: str) -> str | None:
    """Open sections take any key, so only a near miss counts as a mistake."""
    if near := suggest(key, _SUGGESTED.get(section, KNOWN[section]), cutoff=0.8):
        return near
    return suggest(key, _LONG_BODY_PARAMS, cutoff=0.88) if section == "litellm_params" else None
