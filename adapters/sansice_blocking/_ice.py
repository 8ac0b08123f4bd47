"""ICE for an application: `open_ice` and the connection that it gives."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

from sansice import Entropy
from sansice.ice import (
    MAX_QUEUED,
    MAX_QUEUED_BYTES,
    Candidate,
    CandidatePair,
    CandidatePolicy,
    ConsentLost,
    Credentials,
    Description,
    GatheringOptions,
    HostAddress,
    IceArguments,
    IceChannelBase,
    IceClosed,
    IceConfig,
    IceConnectionBase,
    IceFailed,
    IceServer,
    IceState,
    IceStatesBase,
    Inbox,
    Nomination,
    Pacer,
    SessionDescription,
)
from sansice.sockets import InterfaceFilter, TlsConfig, from_sockaddr, local_hosts

from ._driver import BlockingDriver
from ._recording import RecordTo, open_recorder

if TYPE_CHECKING:
    from ._network import SharedWatch

R = TypeVar("R")

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
) -> AbstractContextManager[IceConnection]:
    """Open an ICE agent, in a ``with`` block.

    Leaving the block closes the agent and every socket, and ends its thread. An exception of the body
    comes out as it is. Several threads may use the connection.

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
        pacer: shared with other agents of the process, each of which has a thread of its own, so that all of them together begin
            one transaction in 5 ms (RFC 8445 14.2); not with ``record``. Without one each keeps its own pace.
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
        pacer=_guarded(pacer),
        gathering=gathering,
        entropy=entropy,
        config=config,
        max_queued=max_queued,
        max_queued_bytes=max_queued_bytes,
        recorder=open_recorder(record),
    )


