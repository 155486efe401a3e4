"""The bucket through which a provider takes batches and gives results, under LiteLLM's names.

    bedrock     s3_bucket_name, aws_batch_role_arn; s3_region_name, s3_output_bucket_name, s3_encryption_key_id, s3_access_key_id,
                s3_secret_access_key, s3_session_token, s3_endpoint_url
    vertex_ai   gcs_bucket_name (or bucket_name); for a deployment whose mode is batch also GCS_BATCH_BUCKET_NAME or GCS_BUCKET_NAME

A bucket may be followed by a folder, `bucket/some/folder`. Without these a model's batches are run by the gateway.
https://docs.litellm.ai/docs/providers/bedrock_batches https://docs.litellm.ai/docs/providers/vertex_batch
"""

from tollkeeper.config.findings import Findings, Path
from tollkeeper.config.references import References
from tollkeeper.config.schema import Params
from tollkeeper.config.snapshot import BatchStorage, Secret

_GCS_VARIABLES = ("GCS_BATCH_BUCKET_NAME", "GCS_BUCKET_NAME")
_EMULATOR = "STORAGE_EMULATOR_HOST"
"""Google's own variable for another address of Cloud Storage. https://cloud.google.com/php/docs/reference/cloud-storage/latest/StorageClient"""
_KEYS = {"access_key": "s3_access_key_id", "secret_key": "s3_secret_access_key", "token": "s3_session_token"}


class BatchStorageReader:
    """One deployment's. `path` is that of its litellm_params."""

    def __init__(self, provider: str, params: Params, path: Path, references: References, findings: Findings) -> None:
        self._provider, self._params, self._path = provider, params, path
        self._references, self._findings = references, findings

    def read(self, *, batch_only: bool) -> BatchStorage | None:
        """`batch_only`: the deployment's mode is batch."""
        if self._provider in {"vertex_ai", "vertex_ai_beta"}:
            return self._cloud_storage(batch_only=batch_only)
        if self._provider == "bedrock":
            return self._s3()
        for name in ("s3_bucket_name", "gcs_bucket_name"):
            if getattr(self._params, name):
                self._findings.warn((*self._path, name), f"does nothing for {self._provider}", "remove it")
        return None

    def _cloud_storage(self, *, batch_only: bool) -> BatchStorage | None:
        named = self._params.gcs_bucket_name or self._params.bucket_name
        if named is None and batch_only:
            named = next((value for name in _GCS_VARIABLES if (value := self._references.value_of(name))), None)
        if not named:
            return None
        bucket, folder = _bucket_and_folder(named)
        return BatchStorage(bucket, folder, endpoint=_address(self._references.value_of(_EMULATOR) or ""))

    def _s3(self) -> BatchStorage | None:
        params = self._params
        if not params.s3_bucket_name:
            return None
        if not params.aws_batch_role_arn:
            here = (*self._path, "aws_batch_role_arn")
            self._findings.warn(
                here, "is missing: without a role Bedrock takes no batches", "add the ARN of the role that reads the bucket"
            )
            return None
        bucket, folder = _bucket_and_folder(params.s3_bucket_name)
        return BatchStorage(
            bucket,
            folder,
            output_bucket=params.s3_output_bucket_name or "",
            region=params.s3_region_name or "",
            endpoint=_address(params.s3_endpoint_url or ""),
            role=params.aws_batch_role_arn,
            encryption_key=params.s3_encryption_key_id or "",
            keys={name: secret for name, param in _KEYS.items() if (secret := self._secret(param)) is not None},
        )

    def _secret(self, param: str) -> Secret | None:
        return self._references.secret(getattr(self._params, param), (*self._path, param))


def _bucket_and_folder(written: str) -> tuple[str, str]:
    bucket, _, folder = written.removeprefix("gs://").removeprefix("s3://").partition("/")
    return bucket, folder.strip("/")


def _address(written: str) -> str:
    url = written.rstrip("/")
    return url if not url or "://" in url else f"http://{url}"
