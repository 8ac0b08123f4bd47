"""One end: an agent that tells what becomes of it."""

from __future__ import annotations

from collections.abc import Callable

import trio

from sansice.driver import clock
from sansice.ice import CandidatePair, Description
from sansice_trio import IceConnection

from ._reports import CandidateFound, Report, Selected
from ._watch import Watch


class End(trio.abc.Instrument):
    """Drives one connection and tells every step.

    The next answer may be a tenth of a millisecond away. So while it connects, it is looked at whenever any task has run.

    Args:
        ice: from `sansice_trio.open_ice`.
        tell: takes each report, at once. It only stores it: what an instrument raises is lost.
    """

    def __init__(self, ice: IceConnection, tell: Callable[[Report], None]) -> None:
        self.ice = ice
        self._tell = tell
        self._watch = Watch(ice, tell)

    async def gather(self) -> Description:
        """Find the local candidates; the description to tell the other end."""
        async for candidate in self.ice.candidates():
            self._tell(CandidateFound(clock(), candidate))
        return await self.ice.gather()

    async def connect(self, description: Description) -> CandidatePair:
        """Connect with the end that ``description`` is of, and tell what the pairs do meanwhile.

        Raises:
            IceError: as `IceConnection.connect`.
        """
        trio.lowlevel.add_instrument(self)
        try:
            pair = await self.ice.connect(description)
            at = clock()
        finally:
            trio.lowlevel.remove_instrument(self)
        self._watch.look(at)
        self._tell(Selected(at, pair.local, pair.remote, pair.priority))
        return pair

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Called by trio."""
        self._watch.look(clock())
