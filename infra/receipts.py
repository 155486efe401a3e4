"""Who signs receipts may use the key that gateway.yaml's `tollkeeper.receipts.kms_key` names, to sign and for nothing else."""

import json
from typing import Any

from infra.arns import ArnGrant


def receipt_grants(config: bytes) -> list[ArnGrant]:
    own: dict[str, Any] = (json.loads(config)["settings"].get("tollkeeper") or {}).get("receipts") or {}
    return [ArnGrant(("kms:Sign", "kms:GetPublicKey"), str(own["kms_key"]))] if own.get("kms_key") else []
