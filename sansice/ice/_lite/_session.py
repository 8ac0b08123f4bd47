"""What the streams of a lite agent share, and how its pairs come into use and go out of it (RFC 8445 8.2, 9, 11)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from sansice._enums import IdentityEnum
from sansice._timers import FewTimers
from sansice.ice._config import IceConfig
from sansice.ice._description import Credentials
from sansice.ice._events import (
    ICE_TRANSITIONS,
    ConsentExpired,
    GatheringCompleted,
    GatheringState,
    IceCause,
    IceState,
    IceStateChanged,
    PairSelected,
    PairValidated,
    Restarted,
    RestartNeeded,
    StreamFailed,
)
from sansice.ice._gathering._options import GatheringOptions
from sansice.ice._joint_state import joint_state
from sansice.ice._role import IceRole
from sansice.ice._telling._stats import IceStats
from sansice.ice._telling._tally import Ending
from sansice.machine import Action, Address, CloseMode, CloseSocket, Entropy, Event, Ids, SendDatagram, SocketId
from sansice.stun import MessageClass, Method, encode, new_transaction_id

from ._component import Component, LitePair, quiet_after
from ._hosts import Host, Hosts
from ._stream import Generation, Stream

if TYPE_CHECKING:
    from sansice.ice._tcp._paths import TcpPaths

OVER = frozenset({IceState.FAILED, IceState.CLOSED})
_IDLE = frozenset({IceState.NEW, IceState.CLOSED})
_LIVELY = frozenset({IceState.CONNECTED, IceState.COMPLETED})


class Timer(IdentityEnum):
    """What a lite agent waits for."""

    GATHERING = "sockets that have not opened by now are given up"
    PATIENCE = "nothing has come from the peer"
    SILENCE = "the peer's checks come no more"
    KEEPALIVE = "nothing was sent for Tr"
    FREE = "candidates that are not used are released"
    TCP = "connections whose peer has not shown who it is"


class LiteSession:
    """What the streams share, and what happens to them whoever is the cause.

    Attributes:
        state: of the agent, joined from those of the streams.
        gathering: how far it is.
        outputs: what the agent wants done and known, in order.
        tcp: the connections of an agent that listens for them.
    """

    __slots__ = (
        "_pairs",
        "config",
        "entropy",
        "gathering",
        "has_restarted",
        "hosts",
        "outputs",
        "role",
        "state",
        "stats",
        "streams",
        "tcp",
        "timers",
    )

    def __init__(
        self,
        *,
        role: IceRole,
        config: IceConfig,
        gathering: GatheringOptions,
        entropy: Entropy,
        ids: Ids,
        outputs: list[Action | Event],
    ) -> None:
        self.role = role
        self.config = config
        self.entropy = entropy
        self.outputs = outputs
        self.hosts = Hosts(ids, gathering, entropy)
        self.stats = IceStats()
        self.state = IceState.NEW
        self.gathering = GatheringState.NEW
        self.has_restarted = False  # since `IceAgent.gather` was called, which may be called again then
        self.streams: tuple[Stream, ...] = ()
        self.timers: FewTimers[Timer] = FewTimers()
        self.tcp: TcpPaths | None = None
        if self.hosts.has_tcp:
            self._listen(ids, gathering.dscp)
        self._pairs = 0  # that were valid

    def _listen(self, ids: Ids, dscp: int) -> None:
        from sansice.ice._tcp._paths import TcpPaths

        arm = partial(self.timers.set, Timer.TCP)
        self.tcp = TcpPaths(self.outputs, self.config, ids, drop=self.stats.drop, dscp=dscp, arm=arm)

    def move(self, stream: Stream, cause: IceCause) -> None:
        """Take a stream's transition, which is in the table, and tell when the agent's state is another one."""
        before, stream.state = stream.state, ICE_TRANSITIONS[stream.state][cause]
        if len(self.streams) > 1 and stream.state is IceState.FAILED is not before:
            self.outputs.append(StreamFailed(stream.index))
        old, new = self.state, joint_state([one.state for one in self.streams])
        if new is not old:
            self.state = new
            self.outputs.append(IceStateChanged(old, new))

    def emit_send(self, host: Host, destination: Address, data: bytes, *, now: float) -> None:
        """Send from a candidate; on a pair in use it counts as a keepalive (RFC 8445 11)."""
        self.outputs.append(SendDatagram(host.socket, destination, data))
        carrier = self.streams[host.stream].carrier
        if carrier is not None:
            pair = carrier.components[host.component - 1].pair
            if pair is not None and pair.is_on(host.socket, destination):
                pair.sent_at = now

    def cut(self, tcp: TcpPaths) -> None:
        """Connections are no more. What they carried is carried by the one that the peer opens in their place (RFC 6544 11.1)."""
        losses, tcp.losses = tcp.losses, []
        for loss in losses:
            for pair in self.pairs_in_use():
                pair.is_cut = pair.is_cut or pair.is_on(loss.socket, loss.remote)

    # ------------------------------------------------------------- gathering, restarting, freeing

    def open_sockets(self, streams: Sequence[Stream], *, now: float) -> None:
        """Open what these streams lack of one socket for each address and component."""
        for stream in streams:
            self.outputs.extend(self.hosts.ask(stream.index, range(1, len(stream.current.components) + 1)))
        self.gathering = GatheringState.GATHERING
        self.timers.set(Timer.GATHERING, now + self.config.gathering_timeout)
        self.gathered_if_open()

    def gathered_if_open(self) -> None:
        """Say that gathering has ended, once no socket is to open any more."""
        if self.gathering is GatheringState.GATHERING and not self.hosts.is_opening:
            self.timers.cancel(Timer.GATHERING)
            self.gathering = GatheringState.COMPLETE
            self.outputs.append(GatheringCompleted())

    def close_socket(self, socket: SocketId) -> None:
        """Close a socket and forget its candidate."""
        self.hosts.forget(socket)
        if self.tcp is not None and self.tcp.is_base(socket):
            self.tcp.close_base(socket, CloseMode.FLUSH)
        else:
            self.outputs.append(CloseSocket(socket))

    def renew(self, stream: Stream, credentials: Credentials, *, by_peer: bool, now: float) -> None:
        """Begin a generation (RFC 8445 9). Candidates that were freed are gathered again."""
        stream.renew(credentials)
        self.has_restarted = True
        self.outputs.append(Restarted(stream.index, credentials, by_peer))
        self.move(stream, IceCause.RESTART)
        if self.gathering is not GatheringState.NEW:
            self.open_sockets((stream,), now=now)

    def free_unused(self) -> None:
        """Close the sockets that no pair in use has (RFC 8445 8.3.2), unless some stream is still looking."""
        if any(stream.carrier is not stream.current for stream in self.streams):
            return
        used = [pair.host.socket for pair in self.pairs_in_use()]
        for socket in [socket for socket in self.hosts.open if socket not in used]:
            self.close_socket(socket)
        if self.tcp is not None:
            paths = [(pair.host.socket, pair.address) for pair in self.pairs_in_use()]
            for path in self.tcp.paths():
                if path not in paths:
                    self.tcp.close_path(path)  # RFC 6544 8

    def pairs_in_use(self) -> Iterator[LitePair]:
        """On which data is sent."""
        for stream in self.streams:
            if stream.carrier is not None:
                yield from stream.carrier.pairs

    # ------------------------------------------------------------- pairs come into use

    def validate(self, stream: Stream, component: Component, pair: LitePair, *, now: float) -> None:
        """Use ``pair`` from now on, or once every component has one."""
        current = stream.current
        self._pairs += 1
        pair.tally.number = self._pairs
        if current.remote is not None and not current.remote.lite:
            pair.hear(now=now)  # the nomination; a lite peer checks nothing
        component.select(pair, now=now)
        self.outputs.append(PairValidated(stream.index, component.number, pair.snapshot()))
        if current.is_selected:
            stream.count_selection(component.number)
            self.outputs.append(PairSelected(stream.index, component.number, pair.snapshot()))
            self.watch(now=now)

    def conclude_if_complete(self, stream: Stream, *, select: bool, now: float) -> None:
        """Every component has a pair: data is sent on them, and if ``select`` they are the selected ones (RFC 8445 8.2)."""
        current = stream.current
        if not current.is_complete or current.is_selected:
            return
        if stream.carrier is not current:
            stream.conclude()
            self.move(stream, IceCause.VALIDATE)
        if select:
            current.is_selected = True
            self.move(stream, IceCause.SELECT)
            for pair in current.pairs:
                stream.count_selection(pair.host.component)
                self.outputs.append(PairSelected(stream.index, pair.host.component, pair.snapshot()))
            self.timers.set(Timer.FREE, now + self.config.free_delay)
        self.watch(now=now)

    # ------------------------------------------------------------- pairs go out of use

    def hear(self, generation: Generation, host: Host, source: Address, *, now: float) -> None:
        """An authenticated check of the peer's came."""
        generation.heard_at = now
        component = generation.components[host.component - 1]
        component.hear(host.socket, source, self.config.max_peer_reflexive, now=now)
        stream = self.streams[host.stream]
        carrier = stream.carrier
        is_back = carrier is not None and now < carrier.silent_since + quiet_after(self.config)
        if carrier is not None and is_back and stream.state is IceState.DISCONNECTED:
            self.move(stream, IceCause.SELECT if carrier is stream.current and carrier.is_selected else IceCause.ANSWER)
            self.watch(now=now)

    def watch(self, *, now: float) -> None:
        """Set the timers that have to do with the peer's silence, and with ours.

        Each is looked at when it is due, and not moved with each datagram that came meanwhile.
        """
        config = self.config
        silence = patience = keepalive = math.inf
        for stream in self.streams:
            carrier = stream.carrier
            if carrier is not None:
                keepalive = min(keepalive, *(pair.sent_at + config.keepalive_interval for pair in carrier.pairs))
                if carrier.lifetime < math.inf:
                    quiet_at = carrier.silent_since + quiet_after(config)
                    silence = min(silence, quiet_at if now < quiet_at else math.inf, carrier.silent_since + carrier.lifetime)
            if stream.is_waiting:
                patience = min(patience, stream.heard_at + config.pac_timeout)
        self.timers.set(Timer.SILENCE, silence)
        self.timers.set(Timer.PATIENCE, patience)
        self.timers.set(Timer.KEEPALIVE, keepalive)

    def judge_silence(self, *, now: float) -> None:
        """Give up the pairs, and the streams, of which nothing has been heard for too long."""
        for stream in self.streams:
            carrier = stream.carrier
            if carrier is not None:
                quiet_at = carrier.silent_since + quiet_after(self.config)
                if now >= carrier.silent_since + carrier.lifetime:
                    self._expire(stream, carrier, now)
                elif now >= quiet_at and carrier.lifetime < math.inf and stream.state in _LIVELY:
                    self.move(stream, IceCause.QUIET)
            if stream.is_waiting and now >= stream.heard_at + self.config.pac_timeout:
                self.fail(stream)
        self.watch(now=now)

    def _expire(self, stream: Stream, carrier: Generation, now: float) -> None:
        for pair in carrier.pairs:
            if now >= pair.heard_at + carrier.lifetime:
                self.outputs.append(ConsentExpired(stream.index, pair.host.component, False))
        if carrier is stream.current:
            stream.is_lost = True
            stream.ending = Ending.of(due=carrier.silent_since + carrier.lifetime, now=now)
            self.fail(stream)
            self.ask_for_restart(stream)
        else:
            self.lose(stream)

    def fail(self, stream: Stream) -> None:
        """The end of a stream for these credentials (RFC 7675 5.1)."""
        stream.lose()
        self.move(stream, IceCause.FAIL)

    def lose(self, stream: Stream) -> None:
        """What carried the data does so no more, but there may be other pairs."""
        stream.lose()
        if stream.state is not IceState.CHECKING:  # where a restart has led already
            self.move(stream, IceCause.LOSE)

    def move_away(self, stream: Stream) -> None:
        """Its addresses are others: where the peer was told of none that is left, only another description brings him here."""
        if stream.state in _IDLE:
            return
        if stream.state is IceState.FAILED or stream.is_cut_off or not any(self.hosts.of(stream.index)):
            self.ask_for_restart(stream)

    def ask_for_restart(self, stream: Stream) -> None:
        """Tell, once a generation, that nothing else brings the stream back (RFC 7675 5.1): a lite agent checks nothing."""
        if not stream.needs_restart:
            stream.needs_restart = True
            self.outputs.append(RestartNeeded(stream.index))

    def keep_alive(self, *, now: float) -> None:
        """Send an indication where nothing else was sent for Tr (RFC 8445 11)."""
        for pair in self.pairs_in_use():
            if now >= pair.sent_at + self.config.keepalive_interval:
                data = encode(Method.BINDING, MessageClass.INDICATION, new_transaction_id(self.entropy), fingerprint=True)
                pair.sent_at = now
                self.outputs.append(SendDatagram(pair.host.socket, pair.address, data))
        self.watch(now=now)
