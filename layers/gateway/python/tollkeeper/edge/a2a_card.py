"""An agent's card as the gateway serves it: the agent's own, with every address leading here. https://a2a-protocol.org/latest/specification/"""

from typing import Any

from tollkeeper.config.snapshot import Upstream
from tollkeeper.dialects.base import Json

JSONRPC = "JSONRPC"
_BEARER = {"gateway": {"type": "http", "scheme": "bearer"}}
_DEFAULTS: Json = {
    "description": "",
    "version": "1.0.0",
    "capabilities": {"streaming": True},
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": ["text/plain"],
    "skills": [],
}


def card_of(agent: Upstream, own: Json, url: str) -> Json:
    """`own` is the card the agent shows itself, if it was asked; the configuration wins over it. `url` is the agent's address here.

    Only JSON-RPC leads through the gateway, so other transports are left out, and so are signatures, which no longer fit.
    """
    card: Json = {**_DEFAULTS, "name": agent.name, **own, **agent.terms["card"]}
    card = {name: value for name, value in card.items() if name not in {"signatures", "additionalInterfaces", "securityRequirements"}}
    versions = ["1.0", "0.3"] if agent.terms["model"] else _versions(card)
    legacy = next((version for version in versions if version.startswith("0")), None)
    return {
        **card,
        "url": url,
        "preferredTransport": JSONRPC,
        "protocolVersion": f"{legacy}.0" if legacy and legacy.count(".") == 1 else legacy or versions[0],
        "supportedInterfaces": [{"url": url, "protocolBinding": JSONRPC, "protocolVersion": version} for version in versions],
        "securitySchemes": _BEARER,
        "security": [{"gateway": []}],
    }


def address_in(card: Json) -> str | None:
    """Where a card says that JSON-RPC is spoken."""
    rows = card.get("supportedInterfaces")
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and row.get("protocolBinding") == JSONRPC and isinstance(row.get("url"), str):
            return str(row["url"])
    found = card.get("url")
    return found if isinstance(found, str) and card.get("preferredTransport", JSONRPC) == JSONRPC else None


def _versions(card: Json) -> list[str]:
    rows: Any = card.get("supportedInterfaces")
    listed = [
        str(row.get("protocolVersion") or "1.0")
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict) and row.get("protocolBinding") == JSONRPC
    ]
    return listed or [_short(str(card.get("protocolVersion") or "0.3"))]


def _short(version: str) -> str:
    return ".".join(version.split(".")[:2])
