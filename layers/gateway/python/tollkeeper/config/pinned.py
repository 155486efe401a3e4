"""The price file: what finance agreed to, beside gateway.yaml, so that no upgrade of a price data set changes a bill by itself.

    tollkeeper: {prices: prices.json}

    {"version": "genai-prices 0.2.3", "pinned_on": "2026-11-26",
     "models": {"openai/gpt-4o": {"rates": {"input": {"price": 2500000000, "tiers": []}, …}, …}}}

`tollkeeper prices update` writes it after showing what would change. Prices are femto-dollars per unit (snapshot.Prices); a model that is
not in it has the data set's price of the day, with a warning. Wildcard deployments always have the data set's.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path as FilePath
from typing import Any

import orjson

from tollkeeper.config.snapshot import Prices, prices_of
from tollkeeper.errors import ConfigError


@dataclass(frozen=True, slots=True)
class PriceFile:
    """Prices by `<provider>/<model>`."""

    version: str = ""
    pinned_on: str = ""
    models: Mapping[str, Prices] = field(default_factory=dict)

    def get(self, provider: str, model: str) -> Prices | None:
        """With where they come from; None: not pinned."""
        found = self.models.get(f"{provider}/{model}")
        return found and replace(found, version=f"pinned {self.pinned_on} ({self.version})")


def read(path: FilePath) -> PriceFile:
    """Raises ConfigError for a file that cannot be read or is no price file."""
    try:
        raw = orjson.loads(path.read_bytes())
        date.fromisoformat(raw["pinned_on"])
        models = {str(name): prices_of({**row, "version": ""}) for name, row in raw["models"].items()}
        return PriceFile(str(raw["version"]), raw["pinned_on"], models)
    except OSError as error:
        raise ConfigError(f"{path.name}: cannot be read: {error.strerror or 'unknown error'}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path.name}: is no price file ({type(error).__name__}); `tollkeeper prices update` writes one.") from None


def written(prices: PriceFile) -> bytes:
    """The file's bytes, for people to read and for version control to compare."""
    models: dict[str, Any] = {}
    for name, row in prices.models.items():
        # Discounts and margins are the configuration's and not the provider's.
        models[name] = {key: value for key, value in asdict(row).items() if key in {"rates", "tiers", "fees", "later"} and value}
    document = {"version": prices.version, "pinned_on": prices.pinned_on, "models": models}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"
