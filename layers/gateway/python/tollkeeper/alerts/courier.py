"""Brings pending alerts to every channel, each at least once; a channel that fails does not keep the others waiting.

Run by the janitor's schedule, and by a server every few seconds. With `digest_seconds` alerts are gathered: they go out together, when
the oldest of them has waited so long.
"""

import asyncio
import logging
from collections.abc import Sequence

from tollkeeper.alerts.alert import Alert
from tollkeeper.alerts.board import Board
from tollkeeper.alerts.channels import Channel, NotDelivered
from tollkeeper.clock import Clock
from tollkeeper.errors import NotFound, StoreUnavailable, TollkeeperError

log = logging.getLogger("tollkeeper.alerts")

ROUND_SECONDS = 5.0


class Courier:
    """Two at once may deliver an alert twice, and lose none."""

    def __init__(self, board: Board, channels: Sequence[Channel], clock: Clock, *, digest_seconds: float = 0) -> None:
        self._board = board
        self._channels = channels
        self._clock = clock
        self._digest_seconds = digest_seconds

    async def deliver(self) -> int:
        """Returns how many alerts every channel has taken by now. Raises StoreUnavailable."""
        pending = await self._board.pending()
        if not pending or not self._channels or pending[0][0].created + self._digest_seconds > self._clock.now():
            return 0
        done = {alert.key: set(taken) for alert, taken in pending}
        for channel in self._channels:
            waiting = [alert for alert, taken in pending if channel.name not in taken]
            if waiting and await self._taken(channel, waiting):
                for alert in waiting:
                    done[alert.key].add(channel.name)
        names = {channel.name for channel in self._channels}
        for alert, taken in pending:
            if (now := frozenset(done[alert.key])) != taken or names <= now:
                await self._board.note(alert, now, whole=names <= now)
        return sum(names <= taken for taken in done.values())

    async def test(self, name: str) -> str | None:
        """A test alert by one channel, which is put up nowhere. None: it was taken, else why not. Raises NotFound."""
        channel = next((each for each in self._channels if each.name == name), None)
        if channel is None:
            known = ", ".join(each.name for each in self._channels)
            raise NotFound(f"No alerts go out by {name[:100]}; they do by {known}.", param="service")
        alert = Alert("test", "gateway", "test", "This is a test of Tollkeeper's alerts.", self._clock.now())
        try:
            await channel.deliver([alert])
        except (NotDelivered, TollkeeperError) as failure:
            return str(failure)
        return None

    async def deliver_for_ever(self) -> None:
        """For a server: until it is cancelled."""
        while True:
            try:
                await self.deliver()
            except StoreUnavailable as error:
                log.warning("alerts_wait %s", error.message)
            await asyncio.sleep(ROUND_SECONDS)

    async def _taken(self, channel: Channel, alerts: Sequence[Alert]) -> bool:
        try:
            await channel.deliver(alerts)
        except (NotDelivered, TollkeeperError) as failure:
            log.error("alerts_not_delivered %s %d %s", channel.name, len(alerts), failure)
            return False
        return True
