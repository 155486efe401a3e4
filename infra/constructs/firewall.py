"""AWS WAF in front of the API: known bad addresses, the common rules where they do not read the body, and a rate per address.

Prompts are code, HTML, URLs and SQL, so every managed rule that looks for such things in a body only counts; a body larger than what WAF
inspects goes on. https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-baseline.html
"""

from collections.abc import Mapping

from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from infra.settings import Firewall

_COMMON_BODY_RULES = (
    "SizeRestrictions_BODY",
    "EC2MetaDataSSRF_BODY",
    "GenericLFI_BODY",
    "GenericRFI_BODY",
    "CrossSiteScripting_BODY",
)
_BAD_INPUT_BODY_RULES = ("JavaDeserializationRCE_BODY", "Log4JRCE_BODY", "ReactJSRCE_BODY")


class ApiFirewall(Construct):
    """`stages` are the ARNs of the stages it stands before, by name."""

    def __init__(self, scope: Construct, id: str, *, settings: Firewall, stages: Mapping[str, str], name: str) -> None:
        super().__init__(scope, id)
        rules = [
            _rate(settings.requests_per_5_minutes),
            _managed(1, "AWSManagedRulesAmazonIpReputationList"),
            _managed(2, "AWSManagedRulesCommonRuleSet", _COMMON_BODY_RULES),
            _managed(3, "AWSManagedRulesKnownBadInputsRuleSet", _BAD_INPUT_BODY_RULES),
        ]
        self.acl = wafv2.CfnWebACL(
            self,
            "Acl",
            scope="REGIONAL",
            default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_visibility(name),
            rules=rules,
        )
        for door, stage_arn in stages.items():
            wafv2.CfnWebACLAssociation(self, f"{door}Association", resource_arn=stage_arn, web_acl_arn=self.acl.attr_arn)


def _visibility(name: str) -> wafv2.CfnWebACL.VisibilityConfigProperty:
    return wafv2.CfnWebACL.VisibilityConfigProperty(cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False)


def _rate(limit: int) -> wafv2.CfnWebACL.RuleProperty:
    per_address = wafv2.CfnWebACL.RateBasedStatementProperty(limit=limit, aggregate_key_type="IP", evaluation_window_sec=300)
    return wafv2.CfnWebACL.RuleProperty(
        name="Rate",
        priority=0,
        action=wafv2.CfnWebACL.RuleActionProperty(block={}),
        statement=wafv2.CfnWebACL.StatementProperty(rate_based_statement=per_address),
        visibility_config=_visibility("Rate"),
    )


def _managed(priority: int, name: str, counted: tuple[str, ...] = ()) -> wafv2.CfnWebACL.RuleProperty:
    only_count = [
        wafv2.CfnWebACL.RuleActionOverrideProperty(name=rule, action_to_use=wafv2.CfnWebACL.RuleActionProperty(count={}))
        for rule in counted
    ]
    group = wafv2.CfnWebACL.ManagedRuleGroupStatementProperty(vendor_name="AWS", name=name, rule_action_overrides=only_count or None)
    return wafv2.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        override_action=wafv2.CfnWebACL.OverrideActionProperty(none={}),
        statement=wafv2.CfnWebACL.StatementProperty(managed_rule_group_statement=group),
        visibility_config=_visibility(name),
    )
