"""An internal load balancer in front of inference servers outside AWS: one path, one target group, one health check per pool.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html#target-type
"""

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_elasticloadbalancingv2_targets as targets
from constructs import Construct

from infra.constructs.nag import acknowledge
from infra.settings import OnPrem, Pool
from infra.stacks.names import STAGE

_LISTENER_PORT = 80


class Pools(Construct):
    """`link_group` is the security group of whatever may call the load balancer."""

    def __init__(
        self, scope: Construct, id: str, *, on_prem: OnPrem, vpc: ec2.IVpc, subnets: ec2.SubnetSelection, link_group: ec2.ISecurityGroup
    ) -> None:
        super().__init__(scope, id)
        self._vpc = vpc
        self.group = ec2.SecurityGroup(self, "Group", vpc=vpc, description="Tollkeeper on-prem load balancer", allow_all_outbound=False)
        self.group.add_ingress_rule(link_group, ec2.Port.tcp(_LISTENER_PORT), "the VPC link")
        self.balancer = elbv2.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=vpc,
            vpc_subnets=subnets,
            internet_facing=False,
            security_group=self.group,
            idle_timeout=Duration.seconds(on_prem.idle_seconds),
            drop_invalid_header_fields=True,
        )
        listener = self.balancer.add_listener(
            "Listener",
            port=_LISTENER_PORT,
            protocol=elbv2.ApplicationProtocol.HTTP,
            open=False,
            default_action=elbv2.ListenerAction.fixed_response(
                404, content_type="application/json", message_body='{"error":"no such pool"}'
            ),
        )
        self.target_groups = {pool.name: self._target_group(pool) for pool in on_prem.pools}
        for priority, pool in enumerate(on_prem.pools, start=1):
            _rule(self, pool, priority, listener, self.target_groups[pool.name])
        acknowledge(self.balancer, {"AwsSolutions-ELB2": "The APIs in front and behind keep access logs; here they would only repeat."})

    def _target_group(self, pool: Pool) -> elbv2.ApplicationTargetGroup:
        for address in pool.addresses:
            self.group.add_egress_rule(ec2.Peer.ipv4(f"{address}/32"), ec2.Port.tcp(pool.port_or_usual), f"pool {pool.name}")
        return elbv2.ApplicationTargetGroup(
            self,
            f"Pool{pool.name.capitalize()}",
            vpc=self._vpc,
            target_type=elbv2.TargetType.IP,
            protocol=elbv2.ApplicationProtocol.HTTP,
            port=pool.port_or_usual,
            # An address outside the VPC has no zone of its own.
            targets=[targets.IpTarget(address, pool.port_or_usual, "all") for address in pool.addresses],
            load_balancing_algorithm_type=elbv2.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS,
            deregistration_delay=Duration.seconds(30),
            health_check=elbv2.HealthCheck(
                path=pool.health,
                interval=Duration.seconds(15),
                timeout=Duration.seconds(5),
                healthy_threshold_count=2,
                unhealthy_threshold_count=3,
                healthy_http_codes="200",
            ),
        )


def _rule(scope: Construct, pool: Pool, priority: int, listener: elbv2.ApplicationListener, group: elbv2.ApplicationTargetGroup) -> None:
    """`/live/vllm/v1/models` and `/vllm/v1/models` → `/v1/models` at the server: a private integration sends the stage along.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/private-integration.html ·
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-transforms.html
    """
    paths = [f"/{pool.name}/*", f"/{STAGE}/{pool.name}/*"]
    strip = elbv2.CfnListenerRule.RewriteConfigProperty(regex=f"^(/{STAGE})?/{pool.name}/(.*)$", replace="/$2")
    elbv2.CfnListenerRule(
        scope,
        f"Rule{pool.name.capitalize()}",
        listener_arn=listener.listener_arn,
        priority=priority,
        conditions=[
            elbv2.CfnListenerRule.RuleConditionProperty(
                field="path-pattern", path_pattern_config=elbv2.CfnListenerRule.PathPatternConfigProperty(values=paths)
            )
        ],
        transforms=[
            elbv2.CfnListenerRule.TransformProperty(
                type="url-rewrite", url_rewrite_config=elbv2.CfnListenerRule.RewriteConfigObjectProperty(rewrites=[strip])
            )
        ],
        actions=[elbv2.CfnListenerRule.ActionProperty(type="forward", target_group_arn=group.target_group_arn)],
    )
