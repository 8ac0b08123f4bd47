"""ICE for an application: `open_ice` and the connection that it gives."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self, Unpack

import trio

from sansice import Entropy
from sansice.ice import (
    MAX_QUEUED,
    MAX_QUEUED_BYTES,
    Candidate,
    CandidatePair,
    ConsentLost,
    Credentials,
    Description,
    IceArguments,
    IceClosed,
    IceConfig,
    IceConnectionBase,
    IceFailed,
    IceServer,
)
from sansice.sockets import InterfaceFilter

from ._custom import host_addresses
from ._driver import TrioDriver
from ._recording import RecordTo, open_recorder

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
    record: RecordTo = None,
) -> AbstractAsyncContextManager[IceConnection]:
    """Open an ICE agent, in an ``async with`` block.

    Leaving the block closes the agent and every socket; nothing runs afterwards. An exception of the body
    comes out as it is.

    Args:
        controlling: the first guess of the role, usually of the side that makes the offer; conflicts are
            settled by the protocol.
        lite, streams, components, policy, nomination: only the defaults are built so far.
        ice_servers: STUN servers: `IceServer` values, or URLs such as ``"stun:stun.example.org"``, whose names are
            looked up while gathering.
        credentials: used as given; drawn from ``entropy`` otherwise.
        trickle: tell the peer that candidates may follow the description (RFC 8838).
        include_loopback: ``None``: only where the machine has no other address.
        interface_filter: asked with an interface's name and an address of it, whether to use that.
        port_range: the lowest and the highest local port to use, tried upwards.
        entropy: the only source of randomness.
        config: timers and bounds of the agent.
        max_queued, max_queued_bytes: received data that may wait; beyond either the oldest datagram is
            dropped, and counted as ``DropReason.QUEUE_FULL`` in `IceConnection.stats`.
        record: a file that the agent's whole life is written to, for `sansice.simulation.replay_file` and ``sansice
            replay``. Secrets and data are in it: it is readable by the user alone.

    Raises:
        LocalProtocolError: an argument that is wrong, or not supported yet.
        OSError: the file of ``record`` cannot be opened.
    """
    return IceConnection(
        controlling=controlling,
        lite=lite,
        ice_servers=ice_servers,
        credentials=credentials,
        streams=streams,
        components=components,
        trickle=trickle,
        policy=policy,
        include_loopback=include_loopback,
        interface_filter=interface_filter,
        port_range=port_range,
        nomination=nomination,
        entropy=entropy,
        config=config,
        max_queued=max_queued,
        max_queued_bytes=max_queued_bytes,
        recorder=open_recorder(record),
    )


class IceConnection(IceConnectionBase[TrioDriver]):
    """A running ICE agent; `open_ice` makes it.

    Everything that waits raises `IceClosed` once the agent is closed, `ConsentLost` (an `IceClosed`) once the
    peer's consent is lost, and `IceFailed` once connecting has failed.
    """

    __slots__ = ("_news",)

    def __init__(self, **arguments: Unpack[IceArguments]) -> None:
        super().__init__(lambda agent, deliver, ports: TrioDriver(agent, deliver, ports=ports), **arguments)
        self._news: trio.Event | None = None

    async def __aenter__(self) -> Self:
        await self._driver.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            return await self._driver.__aexit__(kind, error, trace)
        finally:
            self._leave()

    # ------------------------------------------------------------- connecting

    async def gather(self) -> Description:
        """Gather all local candidates, and return the complete description.

        Cancelling is safe: gathering goes on, and a second call waits for its end.

        Raises:
            IceClosed: the connection is closed, perhaps only now.
        """
        self._start_gathering()
        await trio.lowlevel.checkpoint()
        while not self._is_gathered():
            await self._park()
        return self._complete_description()

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
        self._start_connecting(remote)
        return await self.connected()

    async def connected(self) -> CandidatePair:
        """Wait until a pair is selected. Cancelling is safe.

        Raises:
            IceFailed: nothing connected.
        """
        if self.selected_pair is not None:
            await trio.lowlevel.checkpoint()
        while (pair := self._connected_pair()) is None:
            await self._park()
        return pair

    async def changed(self) -> None:
        """Wait until something is new: the state, a candidate, a pair, data. Cancelling is safe."""
        await self._park()

    # ------------------------------------------------------------- data

    async def send(self, data: bytes, *, stream: int = 0, component: int = 1) -> None:
        """Send a datagram, as `send_nowait` does. Cancelling is safe: then it was not sent."""
        await trio.lowlevel.checkpoint()
        self.send_nowait(data, stream=stream, component=component)

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

    def _host_addresses(self) -> Sequence[str]:
        return host_addresses(self._interface_filter)

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None

    async def _park(self) -> None:
        self._raise_if_over()
        if self._news is None:  # made when somebody waits: an idle connection has none
            self._news = trio.Event()
        await self._news.wait()


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
        while (candidate := self._ice._candidate(self._told)) is None:
            if self._ice._is_gathered():
                raise StopAsyncIteration
            await self._ice._park()
        self._told += 1
        return candidate
