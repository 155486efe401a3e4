"""What an operator looks at first: traffic, waiting, money, trouble, and the platform below."""

from collections.abc import Sequence

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra import metrics
from infra.constructs.measures import MINUTE, own, split
from infra.settings import Environment
from infra.stacks.gateway import GatewayStack
from infra.stacks.state import StateStack

_WIDTH = 8


class Dashboard(Construct):
    def __init__(self, scope: Construct, id: str, *, env: Environment, state: StateStack, gateway: GatewayStack) -> None:
        super().__init__(scope, id)
        self._env = env
        made = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=f"tollkeeper-{env.name}")
        made.add_widgets(*self._traffic())
        made.add_widgets(*self._money())
        made.add_widgets(*self._trouble())
        made.add_widgets(*_platform(gateway, state))

    def _traffic(self) -> list[cloudwatch.IWidget]:
        waiting = [own(self._env, name, statistic) for name in (metrics.LATENCY, metrics.FIRST_TOKEN) for statistic in ("p50", "p99")]
        return [
            _graph("Requests by outcome", [split(self._env, metrics.REQUESTS, metrics.BY_OUTCOME)]),
            _graph("Latency and time to first token, ms", waiting),
            _graph("p99 latency by provider and model, ms", [split(self._env, metrics.LATENCY, metrics.BY_MODEL, "p99")]),
        ]

    def _money(self) -> list[cloudwatch.IWidget]:
        spent = cloudwatch.MathExpression(expression="cost / 1000000000", label="USD", using_metrics={"cost": own(self._env, metrics.COST)})
        return [
            _graph("Cost, USD per 5 minutes", [spent]),
            _graph("Cost by provider and model, nano-USD", [split(self._env, metrics.COST, metrics.BY_MODEL)]),
            _graph("Tokens", [own(self._env, metrics.INPUT_TOKENS), own(self._env, metrics.OUTPUT_TOKENS)]),
        ]

    def _trouble(self) -> list[cloudwatch.IWidget]:
        drift = [own(self._env, metrics.LEDGER_DRIFT, "Maximum"), own(self._env, metrics.COUNTERS_MENDED)]
        holds = [own(self._env, metrics.UNCONFIRMED_HOLDS), own(self._env, metrics.BOUND_VIOLATIONS)]
        return [
            _graph("Errors by provider and model", [split(self._env, metrics.ERRORS, metrics.BY_MODEL)]),
            _graph("Fallbacks and refusals", [own(self._env, metrics.FALLBACKS), own(self._env, metrics.REFUSALS)]),
            _graph("Holds: unconfirmed, over their bound", holds),
            _graph("Counters against the ledger: nano-USD of drift, counters mended", drift),
        ]


def _platform(gateway: GatewayStack, state: StateStack) -> list[cloudwatch.IWidget]:
    functions = [function.function for function in gateway.functions.values()]
    tables = [table.metric_throttled_requests_for_operation("UpdateItem", period=MINUTE) for table in state.tables.values()]
    return [
        _graph(
            "Function errors and throttles", [measure for one in functions for measure in (one.metric_errors(), one.metric_throttles())]
        ),
        _graph("Concurrent executions", [one.metric("ConcurrentExecutions", statistic="Maximum", period=MINUTE) for one in functions]),
        _graph("Throttled writes", tables),
    ]


def _graph(title: str, measures: Sequence[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(measures), width=_WIDTH)