class IceConnection(IceConnectionBase[BlockingDriver]):
    """A running ICE agent; `open_ice` makes it. Any thread may call it.

    Everything that waits raises `IceClosed` once the agent is closed, `ConsentLost` (an `IceClosed`) once the
    peer's consent is lost, and `IceFailed` once connecting has failed. Where a ``timeout`` in seconds is given,
    `TimeoutError` is raised after it, and nothing is lost: the agent goes on, and waiting again is safe.
    """

    __slots__ = ("_changes", "_news", "_seen", "_watching")

    _address_of = staticmethod(from_sockaddr)

    def __init__(self, tls: TlsConfig | Mapping[str, TlsConfig] | None, **arguments: Unpack[IceArguments]) -> None:
        super().__init__(lambda agent, deliver, ports: BlockingDriver(agent, deliver, ports=ports, tls=tls), **arguments)
        self._driver._at_failure = self._leave

    def _prepare(self) -> None:
        self._news = threading.Condition(self._driver.lock)
        self._changes = 0
        self._seen = threading.local()
        self._watching: SharedWatch | None = None

    def __enter__(self) -> Self:
        self._driver.__enter__()
        if self._watch_network is not False:
            from ._network import SharedWatch

            self._watching = SharedWatch.shared(self._interval)
            self._watching.join(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._watching is not None:
            self._watching.leave(self)
        try:
            self._driver.__exit__(kind, error, trace)
        finally:
            self._leave()

    # ------------------------------------------------------------- connecting

    def gather(self, *, timeout: float | None = None) -> Description:
        """Gather all local candidates, and return the complete description: of several streams
        what `local_descriptions` has.

        Raises:
            IceClosed: the connection is closed, perhaps only now.
            TimeoutError: gathering goes on, and a second call waits for its end.
        """
        with self._driver.lock:
            self._start_gathering()
            self._wait(self._is_gathered, timeout, "gather")
            return self._complete_description()

    def candidates(self, *, stream: int = 0) -> Candidates:
        """Start gathering, and iterate over the local candidates of a stream as they are found, from the first one.

        Raises:
            LocalProtocolError: there is no such stream.
        """
        self._inbox(stream, 1)
        with self._driver.lock:
            self._start_gathering()
        return Candidates(self, stream)

    def connect(self, remote: Description | SessionDescription, *, timeout: float | None = None) -> CandidatePair:
        """Tell the agent the peer's description, and wait until a pair is selected for every component.

        Gathering is started where that has not been done.

        Raises:
            IceFailed: nothing connected; it carries `explain`.
            LocalProtocolError: a second call, or what `IceAgent.set_remote` refuses; then it may be called again.
            TimeoutError: the agent goes on connecting, and `connected` goes on waiting.

        Returns:
            The pair of the first component of the first stream; `selected_pair_of` has the others.
        """
        with self._driver.lock:
            self._start_connecting(remote)
            return self.connected(timeout=timeout)

    def connected(self, *, timeout: float | None = None) -> CandidatePair:
        """Wait until a pair is selected for every component; that of the first one.

        Raises:
            IceFailed: nothing connected; of several streams, one did not, and the others go on.
            TimeoutError: not yet.
        """
        with self._driver.lock:
            return self._wait(self._connected_pair, timeout, "connected")

    def restart_needed(self, *, timeout: float | None = None) -> None:
        """Wait until only `restart` helps: the network has changed, or nobody has answered for 30 s; see `RestartNeeded`.

        Then `restart`, `gather`, tell the peer, and `connect` with the answer.

        Raises:
            IceClosed: the connection is closed.
            TimeoutError: it is not needed.
        """
        with self._driver.lock:
            # Also where it has failed: there may be another network later.
            if not self._news.wait_for(lambda: self.needs_restart or self._is_closed(), timeout):
                raise TimeoutError(f"restart_needed(): not within {timeout:g} s")
            if not self.needs_restart:
                self._raise_if_over()

    def changed(self, *, timeout: float | None = None) -> None:
        """Wait until something is new since this thread's last call: the state, a candidate, a pair, data.

        Raises:
            TimeoutError: nothing is.
        """
        with self._driver.lock:
            self._raise_if_over()
            seen = getattr(self._seen, "changes", 0)
            self._wait(lambda: self._changes != seen, timeout, "changed")
            self._seen.changes = self._changes

    def states(self) -> IceStates:
        """Iterate over the states of the agent: the present one, and each that it comes to. See `IceStates`."""
        with self._driver.lock:
            return IceStates(self)

    # ------------------------------------------------------------- data

    def send(self, data: bytes, *, stream: int = 0, component: int = 1) -> None:
        """Send a datagram: `send_nowait`, under the name that the other adapters have for it. Never waits."""
        self.send_nowait(data, stream=stream, component=component)

    def receive(self, *, stream: int = 0, component: int = 1, timeout: float | None = None) -> bytes:
        """Wait for a datagram.

        What has arrived before the end is given out before the end is told.

        Raises:
            TimeoutError: nothing has arrived.
        """
        inbox = self._inbox(stream, component)

        def look() -> Inbox:
            if not inbox:
                self._raise_if_over_of(stream)
            return inbox

        with self._driver.lock:
            self._wait(look, timeout, "receive")
            return inbox.take()

    def receive_nowait(self, *, stream: int = 0, component: int = 1) -> bytes:
        """The oldest datagram that waits.

        Raises:
            WouldBlock: none does.
        """
        with self._driver.lock:
            return super().receive_nowait(stream=stream, component=component)

    def channel(
        self, stream: int = 0, component: int = 1, *, max_queued: int | None = None, max_queued_bytes: int | None = None
    ) -> IceChannel:
        """One component, for who wants to know of no other.

        Args:
            stream, component: which one.
            max_queued, max_queued_bytes: what may wait of it, where that is not what ``open_ice`` was told.

        Raises:
            LocalProtocolError: there is no such component, or no room in such a queue.
        """
        with self._driver.lock:
            self._resize(stream, component, max_queued, max_queued_bytes)
        return IceChannel(self, stream, component)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """As `receive`; iteration ends where the agent is closed, and raises where it failed or lost consent."""
        return self._next(0, 1)

    # ------------------------------------------------------------- inside

    def _next(self, stream: int, component: int) -> bytes:
        try:
            return self.receive(stream=stream, component=component)
        except (ConsentLost, IceFailed):
            raise
        except IceClosed:
            raise StopIteration from None

    def _host_addresses(self, *, in_use: Sequence[HostAddress | str] = (), refresh: bool = False) -> Sequence[HostAddress | str]:
        return local_hosts(self._interface_filter, in_use=in_use, refresh=refresh)

    def _wake(self, inbox: Inbox | None = None) -> None:
        with self._driver.lock:
            self._changes += 1
            self._news.notify_all()

    def _look(self, read: Callable[[], R]) -> R:
        with self._driver.lock:
            return read()

    def _wait(self, look: Callable[[], R | None], timeout: float | None, what: str) -> R:
        """Wait until ``look`` finds something, or it is over."""

        def look_again() -> R | None:
            found = look()
            if not found:
                self._raise_if_over()
            return found

        with self._driver.lock:
            found = self._news.wait_for(look_again, timeout)
            if not found:
                raise TimeoutError(f"{what}(): not within {timeout} s")
            return found


class IceChannel(IceChannelBase[IceConnection]):
    """One component of a connection; `IceConnection.channel` makes it. It raises what the connection would.

    Attributes:
        stream, component: which one.
    """

    __slots__ = ()

    def send(self, data: bytes) -> None:
        """Send a datagram, as `send_nowait` does. Never waits."""
        self.send_nowait(data)

    def receive(self, *, timeout: float | None = None) -> bytes:
        """Wait for a datagram.

        Raises:
            TimeoutError: nothing has arrived.
        """
        return self._ice.receive(stream=self.stream, component=self.component, timeout=timeout)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """As `receive`; iteration ends where the agent is closed, and raises where it failed or lost consent."""
        return self._ice._next(self.stream, self.component)


class Candidates:
    """Local candidates as they are found: an iterator."""

    __slots__ = ("_given", "_ice", "_stream")

    def __init__(self, ice: IceConnection, stream: int) -> None:
        self._ice = ice
        self._stream = stream
        self._given: list[Candidate] = []

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Candidate:
        ice = self._ice
        with ice._driver.lock:
            ice._wait(lambda: ice._candidate(self._stream, self._given) or ice._has_all_candidates(), None, "candidates")
            candidate = ice._candidate(self._stream, self._given)
        if candidate is None:
            raise StopIteration
        self._given.append(candidate)
        return candidate


class IceStates(IceStatesBase):
    """The states of a connection: an iterator that begins with the present one, and ends after ``CLOSED``.

    However slowly it is read, no state is left out: the last `sansice.ice.MAX_STATES` of them wait; beyond that the oldest
    are counted as missed. It raises nothing: a failure is a state.

    Attributes:
        missed: how many were left out.
    """

    __slots__ = ()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> IceState:
        ice: IceConnection = self._ice
        with ice._driver.lock:
            while (state := self._take()) is None:
                if self._is_over():
                    raise StopIteration
                ice._news.wait()
            return state


_LOCK = threading.Lock()  # one for all pacers: each call takes a microsecond


class _GuardedPacer(Pacer):
    """The pacer that it is given, asked by one thread at a time."""

    __slots__ = ("_shared",)

    def __init__(self, shared: Pacer) -> None:
        super().__init__(shared.interval)
        self._shared = shared

    def reserve(self, now: float) -> float:
        with _LOCK:
            return self._shared.reserve(now)

    def started(self, now: float) -> None:
        with _LOCK:
            self._shared.started(now)

    def is_quiet(self, now: float) -> bool:
        with _LOCK:
            return self._shared.is_quiet(now)


def _guarded(pacer: Pacer | None) -> Pacer | None:
    """A pacer as agents with threads of their own may share it; what is none is passed on, for the arguments to be checked."""
    return _GuardedPacer(pacer) if isinstance(pacer, Pacer) else pacer
