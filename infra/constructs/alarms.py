"""Alarms, each to the environment's topic. Missing data is good news: a gateway nobody calls is not ill.

Thresholds follow https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics.html and the budgets' own promises: a bound that does
not hold and a hold nobody settled are never normal.
"""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

from infra import metrics
from infra.constructs.function import GatewayFunction
from infra.constructs.measures import FIVE_MINUTES, MINUTE, own
from infra.settings import Environment
from infra.stacks.gateway import GatewayStack
from infra.stacks.onprem import OnPremStack
from infra.stacks.state import StateStack

_DEFAULT_CONCURRENCY = 1000
"""An account's, where a function has none reserved."""


class Alarming(Construct):
    def __init__(
        self, scope: Construct, id: str, *, env: Environment, state: StateStack, gateway: GatewayStack, on_prem: OnPremStack | None
    ) -> None:
        super().__init__(scope, id)
        self._env, self._topic = env, actions.SnsAction(state.alerts)
        for function in gateway.functions.values():
            self._function(function)
        proxy = gateway.functions["proxy"]
        self._alarm("ProxyLatency", proxy.function.metric_duration(statistic="p99", period=FIVE_MINUTES), env.alarms.latency_seconds * 1000)
        self._money()
        self._tables(state)
        self._background(gateway)
        if on_prem:
            self._pools(on_prem)

    def _alarm(self, id: str, metric: cloudwatch.IMetric, above: float, *, periods: int = 1) -> None:
        alarm = cloudwatch.Alarm(
            self,
            id,
            metric=metric,
            threshold=above,
            evaluation_periods=periods,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(self._topic)

    def _function(self, function: GatewayFunction) -> None:
        name, made = function.row.name.capitalize(), function.function
        percent, errors = self._env.alarms.error_percent, made.metric_errors(period=FIVE_MINUTES)
        self._alarm(f"{name}Errors", _rate(function, errors) if percent else errors, percent)
        self._alarm(f"{name}Throttles", made.metric_throttles(period=FIVE_MINUTES), 0)
        share = self._env.alarms.concurrency_share * (function.size.reserved or _DEFAULT_CONCURRENCY)
        if function.size.reserved != 1:
            busy = made.metric("ConcurrentExecutions", statistic="Maximum", period=MINUTE)
            self._alarm(f"{name}Concurrency", busy, share, periods=3)

    def _money(self) -> None:
        self._alarm("UnconfirmedHolds", own(self._env, metrics.UNCONFIRMED_HOLDS), 0)
        self._alarm("BoundViolations", own(self._env, metrics.BOUND_VIOLATIONS), 0)
        # A lifetime that a killed process left short is mended within a few runs of the janitor.
        self._alarm("LedgerDrift", own(self._env, metrics.LEDGER_DRIFT, "Maximum"), 0, periods=6)

    def _tables(self, state: StateStack) -> None:
        for name, table in state.tables.items():
            throttled = table.metric("WriteThrottleEvents", statistic="Sum", period=FIVE_MINUTES)
            self._alarm(f"{name.capitalize()}Throttled", throttled, 0)

    def _background(self, gateway: GatewayStack) -> None:
        waiting = gateway.dead_letters.metric_approximate_number_of_messages_visible(period=FIVE_MINUTES)
        self._alarm("DeadLetters", waiting, 0)
        if rollup := gateway.functions.get("rollup"):
            age = rollup.live.metric("IteratorAge", statistic="Maximum", period=MINUTE)
            self._alarm("StreamAge", age, self._env.alarms.stream_age_seconds * 1000, periods=3)

    def _pools(self, on_prem: OnPremStack) -> None:
        for name, group in on_prem.pools.target_groups.items():
            ill = cloudwatch.Metric(
                namespace="AWS/ApplicationELB",
                metric_name="UnHealthyHostCount",
                dimensions_map={
                    "TargetGroup": group.target_group_full_name,
                    "LoadBalancer": on_prem.pools.balancer.load_balancer_full_name,
                },
                statistic="Maximum",
                period=Duration.minutes(1),
            )
            self._alarm(f"Pool{name.capitalize()}Unhealthy", ill, 0, periods=3)


def _rate(function: GatewayFunction, errors: cloudwatch.IMetric) -> cloudwatch.MathExpression:
    return cloudwatch.MathExpression(
        expression="100 * errors / MAX([calls, 1])",
        label="error percent",
        using_metrics={"errors": errors, "calls": function.function.metric_invocations(period=FIVE_MINUTES)},
        period=FIVE_MINUTES,
    )
