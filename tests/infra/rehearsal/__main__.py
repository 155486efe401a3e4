"""`make rehearse`: an environment's whole life on loopback. Bootstrap, deploy, use, look into the tables, redeploy under load, destroy.

The real `cdk deploy` of infra/environments/rehearsal against an emulator that enforces the stacks' own policies; a scripted provider; the
official client. Nothing leaves this machine. Exit status 0 if every step found what it expected.
"""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from infra.environments import gateway_yaml
from openai import OpenAI, OpenAIError
from tests.infra.rehearsal.background import Background
from tests.infra.rehearsal.stage import ACCOUNT, REGION, Cdk, Emulator, RehearsalFailed, Steps, expect, left_behind
from tests.support.upstream import Received, Reply, Upstream, as_json, as_sse, completion, text_stream

PROVIDER_KEY = "sk-scripted-provider"
CALLS, AT_ONCE = 24, 6
USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
STACKS = ("tollkeeper-rehearsal-state", "tollkeeper-rehearsal-gateway", "tollkeeper-rehearsal-observability")


def provider(request: Received) -> Reply:
    """gpt-4o-mini, as far as these calls go; without the right credential it says so."""
    if request.headers.get("authorization") != f"Bearer {PROVIDER_KEY}":
        return as_json({"error": {"message": "wrong key", "type": "invalid_request_error", "code": "invalid_api_key"}}, 401)
    if request.json.get("stream"):
        return as_sse(*text_stream("Hello", " there", usage=USAGE))
    return as_json(completion())


