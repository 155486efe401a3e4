"""What somebody should know: budgets that run out, spending that is unusual, providers that fail. Told once for the whole fleet.

An alert is an item of the ledger table, written once under a key made of what it is about (board.py): that write is both the
deduplication and the promise to deliver. Delivery (courier.py) happens elsewhere and is tried again until each channel has taken it.
"""
