"""Every partition and sort key of the three tables, on one page.

directory   pk                        sk          gsi1 (listing)        gsi2 (by team)     gsi3 (by user)
  virtual key   key#<hash>            key         keys / created#hash   team#<id>/keys#…   user#<id>/keys#…
  key alias     keyalias#<alias>      keyalias
  team          team#<id>             team        teams / created#id
  user          user#<id>             user        users / created#id
  budget        budget#<id>           budget      budgets / created#id
ledger
  entry         day#<yyyy-mm-dd>#<shard>  <request id>    key#<hash> / <request id>   team#<id> / …   user#<id> / …
counters
  budget window  scope (see budgets/)  window
"""

KEY_SK = "key"
LEDGER_SHARDS = 8
"""A day's entries are spread over this many partitions: one partition takes 1,000 writes a second."""


def key_pk(key_hash: str) -> str:
    return f"key#{key_hash}"


def key_alias_pk(alias: str) -> str:
    return f"keyalias#{alias}"


def team_pk(team_id: str) -> str:
    return f"team#{team_id}"


def user_pk(user_id: str) -> str:
    return f"user#{user_id}"


def listing(kind: str) -> str:
    """The gsi1 partition that lists every record of a kind (`keys`, `teams`, `users`), newest last."""
    return kind


def ledger_pk(day: str, entry_id: str) -> str:
    """`day` is yyyy-mm-dd; the shard follows from the id, so that a writer's retry lands on the same item."""
    return f"day#{day}#{sum(entry_id[-4:].encode()) % LEDGER_SHARDS}"
