"""What of a deployment its dialect is told."""

from tollkeeper.config.snapshot import Deployment
from tollkeeper.dialects.base import Target


def target_for(deployment: Deployment, alias: str, created: int) -> Target:
    """`alias` is the caller's name for the model, `created` the epoch second of the request."""
    return Target(
        model=deployment.model,
        base_url=deployment.base_url,
        alias=alias,
        provider=deployment.provider,
        quirks=frozenset(deployment.quirks),
        drop_params=deployment.drop_params,
        drop=frozenset(deployment.additional_drop_params),
        allow=frozenset(deployment.allowed_openai_params),
        max_output_tokens=deployment.max_output_tokens,
        extra_body=deployment.body,
        created=created,
    )
