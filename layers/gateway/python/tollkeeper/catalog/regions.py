"""Where a data centre is: `eu-central-1`, `europe-west4`, `germanywestcentral` → `eu`. It decides on residency, so in doubt: unknown.

`eu` means the European Union: London and Zurich are in Europe, and have areas of their own.
https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html · https://cloud.google.com/about/locations ·
https://learn.microsoft.com/azure/reliability/regions-list
"""

import re
from functools import lru_cache

_AREAS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("uk", re.compile(r"eu-west-2|europe-west2|uk(?:south|west)|uk")),
    ("ch", re.compile(r"eu-central-2|europe-west6|switzerland(?:north|west)|ch")),
    (
        "eu",
        re.compile(
            r"eu(?:-[a-z]+-\d+)?|eusc-[a-z]+-[a-z]+-\d+|europe-[a-z]+\d+|(?:west|north)europe|(?:sweden|poland|spain|italy|france|germany|austria|denmark|"
            r"belgium|finland)[a-z]*"
        ),
    ),
    ("us", re.compile(r"us(?:-gov)?(?:-[a-z]+-?\d+)?|(?:east|west|central|northcentral|southcentral|westcentral)us\d?|usgov[a-z]+")),
    ("ca", re.compile(r"ca(?:-[a-z]+-\d+)?|northamerica-northeast\d|canada[a-z]+")),
    (
        "ap",
        re.compile(
            r"ap(?:ac)?(?:-[a-z]+-\d+)?|asia-[a-z]+\d+|(?:east|southeast)asia|(?:japan|korea|australia)[a-z]+|(?:central|south|west)india"
        ),
    ),
)
_PROFILE = re.compile(r"(us-gov|us|eu|apac|ap|ca|jp|au|global)\.")


@lru_cache(maxsize=1024)
def area_of(region: str) -> str:
    """`eu`, `us`, `uk`, `ch`, `ca`, `ap`, or the region itself where nobody knows."""
    name = region.lower()
    return next((area for area, pattern in _AREAS if pattern.fullmatch(name)), name)


def inference_profile(model: str) -> str | None:
    """Where Amazon Bedrock may send a cross-region profile (`eu.anthropic.claude…`): its area; None for a model that stays in its region.

    https://docs.aws.amazon.com/bedrock/latest/userguide/cross-region-inference.html
    """
    match = _PROFILE.match(model)
    return {"apac": "ap", "us-gov": "us"}.get(match[1], match[1]) if match else None
