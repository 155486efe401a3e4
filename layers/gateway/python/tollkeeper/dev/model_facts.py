"""`python -m tollkeeper.dev.model_facts <model map.json> <source>`: writes catalog/models.tsv anew from LiteLLM's map of models.

The map (https://github.com/BerriAI/litellm, MIT licence) is in LiteLLM's wheel; only facts are taken from it, for providers of our catalog.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tollkeeper.catalog.models import DATA, FEATURES, MODES
from tollkeeper.catalog.providers import PROVIDERS

_SAME = {"bedrock_converse": "bedrock", "cohere_chat": "cohere"}
_PLACES = re.compile(r"^(?:[a-z]{2}(?:-[a-z]+)+-\d|us|eu|global|global-standard)/|/(?:[a-z]{2}(?:-[a-z]+)+-\d)/|commitment/")


def rows(models: dict[str, dict[str, Any]]) -> Iterator[str]:
    for key, fields in models.items():
        provider = re.split(r"-(?=[a-z0-9_]*_?models$|language|embedding|chat-)", str(fields.get("litellm_provider")))[0]
        provider = _SAME.get(provider, provider)
        name = key.removeprefix(f"{provider}/").removeprefix("converse/")
        mode = fields.get("mode", "chat")
        if provider not in PROVIDERS or mode not in MODES or _PLACES.search(name):
            continue
        features = [word for word, field in FEATURES.items() if fields.get(field) is True]
        limits = (fields.get("max_input_tokens"), fields.get("max_output_tokens"))
        numbers = [str(limit) if isinstance(limit, int) and limit > 0 else "" for limit in limits]
        yield "\t".join((f"{provider}/{name}", MODES[mode], *numbers, " ".join(features)))


def main(path: str, source: str) -> None:
    found = sorted({*rows(json.loads(Path(path).read_text(encoding="utf-8")))})
    DATA.write_text("\n".join((f"# {source}", *found, "")), encoding="utf-8")
    print(f"{len(found)} models in {DATA}")


if __name__ == "__main__":
    main(*sys.argv[1:])
