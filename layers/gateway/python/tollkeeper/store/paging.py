"""The `after` token of a query: the keys of the last item seen, so that a page never depends on what a process remembers.

A token is checked against the query that presents it. It can only point inside the partition and prefix that the caller asked for anyway.
"""

import base64
import binascii

import orjson


def key_names(index: str | None) -> tuple[str, ...]:
    """The attributes that place an item, in sort order after the partition: for an index its own sort key, then the table's."""
    return (f"{index}pk", f"{index}sk", "pk", "sk") if index else ("pk", "sk")


def encode(keys: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(keys)).decode()


def decode(token: str, index: str | None, partition: str, prefix: str) -> dict[str, str]:
    """The keys in the order of `key_names`. Raises ValueError for a token that no query like this one gave out."""
    names = key_names(index)
    try:
        keys = orjson.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        keys = None
    if (
        not isinstance(keys, dict)
        or set(keys) != set(names)
        or not all(isinstance(value, str) and value for value in keys.values())
        or keys[names[0]] != partition
        or not keys[names[1]].startswith(prefix)
    ):
        raise ValueError("`after` is not a token of this query")
    return {name: keys[name] for name in names}
