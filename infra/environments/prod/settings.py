"""Production: protected, alarmed, and with room."""

from infra.settings import Alarms, Api, Environment, Firewall, FunctionSize, TableLimit

ENVIRONMENT = Environment(
    name="prod",
    region="eu-central-1",
    production=True,
    provider_secrets={"openai": ("OPENAI_API_KEY",), "anthropic": ("ANTHROPIC_API_KEY",)},
    functions={"proxy": FunctionSize(memory=512, timeout=900, reserved=500)},
    tables={"counters": TableLimit(read=10000, write=10000)},
    api=Api(rate=500, burst=1000, firewall=Firewall()),
    alarms=Alarms(),
    log_days=90,
)
