"""Puts the computed tables into infra/README.md, between their markers. `make infra-readme`."""

from pathlib import Path

from infra import cost, functions
from infra.environments import load

README = Path(__file__).with_name("README.md")


def main() -> None:
    text = README.read_text()
    text = _between(text, "cost", cost.page(load("dev")))
    README.write_text(_between(text, "permissions", functions.grants_table()))


def _between(text: str, name: str, content: str) -> str:
    before, begin, rest = text.partition(f"<!-- {name} -->")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"


if __name__ == "__main__":
    main()
