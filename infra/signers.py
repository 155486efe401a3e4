"""Who may call with an AWS signature in place of a key: the principals of gateway.yaml's `tollkeeper.iam_callers`."""

import json
from typing import Any


def iam_signers(config: bytes) -> list[str]:
    """Patterns for `aws:PrincipalArn`, where a role has its path: the configuration may leave it out (auth/iam.py)."""
    own: dict[str, Any] = json.loads(config)["settings"].get("tollkeeper") or {}
    patterns = [row["principal"] for row in own.get("iam_callers") or ()]
    return list(dict.fromkeys(pattern for written in patterns for pattern in (written, _with_any_path(written))))


def _with_any_path(pattern: str) -> str:
    before, role, name = pattern.rpartition(":role/")
    return f"{before}:role/*/{name}" if role and "/" not in name else pattern
