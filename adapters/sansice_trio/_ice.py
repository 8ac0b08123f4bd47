"""ICE for an application: `open_ice` and the connection that it gives."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

import attrs
import trio

from sansice import DropReason, Entropy, Event, LocalProtocolError
from sansice.ice import (
    Candidate,
    CandidatePair,
    ConsentLost,
    Credentials,
    DataReceived,
    Description,
    GatheringState,
    IceAgent,
    IceClosed,
    IceConfig,
    IceFailed,
    IceRole,
    IceServer,
    IceState,
    IceStats,
    WouldBlock,
)

from ._driver import TrioDriver
from ._interfaces import InterfaceFilter, host_addresses

MAX_QUEUED = 1024  # datagrams that wait for a slow reader: half a second of video at 20 Mbit/s
MAX_QUEUED_BYTES = 2**20  # or 16 datagrams of the largest kind
_DEFAULT_CONFIG = IceConfig()


def open_ice(
    *,
    controlling: bool,
    lite: bool = False,
    ice_servers: Iterable[IceServer | str] = (),
    credentials: Credentials | None = None,
    streams: int = 1,
    components: int = 1,
    trickle: bool = False,
    policy: str = "all",
    include_loopback: bool | None = None,
    interface_filter: InterfaceFilter | None = None,
    port_range: tuple[int, int] | None = None,
    nomination: None = None,
    entropy: Entropy = os.urandom,
    config: IceConfig = _DEFAULT_CONFIG,
    max_queued: int = MAX_QUEUED,
    max_queued_bytes: int = MAX_QUEUED_BYTES,
) -> AbstractAsyncContextManager[IceConnection]:
    """Open an ICE agent, in an ``async with`` block.

    Leaving the block closes the agent and every socket; nothing runs afterwards. An exception of the body
    comes out as it is.

    Args:
        controlling: the first guess of the role, usually of the side that makes the offer; conflicts are
            settled by the protocol.
        lite, streams, components, policy, nomination: only the defaults are built so far.
        ice_servers: STUN servers: `IceServer` values, or URLs such as ``"stun:192.0.2.1:3478"``. Names are
            not resolved yet.
        credentials: used as given; drawn from ``entropy`` otherwise.
        trickle: tell the peer that candidates may follow the description (RFC 8838).
        include_loopback: ``None``: only where the machine has no other address.
        interface_filter: asked with an interface's name and an address of it, whether to use that.
        port_range: the lowest and the highest local port to use, tried upwards.
        entropy: the only source of randomness.
        config: timers and bounds of the agent.
        max_queued, max_queued_bytes: received data that may wait; beyond either the oldest datagram is
            dropped, and counted as ``DropReason.QUEUE_FULL`` in `IceConnection.stats`.

    Raises:
        LocalProtocolError: an argument that is wrong, or not supported yet.
    """
    for name, is_built in (
        ("lite", not lite),
        ("streams", streams == 1),
        ("components", components == 1),
        ("policy", policy == "all"),
        ("nomination", nomination is None),
    ):
        if not is_built:
            raise LocalProtocolError(f"open_ice(): only the default of {name} is supported so far")
    if port_range is not None and not _is_port_range(port_range):
        raise LocalProtocolError(f"open_ice(): port_range {port_range} is not (lowest, highest) within 1..65535")
    if min(max_queued, max_queued_bytes) < 1:
        raise LocalProtocolError("open_ice(): a queue of less than one datagram")
    agent = IceAgent(
        controlling=controlling,
        servers=ice_servers,
        credentials=credentials,
        config=config,
        entropy=entropy,
    )
    return IceConnection(
        agent,
        interface_filter=interface_filter,
        include_loopback=include_loopback,
        ports=port_range and range(port_range[0], port_range[1] + 1),
        trickle=trickle,
        max_queued=max_queued,
        max_queued_bytes=max_queued_bytes,
    )


def _is_port_range(value: object) -> bool:
    match value:
        case (int(lowest), int(highest)):
            return 1 <= lowest <= highest <= 65535
    return False


class IceConnection:
    """A running ICE agent; `open_ice` makes it.

    Everything that waits raises `IceClosed` once the agent is closed, `ConsentLost` (an `IceClosed`) once the
    peer's consent is lost, and `IceFailed` once connecting has failed.
    """

    # One object a connection, and many of them in a server: a list costs an idle queue 56 bytes, a deque 700.
    __slots__ = (
        "_agent",
        "_connecting",
        "_driver",
        "_include_loopback",
        "_interface_filter",
        "_left",
        "_max_queued",
        "_max_queued_bytes",
        "_news",
        "_queue",
        "_queued_bytes",
        "_trickle",
    )

    def __init__(
        self,
        agent: IceAgent,
        *,
        interface_filter: InterfaceFilter | None,
        include_loopback: bool | None,
        ports: range | None,
        trickle: bool,
        max_queued: int,
        max_queued_bytes: int,
    ) -> None:
        self._agent = agent
        self._driver = TrioDriver(agent, self._deliver, ports=ports)
        self._interface_filter = interface_filter
        self._include_loopback = include_loopback
        self._trickle = trickle
        self._max_queued = max_queued
        self._max_queued_bytes = max_queued_bytes
        self._queue: list[bytes] = []
        self._queued_bytes = 0
        self._news: trio.Event | None = None
        self._connecting = self._left = False

    async def __aenter__(self) -> Self:
        await self._driver.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            return await self._driver.__aexit__(kind, error, trace)
        finally:
            self._left = True
            self._tell_waiting()

    # ------------------------------------------------------------- what may be read

    @property
    def state(self) -> IceState:
        """The state, in W3C's words."""
        return self._agent.state

    @property
    def role(self) -> IceRole:
        """The role of this moment."""
        return self._agent.role

    @property
    def writable(self) -> bool:
        """Whether `send` would send: from the first valid pair on."""
        return self._agent.writable

    @property
    def selected_pair(self) -> CandidatePair | None:
        """The nominated pair, once there is one."""
        return self._agent.selected_pair

    @property
    def pairs(self) -> tuple[CandidatePair, ...]:
        """All pairs, by decreasing priority."""
        return self._agent.pairs

    @property
    def local_candidates(self) -> tuple[Candidate, ...]:
        """What was gathered so far."""
        return self._agent.local_candidates

    @property
    def remote_candidates(self) -> tuple[Candidate, ...]:
        """What the peer told, and what its checks revealed."""
        return self._agent.remote_candidates

    @property
    def local_description(self) -> Description:
        """What to tell the peer, with the candidates gathered so far."""
        description = self._agent.local_description
        if self._trickle:
            description = attrs.evolve(description, options=(*description.options, "trickle"))
        return description

    @property
    def lost(self) -> Mapping[str, int]:
        """How many datagrams the system refused to send, by reason."""
        return self._driver.lost

    def stats(self) -> IceStats:
        """A copy of the counters."""
        stats = self._agent.stats
        return attrs.evolve(stats, dropped=Counter(stats.dropped))

    def explain(self) -> str:
        """What was tried and how far it got, for a person."""
        return self._agent.explain()

    async def changed(self) -> None:
        """Wait until something is new: the state, a candidate, a pair, data. Cancelling is safe."""
        await self._park()

    # ------------------------------------------------------------- connecting

    async def gather(self) -> Description:
        """Gather all local candidates, and return the complete description.

        Cancelling is safe: gathering goes on, and a second call waits for its end.

        Raises:
            IceClosed: the connection is closed, perhaps only now.
        """
        self._start_gathering()
        await trio.lowlevel.checkpoint()
        while self._agent.gathering_state is not GatheringState.COMPLETE:
            await self._park()
        if self._agent.state is IceState.CLOSED:  # which ends gathering too
            self._raise_if_over()
        return self.local_description

    def candidates(self) -> Candidates:
        """Start gathering, and iterate over the local candidates as they are found, from the first one."""
        self._start_gathering()
        return Candidates(self)

    async def connect(self, remote: Description) -> CandidatePair:
        """Tell the agent the peer's description, and wait until a pair is selected.

        Gathering is started where that has not been done. Cancelling is safe: the agent goes on connecting,
        and `connected` goes on waiting.

        Raises:
            IceFailed: nothing connected; it carries `explain`.
            LocalProtocolError: a second call, or what `IceAgent.set_remote` refuses; then it may be called again.
        """
        self._raise_if_over()
        if self._connecting:
            raise LocalProtocolError("connect() was called before: wait with connected()")
        self._start_gathering()
        self._driver.call(self._agent.set_remote, remote)
        self._connecting = True
        return await self.connected()

    async def connected(self) -> CandidatePair:
        """Wait until a pair is selected. Cancelling is safe.

        Raises:
            IceFailed: nothing connected.
        """
        if self._agent.selected_pair is not None:
            await trio.lowlevel.checkpoint()
        while True:
            self._raise_if_over()
            pair = self._agent.selected_pair
            if pair is not None:
                return pair
            await self._park()

    def add_remote_candidate(self, candidate: Candidate) -> bool:
        """Add a candidate that the peer trickled. See `IceAgent.add_remote_candidate`."""
        return self._driver.call(self._agent.add_remote_candidate, candidate)

    def end_of_candidates(self) -> None:
        """The peer has no more candidates. See `IceAgent.end_of_candidates`."""
        self._driver.call(self._agent.end_of_candidates)

    def restart(self) -> None:
        """Restart ICE with new credentials: not supported yet.

        Raises:
            LocalProtocolError: always.
        """
        self._driver.call(self._agent.restart)

    def close(self) -> None:
        """Close the agent now. Whoever waits gets `IceClosed`; a second call is harmless."""
        self._driver.call(self._agent.close)

    # ------------------------------------------------------------- data

    async def send(self, data: bytes, *, stream: int = 0, component: int = 1) -> None:
        """Send a datagram, as `send_nowait` does. Cancelling is safe: then it was not sent."""
        await trio.lowlevel.checkpoint()
        self.send_nowait(data, stream=stream, component=component)

    def send_nowait(self, data: bytes, *, stream: int = 0, component: int = 1) -> None:
        """Send a datagram, from the first valid pair on. What the system refuses is lost, and counted in `lost`.

        Raises:
            NotConnected: no pair is valid; nothing was done.
            LocalProtocolError: data that cannot be sent. See `IceAgent.send`.
        """
        if not self._agent.writable:
            self._raise_if_over()  # or the agent says what is missing
        self._driver.call(self._agent.send, data, stream=stream, component=component)

    async def receive(self, *, stream: int = 0, component: int = 1) -> bytes:
        """Wait for a datagram. Cancelling is safe: no data is lost.

        What has arrived before the end is given out before the end is told.
        """
        self._check_component(stream, component)
        if self._queue:
            await trio.lowlevel.checkpoint()
        while not self._queue:
            await self._park()
        return self._take()

    def receive_nowait(self, *, stream: int = 0, component: int = 1) -> bytes:
        """The oldest datagram that waits.

        Raises:
            WouldBlock: none does.
        """
        self._check_component(stream, component)
        if not self._queue:
            self._raise_if_over()
            raise WouldBlock("receive_nowait(): nothing has arrived")
        return self._take()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """As `receive`; iteration ends where the agent is closed, and raises where it failed or lost consent."""
        try:
            return await self.receive()
        except (ConsentLost, IceFailed):
            raise
        except IceClosed:
            raise StopAsyncIteration from None

    # ------------------------------------------------------------- inside

    def _start_gathering(self) -> None:
        if self._agent.gathering_state is GatheringState.NEW:
            self._raise_if_over()
            addresses = host_addresses(self._interface_filter)
            self._driver.call(self._agent.gather, addresses, include_loopback=self._include_loopback)

    def _check_component(self, stream: int, component: int) -> None:
        if (stream, component) != (0, 1):
            raise LocalProtocolError(f"receive(): there is no stream {stream} with a component {component}")

    def _take(self) -> bytes:
        data = self._queue.pop(0)
        self._queued_bytes -= len(data)
        return data

    def _deliver(self, event: Event) -> None:
        if type(event) is DataReceived:
            data = event.data
            self._queue.append(data)
            self._queued_bytes += len(data)
            while len(self._queue) > self._max_queued or self._queued_bytes > self._max_queued_bytes:
                self._take()
                self._agent.stats.drop(DropReason.QUEUE_FULL)
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None

    async def _park(self) -> None:
        self._raise_if_over()
        if self._news is None:  # made when somebody waits: an idle connection has none
            self._news = trio.Event()
        await self._news.wait()

    def _raise_if_over(self) -> None:
        error = self._agent.failure
        if error is not None:
            raise error
        if self._left:  # the driver broke down before it could close the agent
            raise IceClosed("the connection is closed")


class Candidates:
    """Local candidates as they are found: an asynchronous iterator. Cancelling it is safe."""

    __slots__ = ("_ice", "_told")

    def __init__(self, ice: IceConnection) -> None:
        self._ice = ice
        self._told = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Candidate:
        await trio.lowlevel.checkpoint()
        agent = self._ice._agent
        while self._told >= len(agent.local_candidates):
            if agent.gathering_state is GatheringState.COMPLETE:
                raise StopAsyncIteration
            await self._ice._park()
        self._told += 1
        return agent.local_candidates[self._told - 1]
