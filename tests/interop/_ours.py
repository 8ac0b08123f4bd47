"""Our agent against a real peer: run by the trio driver, with everything that it said at hand."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

import trio

from sansice import Event, Machine
from sansice.ice import (
    CandidatePair,
    DataReceived,
    Description,
    GatheringState,
    IceAgent,
    IceState,
    IceStateChanged,
    LiteAgent,
    PairState,
)
from sansice_trio import EventQueue, TrioDriver, open_driver

R = TypeVar("R")
LOOPBACK = ("127.0.0.1",)


class Ours:
    """An agent that is running.

    Attributes:
        agent: the machine; `call` gives it commands.
        addresses: what `gather` gives it.
        events: everything that it told, in order.
    """

    def __init__(self, agent: Any, driver: TrioDriver, addresses: Sequence[str]) -> None:
        self.agent = agent
        self.addresses = addresses
        self.events: list[Event] = []
        self._driver = driver
        self._waiting = trio.lowlevel.ParkingLot()

    def call(self, command: Callable[..., R], *args: object, **options: object) -> R:
        return self._driver.call(command, *args, **options)

    def gather(self) -> None:
        self.call(self.agent.gather, self.addresses, include_loopback=True)

    async def gathered(self) -> None:
        """Gather, and wait for the end of it; a lite agent's candidates outlive a restart."""
        if self.agent.gathering_state is GatheringState.NEW:
            self.gather()
        await self.until(lambda: self._is_gathered)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what the agent shows."""
        while not condition():
            await self._waiting.park()

    async def until_state(self, state: IceState) -> None:
        await self.until(lambda: self.agent.state is state)

    async def candidates(self) -> AsyncIterator[str]:
        """Each local candidate as it is found, until there are no more of them."""
        for number in itertools.count():
            while number == len(found := self.agent.local_candidates):
                if self._is_gathered:
                    return
                await self._waiting.park()
            yield found[number].to_sdp()

    @property
    def _is_gathered(self) -> bool:
        return self.agent.gathering_state is GatheringState.COMPLETE

    async def data(self, count: int, *, stream: int = 0, component: int = 1) -> list[bytes]:
        """Wait until so many datagrams have come on a component since the start; all there are."""
        await self.until(lambda: len(self.received(stream, component)) >= count)
        return self.received(stream, component)

    def received(self, stream: int = 0, component: int = 1) -> list[bytes]:
        return [event.data for event in self.told(DataReceived) if (event.stream, event.component) == (stream, component)]

    def told(self, kind: type[R]) -> list[R]:
        """The events of a kind, so far."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def states(self) -> list[IceState]:
        return [event.new for event in self.told(IceStateChanged)]

    @property
    def description(self) -> Description:
        return self.agent.local_description

    @property
    def pair(self) -> CandidatePair:
        return self.agent.selected_pair

    async def collect(self, events: EventQueue) -> None:
        async for event in events:
            self.events.append(event)
            self._waiting.unpark_all()


@contextlib.asynccontextmanager
async def running(agent: Machine, addresses: Sequence[str] = LOOPBACK) -> AsyncIterator[Ours]:
    """Run an agent for the time of a block."""
    async with trio.open_nursery() as nursery, open_driver(agent) as (driver, events):
        ours = Ours(agent, driver, addresses)
        nursery.start_soon(ours.collect, events)
        yield ours


def open_ours(*, addresses: Sequence[str] = LOOPBACK, **options: Any) -> contextlib.AbstractAsyncContextManager[Ours]:
    """Run a full agent."""
    return running(IceAgent(**options), addresses)


def open_lite(*, addresses: Sequence[str] = LOOPBACK, **options: Any) -> contextlib.AbstractAsyncContextManager[Ours]:
    """Run a lite agent."""
    return running(LiteAgent(**options), addresses)


async def another_valid_pair(ours: Ours) -> CandidatePair:
    """One from another local address than the pair in use."""
    found: list[CandidatePair] = []

    def look() -> bool:
        found[:] = [
            pair
            for pair in ours.agent.pairs
            if pair.state is PairState.SUCCEEDED and pair.local.address.host != ours.pair.local.address.host
        ]
        return bool(found)

    await ours.until(look)
    return found[0]
