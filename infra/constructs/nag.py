"""cdk-nag's findings that stand, each with its reason where the construct is made. https://github.com/cdklabs/cdk-nag"""

from collections.abc import Mapping

from aws_cdk import Acknowledgment, App, Validations
from cdk_nag import AwsSolutionsChecks
from constructs import Construct, IConstruct


def check(app: App) -> None:
    """Any finding nobody acknowledged stops the synth."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))


def acknowledge(construct: IConstruct, reasons: Mapping[str, str]) -> None:
    """`reasons` is rule → why it does not apply here."""
    Validations.of(construct).acknowledge(*(Acknowledgment(id=rule, reason=reason) for rule, reason in reasons.items()))


def acknowledge_below(scope: Construct, path: str, reasons: Mapping[str, str]) -> None:
    """For what a library construct makes inside itself. `path` is below `scope`, with slashes."""
    found: IConstruct = scope
    for name in path.split("/"):
        found = found.node.find_child(name)
    acknowledge(found, reasons)
