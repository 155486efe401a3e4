"""Synthesized stacks as plain values: what `cdk synth` wrote, read back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Resource:
    id: str
    type: str
    body: Mapping[str, Any]

    @property
    def properties(self) -> Mapping[str, Any]:
        return self.body.get("Properties", {})


@dataclass(frozen=True)
class Assembly:
    """One environment's templates by stack part (`state`, `gateway`, …) and cdk-nag's report."""

    folder: Path

    @property
    def stacks(self) -> dict[str, Any]:
        found = {path.name.removesuffix(".template.json").rpartition("-")[2]: path for path in self.folder.glob("*.template.json")}
        return {part: json.loads(path.read_text()) for part, path in found.items()}

    def all(self, kind: str = "", stack: str = "") -> list[Resource]:
        """The resources of a type (`AWS::Lambda::Function`; "" for all), in one stack or in every one."""
        return [
            Resource(name, body["Type"], body)
            for part, template in self.stacks.items()
            if stack in {"", part}
            for name, body in template["Resources"].items()
            if kind in {"", body["Type"]}
        ]

    def one(self, kind: str, contains: str = "") -> Resource:
        """The only resource of the type whose id has this in it."""
        found = [resource for resource in self.all(kind) if contains.lower() in resource.id.lower()]
        assert len(found) == 1, [resource.id for resource in found]
        return found[0]

    @property
    def findings(self) -> list[str]:
        """Every violation the validators reported."""
        report = json.loads((self.folder / "validation-report.json").read_text())
        return [
            f"{plugin['pluginName']}: {violation['ruleName']} {place['constructPath']}"
            for plugin in report["pluginReports"]
            for violation in plugin["violations"]
            for place in violation["violatingConstructs"]
        ]

    def statements(self) -> list[tuple[str, Mapping[str, Any]]]:
        """(role id, statement) of every role's policies."""
        found = []
        for role in self.all("AWS::IAM::Role"):
            for policy in role.properties.get("Policies", []):
                found += [(role.id, statement) for statement in policy["PolicyDocument"]["Statement"]]
        for policy in self.all("AWS::IAM::Policy"):
            roles = [reference["Ref"] for reference in policy.properties["Roles"]]
            found += [(role, statement) for role in roles for statement in policy.properties["PolicyDocument"]["Statement"]]
        return found


def actions_of(statement: Mapping[str, Any]) -> list[str]:
    return as_list(statement["Action"])


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def text_of(value: Any) -> str:
    """Any CloudFormation value as one text, for looking for a part of it."""
    return json.dumps(value)
