"""Played against an emulator on loopback by `make rehearse`. Where it differs from the others, the emulator cannot do it:

streamed responses, a WAF association, a VPC link, metric math in alarms, and Lambda's own Python. The rest is as in production.
"""

from infra.settings import Alarms, Api, Environment, FunctionSize

ENVIRONMENT = Environment(
    name="rehearsal",
    region="eu-central-1",
    provider_secrets={"scripted": ("SCRIPTED_API_KEY",)},
    functions={"proxy": FunctionSize(memory=512, timeout=29, reserved=20)},
    api=Api(rate=200, burst=200, stream=False),
    alarms=Alarms(error_percent=0),
    log_days=1,
    export_days=30,
    packages_for="host",
)
