"""Where a request goes when its group cannot serve it: the request's own fallbacks, its key's or team's, or the configured chain.

Chains are lists of names, looked up by the group that was asked for; no chain is followed into another.
https://docs.litellm.ai/docs/proxy/reliability
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tollkeeper.config.snapshot import Snapshot
from tollkeeper.errors import ContentPolicyViolation, ContextWindowExceeded, TollkeeperError

GENERAL, CONTEXT, POLICY = "fallbacks", "context_window_fallbacks", "content_policy_fallbacks"
KINDS = (GENERAL, CONTEXT, POLICY)


@dataclass(frozen=True, slots=True)
class OwnChains:
    """What the request, or whoever sends it, says in place of the configuration: by kind. `none`: no fallback at all."""

    by_kind: Mapping[str, Sequence[str]] = field(default_factory=dict)
    none: bool = False


class Chains:
    """The fallbacks of one group for one request."""

    def __init__(self, snapshot: Snapshot, group: str, own: OwnChains) -> None:
        self._snapshot, self._group, self._own = snapshot, group, own

    def listed(self, error: TollkeeperError | None, *, refused: bool) -> list[str]:
        """For this kind of failure. `refused`: every deployment of a model would answer so; such a request has none but a list for that."""
        if self._own.none:
            return []
        if isinstance(error, ContextWindowExceeded) and (chain := self._chain(CONTEXT)):
            return self._without_self(chain)
        if isinstance(error, ContentPolicyViolation) and (chain := self._chain(POLICY)):
            return self._without_self(chain)
        if refused and not isinstance(error, ContextWindowExceeded) and GENERAL not in self._own.by_kind:
            return []
        return self._without_self(self._chain(GENERAL) or self._snapshot.default_fallbacks)

    def everything(self) -> Iterator[str]:
        """Every name any failure could lead to."""
        if self._own.none:
            return
        found = [*self._chain(GENERAL), *self._chain(CONTEXT), *self._chain(POLICY)]
        if not self._chain(GENERAL):
            found += self._snapshot.default_fallbacks
        yield from dict.fromkeys(self._without_self(found))

    def _chain(self, kind: str) -> Sequence[str]:
        if (own := self._own.by_kind.get(kind)) is not None:
            return own
        chains: Mapping[str, tuple[str, ...]] = getattr(self._snapshot, kind)
        return chains.get(self._group) or chains.get("*", ())

    def _without_self(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name != self._group]
