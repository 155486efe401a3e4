"""Development: small, cheap, gone when destroyed."""

from infra.settings import Api, Environment

ENVIRONMENT = Environment(
    name="dev",
    region="eu-central-1",
    api=Api(rate=50, burst=100),
    log_days=14,
    export_days=90,
    variables={"log_level": "debug"},
)
