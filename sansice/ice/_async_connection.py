"""What a connection of an asynchronous adapter does, whichever its runtime: all but two names of it.

What can be awaited here awaits only what the runtime supplies: a checkpoint, and an event that can be set and waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, Self, TypeVar

from sansice.driver import AsyncEvent

from ._candidate import Candidate
from ._channel import IceChannelBase
from ._connection import ConnectionDriver, IceConnectionBase
from ._description import Description
from ._errors import ConsentLost, IceClosed, IceFailed
from ._events import IceState
from ._inbox import Inbox
from ._pair import CandidatePair
from ._session_description import SessionDescription
from ._state_log import IceStatesBase


class AsyncConnectionDriver(ConnectionDriver, Protocol):
    """What a connection of an asynchronous adapter needs of its driver."""

    def look(self) -> None:
        """Feed the agent what has arrived by now. Before and after its block this does nothing."""
        ...


D = TypeVar("D", bound=AsyncConnectionDriver)


class AsyncIceConnection(IceConnectionBase[D]):
    """A running ICE agent; ``open_ice`` makes it.

    Everything that waits raises `IceClosed` once the agent is closed, `ConsentLost` (an `IceClosed`) once the
    peer's consent is lost, and `IceFailed` once connecting has failed.
    """

    __slots__ = ("_concluded", "_news")

    def _prepare(self) -> None:
        self._news: AsyncEvent | None = None  # made when somebody waits: an idle connection has none
        self._concluded: AsyncEvent | None = None  # for those who wait for nothing but the end of connecting

    # ------------------------------------------------------------- what a runtime supplies

    _checkpoint: Callable[[], Coroutine[Any, Any, object]]
    _event: Callable[[], AsyncEvent]

    # ------------------------------------------------------------- connecting

    async def gather(self) -> Description:
        """Gather all local candidates, and return the complete description: of several streams
        what `local_descriptions` has.

        Cancelling is safe: gathering goes on, and a second call waits for its end.

        Raises:
            IceClosed: the connection is closed, perhaps only now.
        """
        self._start_gathering()
        await self._checkpoint()
        while not self._is_gathered():
            await self._park()
        return self._complete_description()

    def candidates(self, *, stream: int = 0) -> AsyncCandidates:
        """Start gathering, and iterate over the local candidates of a stream as they are found, from the first one.

        Raises:
            LocalProtocolError: there is no such stream.
        """
        self._inbox(stream, 1)
        self._start_gathering()
        return AsyncCandidates(self, stream)

    async def connect(self, remote: Description | SessionDescription) -> CandidatePair:
        """Tell the agent the peer's description, and wait until a pair is selected for every component.

        Gathering is started where that has not been done. Cancelling is safe: the agent goes on connecting,
        and `connected` goes on waiting.

        Raises:
            IceFailed: nothing connected; it carries `explain`.
            LocalProtocolError: a second call, or what `IceAgent.set_remote` refuses; then it may be called again.

        Returns:
            The pair of the first component of the first stream; `selected_pair_of` has the others.
        """
        self._start_connecting(remote)
        return await self.connected()

    async def connected(self) -> CandidatePair:
        """Wait until a pair is selected for every component; that of the first one. Cancelling is safe.

        Raises:
            IceFailed: nothing connected; of several streams, one did not, and the others go on.
        """
        pair = self._connected_pair()
        if pair is not None:
            await self._checkpoint()
            pair = self._connected_pair()
        while pair is None:
            await self._until_concluded()
            pair = self._connected_pair()
        return pair

    async def restart_needed(self) -> None:
        """Wait until only `restart` helps: the network has changed, or nobody has answered for 30 s (`RestartNeeded`).

        Cancelling is safe.

        Then `restart`, `gather`, tell the peer, and `connect` with the answer.
        """
        if self.needs_restart:
            await self._checkpoint()
        while not self.needs_restart:
            if self._is_closed():
                self._raise_if_over()
            await self._until_news()  # also where it has failed: there may be another network later

    async def changed(self) -> None:
        """Wait until something is new: the state, a candidate, a pair, data. Cancelling is safe."""
        await self._park()

    def states(self) -> AsyncIceStates:
        """Iterate over the states of the agent: the present one, and each that it comes to. See `AsyncIceStates`."""
        return AsyncIceStates(self)

    # ------------------------------------------------------------- data

    async def send(self, data: bytes, *, stream: int = 0, component: int = 1) -> None:
        """Send a datagram, as `send_nowait` does. Cancelling is safe: then it was not sent."""
        await self._checkpoint()
        self.send_nowait(data, stream=stream, component=component)

    async def receive(self, *, stream: int = 0, component: int = 1) -> bytes:
        """Wait for a datagram. Cancelling is safe: no data is lost.

        What has arrived before the end is given out before the end is told.
        """
        inbox = self._inbox(stream, component)
        if inbox:
            await self._checkpoint()
        while not inbox:
            self._raise_if_over_of(stream)
            await self._park(inbox)
        return inbox.take()

    def channel(
        self, stream: int = 0, component: int = 1, *, max_queued: int | None = None, max_queued_bytes: int | None = None
    ) -> AsyncIceChannel:
        """One component, for who wants to know of no other.

        Args:
            stream, component: which one.
            max_queued, max_queued_bytes: what may wait of it, where that is not what ``open_ice`` was told.

        Raises:
            LocalProtocolError: there is no such component, or no room in such a queue.
        """
        self._resize(stream, component, max_queued, max_queued_bytes)
        return AsyncIceChannel(self, stream, component)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """As `receive`; iteration ends where the agent is closed, and raises where it failed or lost consent."""
        return await self._next(0, 1)

    # ------------------------------------------------------------- inside

    async def _next(self, stream: int, component: int) -> bytes:
        try:
            return await self.receive(stream=stream, component=component)
        except (ConsentLost, IceFailed):
            raise
        except IceClosed:
            raise StopAsyncIteration from None

    def _wake(self, inbox: Inbox | None = None) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None
        if self._concluded is not None and (self._left or not self._is_under_way()):
            self._concluded.set()
            self._concluded = None
        for one in self._all_inboxes() if inbox is None else (inbox,):
            if one.news is not None:
                one.news.set()
                one.news = None

    async def _park(self, inbox: Inbox | None = None) -> None:
        """Wait for data of one component, or for anything; raise where there is nothing to wait for any more.

        What has arrived already is looked for first: that costs less than to have oneself woken.
        """
        if inbox is not None:
            self._driver.look()
            if inbox:
                await self._checkpoint()
                return
        self._raise_if_over()
        await self._until_news(inbox)

    async def _until_news(self, inbox: Inbox | None = None) -> None:
        """Wait for data of one component, or for anything; either way for changes of the agent."""
        if inbox is not None:
            if inbox.news is None:
                inbox.news = self._event()
            await inbox.news.wait()
            return
        if self._news is None:
            self._news = self._event()
        news = self._news
        self._driver.look()
        if self._news is news:
            await news.wait()
        else:
            await self._checkpoint()

    async def _until_concluded(self) -> None:
        """Wait until every component may have its pair, or there is nothing to wait for: what comes before is no news."""
        if self._concluded is None:
            self._concluded = self._event()
        concluded = self._concluded
        self._driver.look()
        if self._concluded is concluded:
            await concluded.wait()
        else:
            await self._checkpoint()


class AsyncIceChannel(IceChannelBase[AsyncIceConnection[Any]]):
    """One component of a connection; ``IceConnection.channel`` makes it. It raises what the connection would.

    Attributes:
        stream, component: which one.
    """

    __slots__ = ()

    async def send(self, data: bytes) -> None:
        """Send a datagram, as `send_nowait` does. Cancelling is safe: then it was not sent."""
        await self._ice.send(data, stream=self.stream, component=self.component)

    async def receive(self) -> bytes:
        """Wait for a datagram. Cancelling is safe: no data is lost."""
        return await self._ice.receive(stream=self.stream, component=self.component)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """As `receive`; iteration ends where the agent is closed, and raises where it failed or lost consent."""
        return await self._ice._next(self.stream, self.component)


class AsyncCandidates:
    """Local candidates as they are found: an asynchronous iterator. Cancelling it is safe."""

    __slots__ = ("_given", "_ice", "_stream")

    def __init__(self, ice: AsyncIceConnection[Any], stream: int) -> None:
        self._ice = ice
        self._stream = stream
        self._given: list[Candidate] = []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Candidate:
        ice = self._ice
        await ice._checkpoint()
        while (candidate := ice._candidate(self._stream, self._given)) is None:
            if ice._has_all_candidates():
                raise StopAsyncIteration
            await ice._park()
        self._given.append(candidate)
        return candidate


class AsyncIceStates(IceStatesBase):
    """The states of a connection: an asynchronous iterator that begins with the present one, and ends after ``CLOSED``.

    However slowly it is read, no state is left out: the last `MAX_STATES` of them wait; beyond that the oldest are counted as
    missed. Cancelling it is safe. It raises nothing: a failure is a state.

    Attributes:
        missed: how many were left out.
    """

    __slots__ = ()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> IceState:
        ice: AsyncIceConnection[Any] = self._ice
        await ice._checkpoint()
        while (state := self._take()) is None:
            if self._is_over():
                raise StopAsyncIteration
            await ice._until_news()
        return state
