"""What must survive: tables, secrets, exports. Asserted on the templates that `cdk synth` writes."""

import pytest
from tests.support.assembly import actions_of, as_list, text_of

from tollkeeper.store.values import INDEXES

TABLE = "AWS::DynamoDB::Table"
WITH_INDEXES = {"Directory": INDEXES, "Counters": (), "Ledger": INDEXES}


@pytest.fixture(params=["dev", "prod", "full"])
def assembly(request, assemblies):
    return assemblies[request.param]


def test_every_table_is_on_demand_with_a_maximum_restorable_and_expires_what_is_due(assembly):
    tables = assembly.all(TABLE)
    assert len(tables) == 3
    for table in tables:
        assert table.properties["BillingMode"] == "PAY_PER_REQUEST"
        assert table.properties["OnDemandThroughput"]["MaxWriteRequestUnits"] > 0
        assert table.properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
        assert table.properties["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}


@pytest.mark.parametrize("name", WITH_INDEXES)
def test_keys_and_indexes_are_those_the_store_uses(assembly, name):
    table = assembly.one(TABLE, f"Tables{name}").properties
    assert _keys(table) == ["pk", "sk"]
    indexes = {index["IndexName"]: index for index in table.get("GlobalSecondaryIndexes", [])}
    assert sorted(indexes) == sorted(WITH_INDEXES[name])
    for index, made in indexes.items():
        assert _keys(made) == [f"{index}pk", f"{index}sk"]
        assert made["Projection"] == {"ProjectionType": "ALL"}
        assert made["OnDemandThroughput"]["MaxWriteRequestUnits"] > 0


def test_only_the_ledger_has_a_stream(assembly):
    streams = {table.id: table.properties.get("StreamSpecification") for table in assembly.all(TABLE)}
    assert [bool(stream) for name, stream in streams.items() if "Ledger" in name] == [True]
    assert not any(stream for name, stream in streams.items() if "Ledger" not in name)


def test_production_keeps_its_data_whatever_happens_to_the_stack(assemblies):
    prod, dev = assemblies["prod"], assemblies["dev"]
    kept = ("AWS::DynamoDB::Table", "AWS::SecretsManager::Secret", "AWS::S3::Bucket")
    for kind in kept:
        assert {resource.body["DeletionPolicy"] for resource in prod.all(kind)} == {"Retain"}
        assert {resource.body["DeletionPolicy"] for resource in dev.all(kind)} == {"Delete"}
    assert all(table.properties["DeletionProtectionEnabled"] for table in prod.all(TABLE))
    assert not any(table.properties.get("DeletionProtectionEnabled") for table in dev.all(TABLE))
    assert '"terminationProtection": true' in (prod.folder / "manifest.json").read_text()
    assert '"terminationProtection": true' not in (dev.folder / "manifest.json").read_text()


def test_a_key_of_ones_own_encrypts_all_that_is_kept(assemblies):
    full, dev = assemblies["full"], assemblies["dev"]
    assert full.one("AWS::KMS::Key").properties["EnableKeyRotation"] is True
    for table in full.all(TABLE):
        assert table.properties["SSESpecification"]["SSEType"] == "KMS"
    assert all("KmsKeyId" in secret.properties for secret in full.all("AWS::SecretsManager::Secret"))
    assert all("KmsKeyId" in group.properties for group in full.all("AWS::Logs::LogGroup"))
    assert all("aws:kms" in text_of(bucket.properties["BucketEncryption"]) for bucket in full.all("AWS::S3::Bucket"))
    assert dev.all("AWS::KMS::Key") == []


def test_one_secret_per_provider_group_and_own_keys_are_generated(assemblies):
    prod = assemblies["prod"]
    own = [secret for secret in prod.all("AWS::SecretsManager::Secret") if "GenerateSecretString" in secret.properties]
    assert sorted(secret.properties["GenerateSecretString"]["GenerateStringKey"] for secret in own) == ["master_key", "pepper"]
    assert {secret.properties["GenerateSecretString"]["PasswordLength"] for secret in own} == {48}
    providers = [secret for secret in prod.all("AWS::SecretsManager::Secret") if secret not in own]
    assert len(providers) == 2
    assert {secret.properties["SecretString"] for secret in providers} == {"{}"}


@pytest.mark.parametrize("name", ["Exports", "Files"])
def test_buckets_are_encrypted_private_emptied_by_age_and_reached_over_tls_only(assembly, name):
    bucket = assembly.one("AWS::S3::Bucket", name)
    assert bucket.properties["BucketEncryption"]
    assert set(bucket.properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket.properties["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"] > 0
    denied = [
        statement
        for policy in assembly.all("AWS::S3::BucketPolicy")
        if policy.properties["Bucket"] == {"Ref": bucket.id}
        for statement in policy.properties["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
    ]
    assert {"Bool": {"aws:SecureTransport": "false"}} in [statement["Condition"] for statement in denied]


def test_a_file_that_its_owner_deletes_is_gone(assembly):
    assert "VersioningConfiguration" not in assembly.one("AWS::S3::Bucket", "Files").properties
    assert assembly.one("AWS::S3::Bucket", "Exports").properties["VersioningConfiguration"] == {"Status": "Enabled"}


def test_reports_and_janitor_may_export_the_ledger_into_its_bucket_and_nobody_else(assemblies):
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport_Requesting.html"""
    dev = assemblies["dev"]
    found: dict[str, set[tuple[str, str]]] = {}
    for role in dev.all("AWS::IAM::Role"):
        for policy in role.properties.get("Policies", ()):
            for statement in policy["PolicyDocument"]["Statement"]:
                where = text_of(as_list(statement["Resource"]))
                for action in actions_of(statement):
                    if "Export" in action or (action.startswith("s3:") and "exports-bucket" in where):
                        assert "ledger-table" in where or "Ledger" in where or "exports-bucket" in where
                        found.setdefault(action, set()).add((role.id[:7], "export/*" in where))
    both = {("Janitor", False), ("Reports", False)}
    assert found == {
        "dynamodb:ExportTableToPointInTime": both,
        "dynamodb:DescribeExport": {("Janitor", True), ("Reports", True)},
        "s3:PutObject": both,
        "s3:AbortMultipartUpload": both,
    }


def test_who_signs_receipts_may_use_the_key_gateway_yaml_names_and_nobody_else(assemblies):
    signing = {
        (role.partition("Role")[0], *as_list(statement["Resource"]))
        for role, statement in assemblies["full"].statements()
        if "kms:Sign" in actions_of(statement)
    }
    key = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    assert signing == {("Proxy", key), ("Reports", key)}
    assert not any("kms:Sign" in actions_of(statement) for _, statement in assemblies["dev"].statements())


def _keys(described):
    return [key["AttributeName"] for key in described["KeySchema"]]
