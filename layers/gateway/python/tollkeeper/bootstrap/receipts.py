"""Receipts, wired: who signs them, and which answers carry one.

    tollkeeper: {receipts: {send: asked, kms_key: "arn:aws:kms:…"}}

`asked`, the default, is a request with `x-tollkeeper-receipt: true`; `always` is every answer, and `off` none. Receipts of past calls are
signed when they are fetched, whatever stands here.
"""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tollkeeper.bootstrap.installation import Installation
from tollkeeper.edge.serving import RECEIPT, ReceiptFor
from tollkeeper.errors import OurError
from tollkeeper.ledger.entry import Entry, to_item

if TYPE_CHECKING:
    from tollkeeper.reports.receipts import Receipts

_YES = frozenset(("1", "true", "yes"))
log = logging.getLogger("tollkeeper.receipts")


def receipts_of(installation: Installation, pepper: bytes) -> "Receipts":
    from tollkeeper.reports.receipts import PepperSigner, Receipts

    key = _own(installation).get("kms_key")
    if not key:
        return Receipts(PepperSigner(pepper))
    from tollkeeper.store.kms import KmsSigner

    settings, clock = installation.settings, installation.clock
    where = settings.aws_region, settings.aws_endpoint or None
    return Receipts(KmsSigner(key, installation.http_send, installation.aws_credentials, *where, clock=clock))


def receipt_for(installation: Installation, receipts: "Callable[[], Receipts]") -> ReceiptFor | None:
    """None: no answer ever carries one. What signs is loaded for the first that does."""
    send, clock = _own(installation).get("send") or "asked", installation.clock
    if send == "off":
        return None

    async def receipt(headers: Mapping[str, str], entry: Entry) -> str | None:
        if send == "asked" and headers.get(RECEIPT, "").lower() not in _YES:
            return None
        try:
            return await receipts().sign(to_item(entry), int(clock.now()))
        except OurError as error:
            # The answer has been paid for: it goes without, and the receipt can still be fetched.
            log.warning("receipt_not_signed %s %s", entry.request_id, error.message)
            return None

    return receipt


def _own(installation: Installation) -> Mapping[str, Any]:
    found: Mapping[str, Any] = installation.snapshot.settings.get("tollkeeper", {}).get("receipts") or {}
    return found
