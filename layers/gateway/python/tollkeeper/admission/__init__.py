"""Who pays for a call, and whether they can: the floor between the pipeline and the features it joins.

Features do not import each other, and `pipeline.py` only orchestrates. What has to know auth's records and the scopes of budgets and limits
alike lives here: `payer.py` says who, `doorkeeper.py` says whether.
"""
