"""One end: an agent that tells what becomes of it."""

from __future__ import annotations

from collections.abc import Callable

import trio

from sansice.driver import clock
from sansice.ice import CandidatePair, Description, IceState, PairState
from sansice_trio import IceConnection

from ._reports import CandidateFound, PairMoved, Report, Selected, StateMoved

# An agent has no event for a check that starts. So often they are looked for; everything else wakes at once.
GLANCE = 0.005  # seconds


class End:
    """Drives one connection and tells every step.

    Args:
        ice: from `sansice_trio.open_ice`.
        tell: takes each report, at once.
    """

    def __init__(self, ice: IceConnection, tell: Callable[[Report], None]) -> None:
        self.ice = ice
        self._tell = tell
        self._state = IceState.NEW
        self._pairs: dict[tuple[object, object], CandidatePair] = {}

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
        # connect() begins at once and then waits; cancelled, it leaves the waiting to connected(). So the
        # pairs are seen before the first answer can have changed them.
        with trio.CancelScope() as at_once:
            at_once.cancel()
            await self.ice.connect(description)
        self.look()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            pair = await self.ice.connected()
            at = clock()
            nursery.cancel_scope.cancel()
        self.look()
        self._tell(Selected(at, pair.local, pair.remote, pair.priority))
        return pair

    async def _watch(self) -> None:
        while not self.ice.writable:
            with trio.move_on_after(GLANCE):
                await self.ice.changed()
            self.look()
        while True:  # data is news too from now on, and must not wait for looks
            await trio.sleep(GLANCE)
            self.look()

    def look(self) -> None:
        """Tell what is new since the last look."""
        at = clock()
        state, pairs = self.ice.state, {_key(pair): pair for pair in self.ice.pairs}
        if state is not self._state:
            self._state = state
            self._tell(StateMoved(at, state))
        for key, pair in pairs.items():
            known = self._pairs.get(key)
            if known is None or known.state is not pair.state:
                self._tell(_moved(at, pair, pair.state))
        for key, pair in self._pairs.items():
            if key not in pairs:
                self._tell(_moved(at, pair, None))
        self._pairs = pairs


def _key(pair: CandidatePair) -> tuple[object, object]:
    return pair.local.address, pair.remote.address


def _moved(at: float, pair: CandidatePair, state: PairState | None) -> PairMoved:
    return PairMoved(at, pair.local, pair.remote, pair.priority, state)
