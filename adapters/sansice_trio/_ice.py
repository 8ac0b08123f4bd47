"""ICE for an application: `open_ice` and the connection that it gives."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self, TypeAlias, Unpack

import trio

from sansice import Entropy
from sansice.ice import (
    MAX_QUEUED,
    MAX_QUEUED_BYTES,
    AsyncCandidates,
    AsyncIceChannel,
    AsyncIceConnection,
    AsyncIceStates,
    CandidatePolicy,
    Credentials,
    GatheringOptions,
    HostAddress,
    IceArguments,
    IceConfig,
    IceServer,
    Nomination,
    Pacer,
)
from sansice.sockets import InterfaceFilter, TlsConfig, from_sockaddr

from ._custom import host_addresses
from ._driver import TrioDriver
from ._recording import RecordTo, open_recorder

Candidates: TypeAlias = AsyncCandidates
IceChannel: TypeAlias = AsyncIceChannel
IceStates: TypeAlias = AsyncIceStates

_DEFAULT_CONFIG = IceConfig()


def open_ice(
    *,
    controlling: bool,
    lite: bool = False,
    ice_servers: Iterable[IceServer | str] = (),
    credentials: Credentials | Sequence[Credentials] | None = None,
    streams: int = 1,
    components: int | Sequence[int] = 1,
    trickle: bool = False,
    policy: CandidatePolicy | str = "all",
    include_loopback: bool | None = None,
    interface_filter: InterfaceFilter | None = None,
    port_range: tuple[int, int] | None = None,
    watch_network: bool | float = True,
    nomination: Nomination | None = None,
    pacer: Pacer | None = None,
    gathering: GatheringOptions | None = None,
    tls: TlsConfig | Mapping[str, TlsConfig] | None = None,
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
        lite: answer checks, and leave finding the way to the peer: for servers that are reachable as they are, and have no
            ``ice_servers`` (RFC 8445 2.5). See `LiteAgent`.
        policy: what the peer may see: ``"all"``; ``"no-host"``, no address of this network; ``"relay"``, nothing but relayed
            addresses (`CandidatePolicy`).
        watch_network: whether the connection follows changes of this machine's addresses by itself
            (`IceConnection.update_addresses`), from its first second on: the system tells of them on Linux, and elsewhere they
            are looked at every 2 s. A number of seconds has them looked at as often, everywhere. One watch serves all
            connections. What renomination cannot move, `IceConnection.restart` does: `IceConnection.restart_needed` says when.
        nomination: how a controlling agent chooses its pairs, and whether it may change its mind; regular, and once, if left out.
        pacer: shared with other agents of the process, so that all of them together begin one transaction in 5 ms (RFC
            8445 14.2); not with ``record``. Without one each keeps its own pace.
        gathering: which addresses are preferred, what is known of them, whether TCP is used as well, and bounds.
        tls: authorities to trust for ``turns:`` servers, where the system's are not the right ones.
        ice_servers: STUN and TURN servers: `IceServer` values, or URLs such as ``"stun:stun.example.org"``. Their names are
            looked up while gathering; all are asked at once, and one that is silent delays nothing but the complete description.
        credentials: used as given, for all streams or for each one its own; drawn from ``entropy`` otherwise.
        streams: how many.
        components: of each stream, or of each one its own number: RTP and RTCP are two.
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
        tls,
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
        watch_network=watch_network,
        nomination=nomination,
        pacer=pacer,
        gathering=gathering,
        entropy=entropy,
        config=config,
        max_queued=max_queued,
        max_queued_bytes=max_queued_bytes,
        recorder=open_recorder(record),
    )


class IceConnection(AsyncIceConnection[TrioDriver]):
    """A running ICE agent; `open_ice` makes it.

    Everything that waits raises `IceClosed` once the agent is closed, `ConsentLost` (an `IceClosed`) once the
    peer's consent is lost, and `IceFailed` once connecting has failed.
    """

    __slots__ = ()

    _address_of = staticmethod(from_sockaddr)
    _checkpoint = staticmethod(trio.lowlevel.checkpoint)
    _event = trio.Event

    def __init__(self, tls: TlsConfig | Mapping[str, TlsConfig] | None, **arguments: Unpack[IceArguments]) -> None:
        super().__init__(lambda agent, deliver, ports: TrioDriver(agent, deliver, ports=ports, tls=tls), **arguments)

    async def __aenter__(self) -> Self:
        await self._driver.__aenter__()
        if self._watch_network is not False:
            self._join_watch()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._watch_network is not False:
            for watch in tuple(self._driver._reactor.watches.values()):
                watch.leave(self)
        try:
            return await self._driver.__aexit__(kind, error, trace)
        finally:
            self._leave()

    def _host_addresses(self, *, in_use: Sequence[HostAddress | str] = (), refresh: bool = False) -> Sequence[HostAddress | str]:
        return host_addresses(self._interface_filter, in_use=in_use, refresh=refresh)

    def _join_watch(self) -> None:
        from ._network import SharedWatch  # for those who stay

        SharedWatch.shared(self._driver._reactor, self._interval).join(self)
