"""The ledger table's stream → sums, each entry exactly once. What cannot be added is reported by its sequence number."""

from tollkeeper import bootstrap

handler = bootstrap.rollup_handler()