class Rehearsal:
    def __init__(self, folder: Path, steps: Steps, emulator: Emulator, upstream: Upstream) -> None:
        self._folder, self._emulator, self._upstream = folder, emulator, upstream
        self.steps = steps
        self._cdk = Cdk(emulator, folder, {"SCRIPTED_API_BASE": upstream.url})
        self.outputs: dict[str, str] = {}
        self.url = self.master_key = self.key = ""
        self.cost = 0

    def play(self) -> None:
        acts: list[tuple[str, Callable[[], None]]] = [
            ("bootstrap the account", self.bootstrap),
            ("deploy: cdk deploy --all", self.deploy),
            ("put the provider's key into its secret, read the generated master key", self.secrets),
            ("mint a virtual key through the deployed API", self.mint),
            (f"call it with the openai client, {CALLS} calls, {AT_ONCE} at a time, half of them streamed", self.call),
            ("read ledger and counters from DynamoDB", self.books),
            ("policies: what each role may not do", self.policies),
            ("what has no caller: the ledger's stream and its reports, the janitor, exports, a batch", self.background),
            ("deploy another gateway.yaml while calls run", self.redeploy),
            ("destroy", self.destroy),
        ]
        for title, act in acts:
            with self.steps.step(title):
                act()

    def bootstrap(self) -> None:
        self._cdk.run("bootstrap", f"aws://{ACCOUNT}/{REGION}")
        self._admit_plain_http(f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}")

    def _admit_plain_http(self, bucket: str) -> None:
        """Our buckets admit TLS only, and the emulator speaks plain HTTP on loopback."""
        self._emulator.client("s3").delete_bucket_policy(Bucket=bucket)

    def deploy(self) -> None:
        self._deploy()
        for stack in STACKS:
            for output in self._stack(stack).get("Outputs", []):
                self.outputs[output["OutputKey"]] = output["OutputValue"]
        api_id = self.outputs["Url"].split("/")[2].split(".")[0]
        self.url = self._emulator.url(api_id, "live")
        self._admit_plain_http(self._physical("AWS::S3::Bucket", "BucketsFiles"))
        resources = sum(len(self._resources(stack)) for stack in STACKS if self._stack(stack))
        self.steps.say(f"{resources} resources, API {api_id}")

    def _deploy(self, config: Path | None = None) -> None:
        self._cdk.run("deploy", "--all", "--require-approval", "never", config=config)

    def _stack(self, name: str) -> dict[str, Any]:
        found = self._emulator.client("cloudformation").describe_stacks()["Stacks"]
        return next((stack for stack in found if stack["StackName"] == name and stack["StackStatus"] != "DELETE_COMPLETE"), {})

    def _resources(self, stack: str) -> list[dict[str, Any]]:
        return list(self._emulator.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"])

    def secrets(self) -> None:
        manager = self._emulator.client("secretsmanager")
        values = json.dumps({"SCRIPTED_API_KEY": PROVIDER_KEY})
        manager.put_secret_value(SecretId=self.outputs["ProviderScriptedSecret"], SecretString=values)
        self.master_key = json.loads(manager.get_secret_value(SecretId=self.outputs["MasterKeySecret"])["SecretString"])["master_key"]
        expect(len(self.master_key) >= 32, "the master key was not generated")

    def mint(self) -> None:
        refused = httpx.post(f"{self.url}/key/generate", json={}, timeout=60, trust_env=False)
        expect(refused.status_code == 401, f"/key/generate without a key answered {refused.status_code}: {refused.text}")
        headers = {"authorization": f"Bearer {self.master_key}"}
        body = {"key_alias": "rehearsal", "max_budget": 1.0, "models": ["scripted", "second"]}
        answer = httpx.post(f"{self.url}/key/generate", json=body, headers=headers, timeout=60, trust_env=False)
        expect(answer.status_code == 200, f"/key/generate answered {answer.status_code}: {answer.text}")
        self.key = answer.json()["key"]

    def client(self) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key=self.key, max_retries=0, timeout=60, http_client=httpx.Client(trust_env=False))

    def call(self) -> None:
        with self.client() as client, ThreadPoolExecutor(AT_ONCE) as pool:
            texts = list(pool.map(lambda number: _ask(client, "scripted", stream=number % 2 == 0), range(CALLS)))
        expect(set(texts) == {"Hello there"}, f"answers were {set(texts)}")
        with self.client() as client:
            models = [model.id for model in client.models.list()]
        expect(models == ["scripted"], f"/v1/models said {models}")
        self.steps.say(f"{CALLS} answers; the provider saw {len(self._upstream.received)} calls with its own credential")

    def books(self) -> None:
        entries = [item for item in self._items("Ledger") if item["pk"]["S"].startswith("day#")]
        expect(len(entries) == CALLS, f"{len(entries)} ledger entries for {CALLS} calls")
        cost = sum(int(item["cost"]["N"]) for item in entries)
        expect(cost > 0, "the ledger's entries cost nothing")
        self.steps.say(f"{len(entries)} ledger entries, {cost} nano-USD")
        self.cost = cost
        spent = [item for item in self._items("Counters") if "spent" in item]
        expect(spent, "no budget counted anything")
        for item in spent:
            booked, held = int(item["spent"]["N"]), int(item.get("committed", item["spent"])["N"])
            expect(booked == held, f"counter {item['pk']['S']}: spent {booked}, committed {held}")
            expect(not any(name.startswith("h") and name[1:2].isdigit() for name in item), f"open hold on {item['pk']['S']}")
        most = max(int(item["spent"]["N"]) for item in spent)
        expect(most == cost, f"counters say {most}, the ledger {cost}")
        self.steps.say(f"{len(spent)} budget counters, each equal to the ledger, nothing held")

    def _items(self, table: str) -> list[dict[str, Any]]:
        name = self._physical("AWS::DynamoDB::Table", f"Tables{table}")
        found: list[dict[str, Any]] = []
        for page in self._emulator.client("dynamodb").get_paginator("scan").paginate(TableName=name, ConsistentRead=True):
            found += page["Items"]
        return found

    def _physical(self, kind: str, logical: str) -> str:
        for stack in STACKS[:2]:
            for resource in self._resources(stack):
                if resource["ResourceType"] == kind and logical in resource["LogicalResourceId"]:
                    return str(resource["PhysicalResourceId"])
        raise RehearsalFailed(f"no {kind} {logical} in the stacks")

    def policies(self) -> None:
        """The emulator enforced them through all of the above; here is what they must refuse."""
        directory, ledger = (self._arn(table) for table in ("Directory", "Ledger"))
        refused = [
            ("Proxy", "dynamodb:PutItem", directory),
            ("Proxy", "dynamodb:UpdateItem", directory),
            ("Proxy", "dynamodb:DeleteItem", ledger),
            ("Keys", "dynamodb:DeleteItem", ledger),
            ("Keys", "secretsmanager:GetSecretValue", self.outputs["ProviderScriptedSecret"]),
            ("Reports", "dynamodb:PutItem", directory),
            ("Reports", "dynamodb:PutItem", ledger),
            ("Rollup", "dynamodb:GetItem", directory),
            ("Reports", "dynamodb:ExportTableToPointInTime", directory),
            ("Keys", "dynamodb:ExportTableToPointInTime", ledger),
        ]
        allowed = [
            ("Proxy", "dynamodb:GetItem", directory),
            ("Proxy", "dynamodb:PutItem", ledger),
            ("Keys", "dynamodb:PutItem", directory),
            ("Reports", "dynamodb:ExportTableToPointInTime", ledger),
            ("Janitor", "dynamodb:ExportTableToPointInTime", ledger),
        ]
        for rows, wanted in ((refused, False), (allowed, True)):
            for role, action, resource in rows:
                expect(self._may(role, action, resource) is wanted, f"{role} {action} {resource}: expected {wanted}")
        self.steps.say(f"{len(refused)} refused, {len(allowed)} allowed")

    def _arn(self, table: str) -> str:
        return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{self._physical('AWS::DynamoDB::Table', f'Tables{table}')}"

    def _may(self, role: str, action: str, resource: str) -> bool:
        arn = f"arn:aws:iam::{ACCOUNT}:role/{self._physical('AWS::IAM::Role', f'{role}Role')}"
        answer = self._emulator.client("iam").simulate_principal_policy(PolicySourceArn=arn, ActionNames=[action], ResourceArns=[resource])
        return bool(answer["EvaluationResults"][0]["EvalDecision"] == "allowed")

    def background(self) -> None:
        work = Background(self._emulator, self.steps, self.url)
        self._admit_exports()
        work.sums(lambda: self._items("Ledger"), CALLS, self.cost)
        work.report(self.master_key, self.cost)
        self.steps.say(f"janitor: {work.start('janitor')}")
        work.exports(self.master_key)
        with self.client() as client:
            work.batch(client)

    def _admit_exports(self) -> None:
        """The emulator's CloudFormation passes over the template's recovery, and its IAM knows tables by `TableName` only, which an export
        does not have. That the roles may export the ledger and nothing else is asked in `policies`.
        """
        actions = ["dynamodb:ExportTableToPointInTime", "dynamodb:DescribeExport"]
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
        for role in ("Reports", "Janitor"):
            name = self._physical("AWS::IAM::Role", f"{role}Role")
            self._emulator.client("iam").put_role_policy(RoleName=name, PolicyName="Emulator", PolicyDocument=json.dumps(policy))
        recovery = {"PointInTimeRecoveryEnabled": True}
        name = self._physical("AWS::DynamoDB::Table", "TablesLedger")
        self._emulator.client("dynamodb").update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=recovery)

    def redeploy(self) -> None:
        config = self._folder / "gateway.yaml"
        text = gateway_yaml("rehearsal").read_text()
        config.write_text(text + text[text.index("  - model_name") :].replace("model_name: scripted", "model_name: second"))
        stop, counted = threading.Event(), {"answered": 0}
        failures: list[str] = []

        def keep_calling() -> None:
            with self.client() as client:
                while not stop.is_set():
                    try:
                        _ask(client, "scripted", stream=True)
                        counted["answered"] += 1
                    except OpenAIError as error:
                        failures.append(f"{type(error).__name__}: {error}")
                    time.sleep(0.2)

        caller = threading.Thread(target=keep_calling)
        caller.start()
        try:
            self._deploy(config)
            with self.client() as client:
                expect(_ask(client, "second", stream=False) == "Hello there", "the new model does not answer")
        finally:
            stop.set()
            caller.join()
        expect(not failures, f"{len(failures)} of {counted['answered'] + len(failures)} calls failed during the deployment: {failures[:3]}")
        self.steps.say(f"{counted['answered']} calls answered meanwhile, none failed; the new model answers")

    def destroy(self) -> None:
        self._cdk.run("destroy", "--all", "--force")
        left = [stack for stack in STACKS if self._stack(stack)]
        expect(not left, f"{left} are still there")
        tables = self._emulator.client("dynamodb").list_tables()["TableNames"]
        expect(not tables, f"tables {tables} are still there")


def _ask(client: OpenAI, model: str, *, stream: bool) -> str:
    messages: Any = [{"role": "user", "content": "Hello?"}]
    if not stream:
        return client.chat.completions.create(model=model, messages=messages, max_tokens=50).choices[0].message.content or ""
    chunks = client.chat.completions.create(model=model, messages=messages, max_tokens=50, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def main() -> int:
    steps = Steps()
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as name, Upstream(provider) as upstream:
        folder = Path(name)
        emulator = Emulator(folder)
        try:
            with emulator.running():
                Rehearsal(folder, steps, emulator, upstream).play()
        except RehearsalFailed as error:
            print(f"\nThe rehearsal failed: {error}\n\nThe emulator's last words:\n{emulator.log()}", file=sys.stderr)
            return 1
        left = left_behind(emulator.session)
    if left:
        print(f"\nThe rehearsal failed: still running are {left}", file=sys.stderr)
        return 1
    print(f"\nThe rehearsal went through in {steps.seconds:.0f} s; no process is left behind.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
