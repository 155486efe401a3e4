"""The way to inference servers outside AWS. Exists only where an environment lists pools.

proxy ─SigV4▶ EgressApi ─▶ VPC link V2 ─▶ internal load balancer ─▶ Direct Connect, VPN … ▶ vLLM, Ollama
"""

from collections.abc import Sequence

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.egress import METHODS, Egress
from infra.constructs.nag import acknowledge
from infra.constructs.pools import Pools
from infra.functions import deployed
from infra.settings import Environment, Network, OnPrem
from infra.stacks.names import STAGE, placed, role_arn, role_name
from infra.stacks.state import StateStack

PROBE = "probe"


class OnPremStack(Stack):
    def __init__(self, scope: Construct, id: str, env: Environment, on_prem: OnPrem, state: StateStack) -> None:
        super().__init__(scope, id, env=placed(env), description=f"Tollkeeper {env.name}: the way to on-prem pools")
        # The state stack makes the role with which API Gateway writes logs.
        self.add_stack_dependency(state)
        vpc, subnets = _network(self, on_prem.network)
        group = ec2.SecurityGroup(self, "LinkGroup", vpc=vpc, description="Tollkeeper VPC link", allow_all_outbound=False)
        self.pools = Pools(self, "Pools", on_prem=on_prem, vpc=vpc, subnets=subnets, link_group=group)
        group.add_egress_rule(self.pools.group, ec2.Port.tcp(80), "the load balancer")
        link = apigatewayv2.VpcLink(self, "Link", vpc=vpc, subnets=subnets, security_groups=[group])
        callers = [role_arn(self, env, name) for name in (*(row.name for row in deployed() if row.calls_models), PROBE)]
        self.egress = Egress(
            self, "Egress", env=env, pools=on_prem.pools, link=link, balancer=self.pools.balancer, callers=callers, key=state.key
        ).api
        self.export = f"tollkeeper-{env.name}-egress-api"
        self._names = [pool.name for pool in on_prem.pools]
        self._probe(env, on_prem)

    @property
    def addresses(self) -> str:
        """The value of TOLLKEEPER_ONPREM_POOLS."""
        return ",".join(f"{name}=sigv4+{self.egress.url}{name}" for name in self._names)

    def invoke_arns(self) -> list[str]:
        """What the proxy may call: every path of a pool, by two methods. Exported by a name, so that cdk-nag's findings have stable ids."""
        api_id = self.export_value(self.egress.rest_api_id, name=self.export)
        prefix = f"arn:{Aws.PARTITION}:execute-api:{Aws.REGION}:{Aws.ACCOUNT_ID}:{api_id}/{STAGE}"
        return [f"{prefix}/{method}/{name}/*" for name in self._names for method in METHODS]

    @property
    def wildcard_findings(self) -> list[str]:
        """cdk-nag's ids for the wildcards of `invoke_arns`."""
        prefix = f"arn:<AWS::Partition>:execute-api:<AWS::Region>:<AWS::AccountId>:{self.export}/{STAGE}"
        return [f"AwsSolutions-IAM5[Resource::{prefix}/{method}/{name}/*]" for name in self._names for method in METHODS]

    def _probe(self, env: Environment, on_prem: OnPrem) -> None:
        """GET each pool's health page through the whole way, which also keeps the VPC link awake. No function is needed for it."""
        paths = [f"/{pool.name}{pool.health}" for pool in on_prem.pools]
        role = iam.Role(
            self,
            "ProbeRole",
            role_name=role_name(env, PROBE),
            assumed_by=iam.ServicePrincipal("events.amazonaws.com"),
            inline_policies={"Own": _may_invoke([self.egress.arn_for_execute_api("GET", path, STAGE) for path in paths])},
        )
        rule = events.Rule(self, "Probe", schedule=events.Schedule.rate(Duration.minutes(on_prem.probe_minutes)))
        for path in paths:
            target = targets.ApiGateway(self.egress, path=path, method="GET", stage=STAGE, event_role=role, retry_attempts=0)
            rule.add_target(target)


def _may_invoke(arns: Sequence[str]) -> iam.PolicyDocument:
    return iam.PolicyDocument(statements=[iam.PolicyStatement(actions=["execute-api:Invoke"], resources=list(arns))])


def _network(scope: Construct, network: Network) -> tuple[ec2.IVpc, ec2.SubnetSelection]:
    zones, isolated = list(network.zones), ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
    if network.vpc_id:
        vpc = ec2.Vpc.from_vpc_attributes(
            scope, "Vpc", vpc_id=network.vpc_id, availability_zones=zones, isolated_subnet_ids=list(network.subnet_ids)
        )
        acknowledge(vpc, {"Annotation::@aws-cdk/aws-ec2:noSubnetRouteTableId": "Nothing here asks for a subnet's route table."})
        return vpc, isolated
    made = ec2.Vpc(
        scope,
        "Vpc",
        availability_zones=zones,
        ip_addresses=ec2.IpAddresses.cidr(network.cidr),
        nat_gateways=0,
        subnet_configuration=[ec2.SubnetConfiguration(name="onprem", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)],
        restrict_default_security_group=False,
    )
    acknowledge(made, {"AwsSolutions-VPC7": "Nothing lives in it but the load balancer and the link, and both APIs keep access logs."})
    return made, isolated
