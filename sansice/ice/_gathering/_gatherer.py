"""Gathering: candidates from addresses, from rules about them, from STUN servers and from relays (RFC 8445 5.1.1).

A machine inside the agent. It opens the sockets and makes candidates of what is found; `Asking` finds it, when
`Gatherer.start_next` says that the agent's pacing allows one more transaction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import attrs

from sansice._enums import IdentityEnum
from sansice._timers import FewTimers
from sansice.ice._candidate import DISCARD_PORT, Candidate, CandidateAddress, HostName, TcpType
from sansice.ice._config import IceConfig
from sansice.ice._events import GatheringCompleted, GatheringState
from sansice.ice._policy import CandidatePolicy
from sansice.ice._priority import Foundations
from sansice.ice._server import NamedServer
from sansice.machine import (
    Address,
    DropReason,
    Entropy,
    Event,
    IcmpError,
    Ids,
    Machine,
    OpenSocket,
    QueryId,
    Record,
    ResolveError,
    SocketError,
    SocketErrorKind,
    SocketId,
    SocketOptions,
    Transport,
)
from sansice.stun import Message

from ._host_list import NO_HOSTS, HostList, HostsGiven, Seat, host_list
from ._local_candidates import LocalCandidates
from ._options import DEFAULT_OPTIONS, GatheringOptions

if TYPE_CHECKING:
    from ._asking import Asking
    from ._concealment import Concealment
    from ._relay import Relayed
    from ._relays import Relays

_GENERATIONS = 2  # addresses of the generation before may still be in use when others are gathered from
_PORT_TRIES = 128  # ours: a range whose ports are taken one after the other is not searched to its end


@attrs.frozen
class LocalLost(Event):
    """A socket is of no use any more, and so are its candidates.

    Attributes:
        socket: of the candidates.
        reason: words for a person.
    """

    socket: SocketId
    reason: str


@attrs.frozen
class PeerUnreachable(Event):
    """A relay reaches a peer not, or may not: nothing becomes of a check that is on its way there.

    Attributes:
        socket: what the relayed address is to the agent.
        host: of the peer.
        port: of the peer; ``None`` for all.
        is_refused: whether the relay's server forbids it.
    """

    socket: SocketId
    host: str
    port: int | None
    is_refused: bool = False


class Place(NamedTuple):
    """What a socket is opened for: an address and its number, and a component; and how. A socket of UDP has no ``tcp``."""

    number: int
    stream: int
    component: int
    host: str
    port: int = 0
    tries: int = 1
    tcp: TcpType | None = None


class _Open(NamedTuple):
    socket: SocketId
    place: Place
    local: Address


class _Timer(IdentityEnum):
    SILENCE = "who is silent has been waited for long enough"
    END = "and who has begun to answer"


class Gatherer(Machine):
    """The local candidates of all streams and components.

    Args:
        servers: to ask.
        ids: of the tree of machines.
        foundations: of the agent.
        config: timers and bounds.
        entropy: of the agent.
        layout: the number of components of each stream.
        options: what is a matter of choice.
        policy: what is hidden.
        drop: counts what was dropped.

    Attributes:
        state: how far it is.
        policy: what is hidden.
        socket_error: why the last socket that did not open did not; "" where all did.

    Raises:
        LocalProtocolError: a server that cannot be asked; more servers than local preferences have room for.
    """

    __slots__ = (
        "_asking",
        "_concealment",
        "_config",
        "_entropy",
        "_first_port",
        "_hosts",
        "_ids",
        "_layout",
        "_locals",
        "_open",
        "_opening",
        "_options",
        "_streams",
        "_timers",
        "policy",
        "socket_error",
        "state",
    )

    def __init__(
        self,
        *,
        servers: tuple[NamedServer, ...] = (),
        ids: Ids,
        foundations: Foundations,
        config: IceConfig,
        entropy: Entropy,
        layout: Sequence[int] = (1,),
        options: GatheringOptions = DEFAULT_OPTIONS,
        policy: CandidatePolicy = CandidatePolicy.ALL,
        drop: Callable[[DropReason, int], None],
    ) -> None:
        super().__init__()
        self.state = GatheringState.NEW
        self.policy = policy
        self.socket_error = ""
        self._config = config
        self._entropy = entropy
        self._ids = ids
        self._layout = layout
        self._options = options
        self._asking: Asking | None = None
        if servers:
            from ._asking import Asking  # an agent without servers need not load what asks them

            if options.proxy is not None:
                from ._ways import through_proxy

                servers = through_proxy(servers, options.proxy)
            self._asking = Asking(servers, ids=ids, config=config, entropy=entropy, options=options, policy=policy, drop=drop)
        self._concealment: Concealment | None = None
        if policy is CandidatePolicy.CONCEAL_HOST:
            from ._concealment import Concealment

            self._concealment = Concealment(entropy)
        self._locals = LocalCandidates(
            foundations=foundations,
            hosts=_GENERATIONS * config.max_host_addresses,
            servers=len(servers),
            rules=options.rewrite,
            policy=policy,
            conceal=None if self._concealment is None else self._concealment.address_of,
            is_ordered=max(layout) > 1,
        )
        self._streams: Collection[int] = ()  # those that are gathered for
        self._hosts = NO_HOSTS
        self._opening: dict[SocketId, Place] = {}
        self._open: list[_Open] = []  # few, and a dictionary of one takes thrice the room
        self._first_port: int | None = None
        self._timers: FewTimers[_Timer] = FewTimers()

    # ------------------------------------------------------------- what there is

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """What was told so far, in order."""
        return tuple(local.candidate for local in self._locals.told)

    def candidates_of(self, stream: int) -> tuple[Candidate, ...]:
        """Those of one stream."""
        return tuple(local.candidate for local in self._locals.told if local.stream == stream)

    @property
    def opening(self) -> Mapping[SocketId, Place]:
        """Sockets that were asked for and have not opened yet."""
        return self._opening

    def name_of(self, host: str) -> str:
        """What may be told of one of this machine's addresses: its name, where it is concealed."""
        return host if self._concealment is None else self._concealment.name_of(host)

    def shown(self, address: Address) -> CandidateAddress:
        """The same of an address with its port."""
        name = self.name_of(address.host)
        return address if name == address.host else HostName(name, address.port)

    @property
    def has_servers(self) -> bool:
        """Whether there are any to ask."""
        return self._asking is not None

    @property
    def silent_since(self) -> float:
        """When the first server was asked over UDP, while none has answered; infinite otherwise."""
        return math.inf if self._asking is None else self._asking.silent_since

    @property
    def relays(self) -> Relays | None:
        """The relays; ``None`` where there is no server."""
        return None if self._asking is None else self._asking.relays

    # ------------------------------------------------------------- commands

    def choose(self, given: HostsGiven, include_loopback: bool | None = None) -> HostList:
        """The addresses to gather from, in order.

        Raises:
            LocalProtocolError: see `host_list`.
        """
        return host_list(given, self._options, include_loopback, self._config.max_host_addresses)

    def start(
        self,
        hosts: HostList,
        *,
        streams: Collection[int] | None = None,
        now: float,
    ) -> None:
        """Open sockets for each host address, and ask the servers through them.

        Again for a restart: sockets and relays that live are used, and their candidates found anew.

        Args:
            hosts: from `choose`.
            streams: which ones are gathered for; all by default.
            now: monotonic seconds.
        """
        self._timers.set(_Timer.SILENCE, now + self._config.gathering_timeout)
        self.state = GatheringState.GATHERING
        self._timers.cancel(_Timer.END)
        self._hosts = hosts
        self._streams = range(len(self._layout)) if streams is None else tuple(streams)
        self._locals.begin(self._streams)
        places = self._new_places(hosts)
        if self._asking is not None and hosts.names:
            self._asking.start(now=now)
        for one in self._open:
            if one.place.stream in self._streams and one.place.host in hosts.names:
                self._announce(one, now)
        for granted in self._granted():
            self._add_relayed(granted)
        for place in places:
            self._open_socket(place)
        self._finish_step(now)

    @property
    def is_final(self) -> bool:
        """Whether nothing more will be told of this generation."""
        return self.state is GatheringState.COMPLETE and (not self._options.continual or self._locals.is_silent)

    def is_lacking(self, hosts: HostList) -> bool:
        """Whether `update` would open a socket."""
        return bool(self._new_places(hosts))

    def update(self, hosts: HostList, *, opens: bool = True, is_told: bool = True, now: float) -> tuple[SocketId, ...]:
        """The machine has other addresses now: let go of those that went, and gather from those that came (RFC 8445 5.1.1.4).

        What is found after `GatheringCompleted` is used, and told in the next generation only (RFC 8838 13), unless gathering is
        continual.

        Args:
            hosts: from `choose`.
            opens: whether those that came are gathered from; if not, those that went are let go of all the same.
            is_told: whether the streams' present generations have all begun to gather.
            now: monotonic seconds.

        Returns:
            The sockets of lost addresses; the caller closes them.
        """
        lost = [one.socket for one in self._open if one.place.host not in hosts.names]
        abandoned = [socket for socket, place in self._opening.items() if place.host not in hosts.names]
        error = SocketError(SocketErrorKind.ADDRESS_UNAVAILABLE, "the machine has this address no more")
        for socket in (*lost, *abandoned):
            self._lose(socket, error, now)
        if self._concealment is not None:
            self._concealment.keep(hosts.names)
        self._hosts = hosts
        if self.state is not GatheringState.GATHERING and not (self._options.continual and is_told):
            self._locals.is_silent = True
        places = self._new_places(hosts) if opens else []
        if places and self.state is GatheringState.COMPLETE:
            self._go_on(now)
        for place in places:
            self._open_socket(place)
        self._finish_step(now)
        return tuple(lost) + tuple(abandoned)

    def _go_on(self, now: float) -> None:
        """Another round of a gathering that was complete, as long as the first; a name that led nowhere may lead somewhere."""
        self._timers.cancel(_Timer.END)
        self._timers.set(_Timer.SILENCE, now + self._config.gathering_timeout)
        if self._asking is not None:
            self._asking.go_on(now=now)

    def forget(self, socket: SocketId) -> None:
        """A host candidate's socket is being closed: it is not there for the next generation."""
        self._take_open(socket)
        if self._asking is not None:
            self._asking.remove_host(socket)

    def stop(self, *, now: float) -> None:
        """ICE has completed or failed: ask nobody any more, let bindings lapse (RFC 8445 5.1.1.4, 8.3.2).

        A socket that opens now comes too late: after nomination nothing new is told to the peer (RFC 8838 13). What relays
        already goes on.
        """
        self._opening.clear()
        self._timers.clear()
        self._locals.end()
        self._locals.is_silent = True
        if self._asking is not None:
            self._asking.stop(now=now)
        self._finish_step(now)

    def close(self) -> None:
        """Nobody is to answer for a name any more."""
        if self._concealment is not None:
            self._concealment.keep(())
            self._hand_over()

    # ------------------------------------------------------------- sockets

    def _new_places(self, hosts: HostList) -> list[Place]:
        """What is to be opened, in order.

        Of one address lower components come first, for they are told no later than higher ones (RFC 8838 17). An address that was
        not there before gets the best number that no other has, and so does each further socket of one: local preferences, which
        are made of them, differ (RFC 8445 5.1.2.1).
        """
        there = [*self._opening.values(), *(one.place for one in self._open)]
        known = {(place.number, place.stream, place.component, place.tcp) for place in there}
        kinds = self._kinds
        places = [
            Place(number, stream, component, seat.host, tcp=kind)
            for number, seat in self._numbered(hosts.seats, there)
            for stream, components in enumerate(self._layout)
            for component in range(1, components + 1)
            for kind in kinds
            if hosts.has(seat, kind)
        ]
        return [place for place in places if (place.number, place.stream, place.component, place.tcp) not in known]

    def _numbered(self, seats: Iterable[Seat], there: Iterable[Place]) -> Iterator[tuple[int, Seat]]:
        """The number of each seat, as far as there are numbers; what is there already keeps those that it has."""
        owners = {place.number: place.host for place in there}
        numbers: dict[str, list[int]] = {}
        for number in sorted(owners):
            numbers.setdefault(owners[number], []).append(number)
        for seat in seats:
            of_host = numbers.setdefault(seat.host, [])
            if seat.ordinal == len(of_host):
                bound = _GENERATIONS * self._config.max_host_addresses
                free = next((number for number in range(bound) if number not in owners), None)
                if free is None:
                    continue  # generation after generation with other addresses, and none of them was closed
                owners[free] = seat.host
                of_host.append(free)
            if seat.ordinal < len(of_host):
                yield of_host[seat.ordinal], seat

    @property
    def _kinds(self) -> tuple[TcpType | None, ...]:
        """What is gathered from each address: UDP, and the kinds of TCP candidates. Where host candidates are hidden, TCP needs a
        rule that tells the outside of addresses, for no server does.
        """
        options = self._options
        is_hidden = self.policy is CandidatePolicy.RELAY or (self.policy is CandidatePolicy.NO_HOST and not options.rewrite)
        return (*((None,) if options.udp else ()), *(() if is_hidden else options.tcp))

    def _take_open(self, socket: SocketId) -> Place | None:
        """A socket is open no more."""
        for index, one in enumerate(self._open):
            if one.socket == socket:
                return self._open.pop(index).place
        return None

    def _take_opening(self, socket: SocketId) -> Place | None:
        """A socket is opening no more."""
        place = self._opening.pop(socket, None)
        if not self._opening:
            self._opening.clear()  # which gives its room back
        return place

    def _open_socket(self, place: Place) -> None:
        if place.tcp is TcpType.ACTIVE:  # RFC 6544 4.1: it needs no port until a check connects
            opened = _Open(self._ids.socket(), place, Address(place.host, DISCARD_PORT))
            self._open.append(opened)
            self._announce(opened, 0.0)
            return
        if self._options.port_range is not None:
            place = place._replace(port=self._next_port(*self._options.port_range))
        socket = self._ids.socket()
        self._opening[socket] = place
        bind = Address(place.host, place.port)
        # What goes out through one socket has one code point: checks fare as data does (RFC 7675 6).
        if place.tcp is None:
            self._locals.expect(place.stream, place.number, place.component)
            self._outputs.append(OpenSocket(socket, Transport.UDP, bind, options=_marked(self._options.dscp)))
        else:  # a simultaneous-open one connects from the port at which it listens
            options = SocketOptions(dscp=self._options.dscp, reuse_port=place.tcp is TcpType.SIMULTANEOUS_OPEN)
            self._outputs.append(OpenSocket(socket, Transport.TCP, bind, options=options))

    def _next_port(self, first: int, last: int) -> int:
        """Ports in turn, from one on that nobody can know: what is predictable is easily attacked (RFC 6056)."""
        count = last - first + 1
        if self._first_port is None:
            self._first_port = int.from_bytes(self._entropy(2), "big") % count
        self._first_port += 1
        return first + (self._first_port - 1) % count

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """A host candidate is known: ask each server of its family through it (RFC 8445 5.1.1.2). Or it is a relay's."""
        place = self._take_opening(socket)
        if place is not None:
            opened = _Open(socket, place, local)
            self._open.append(opened)
            self._announce(opened, now)
        elif self._asking is not None:
            self._asking.handle_socket_opened(socket, local, now=now)
        self._finish_step(now)

    def _announce(self, opened: _Open, now: float) -> None:
        socket, place, local = opened
        interface = self._hosts.interfaces.get(place.host, "")
        if place.tcp is not None:
            self._locals.add_tcp_host(place.number, place.stream, place.component, socket, local, interface, place.tcp)
            return
        host = self._locals.add_host(place.number, place.stream, place.component, socket, local, interface)
        if self._asking is not None:
            self._asking.add_host(host, now=now)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """That address has no candidate, or has no more; or another port is tried; or it is a relay's."""
        place = self._opening.get(socket)
        if place is not None and error.kind is SocketErrorKind.ADDRESS_IN_USE and self._has_ports(place):
            self._take_opening(socket)
            self._open_socket(place._replace(tries=place.tries + 1))
        else:
            self._lose(socket, error, now)
        self._finish_step(now)

    def _has_ports(self, place: Place) -> bool:
        if self._options.port_range is None:
            return False
        first, last = self._options.port_range
        return place.tries < min(last - first + 1, _PORT_TRIES)

    def _lose(self, socket: SocketId, error: SocketError, now: float) -> None:
        if socket in self._opening:
            self.socket_error = error.text or error.kind.value
        place = self._take_opening(socket) or self._take_open(socket)
        if place is not None:
            self._locals.lose(socket)
            if place.tcp is None:
                self._locals.lose_place(place.stream, place.number, place.component)
        if self._asking is not None:
            self._asking.handle_socket_failed(socket, error, now=now)

    # ------------------------------------------------------------- asking

    def has_next(self) -> bool:
        """Whether `start_next` would start a transaction."""
        return self._asking is not None and self._asking.has_next()

    def start_next(self, *, now: float) -> bool:
        """Ask one server, if any is to be asked."""
        if self._asking is None or not self._asking.start_next(now=now):
            return False
        self._finish_step(now)
        return True

    def handle_response(self, socket: SocketId, source: Address, message: Message, *, now: float) -> bool:
        """Take a Binding response; ``False`` where it answers no request of ours from there."""
        if self._asking is None:
            return False
        taken = self._asking.handle_response(socket, source, message, now=now)
        self._finish_step(now)
        return taken

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        """An answer of the DNS about a server's name."""
        if self._asking is not None:
            self._asking.handle_resolved(query, answer, now=now)
            self._finish_step(now)

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        """A server that is not there delays nobody."""
        if self._asking is not None:
            self._asking.handle_icmp(socket, destination, error, now=now)
            self._finish_step(now)

    def handle_timer(self, *, now: float) -> None:
        """Retransmit, keep alive, or end the wait for servers."""
        if self._asking is not None and self._asking.deadline() <= now:
            self._asking.handle_timer(now=now)
            self._finish_step(now)
        while (timer := self._timers.pop_due(now)) is not None:
            self._opening.clear()
            self._locals.release()
            if self._asking is not None and timer is _Timer.END:
                self._asking.give_up_relays(now=now)
            elif self._asking is not None and self._asking.give_up(now=now):
                self._timers.set(_Timer.END, now + self._options.answering_timeout)
            self._finish_step(now)

    def deadline(self) -> float:
        """The earliest retransmission, keepalive or end."""
        if self._asking is None:
            return self._timers.earliest
        return min(self._timers.earliest, self._asking.deadline())

    # ------------------------------------------------------------- what comes of it

    def absorb_relays(self, now: float) -> None:
        """Take what became of commands that were given to `relays`, and of what they were fed."""
        if self._asking is not None:
            self._asking.absorb_relays(now)
            self._finish_step(now)

    def _finish_step(self, now: float) -> None:
        """Make candidates of what was found, and see whether that is all."""
        if self._asking is not None:
            self._absorb(self._asking, now)
        self._hand_over()
        if self.state is not GatheringState.GATHERING or self._opening:
            return
        if self._asking is not None and not self._asking.is_idle:
            return
        self._locals.release()
        self._hand_over()
        self.state = GatheringState.COMPLETE
        self._timers.clear()
        self._outputs.append(GatheringCompleted(is_final=self.is_final))

    def _hand_over(self) -> None:
        if self._concealment is not None:  # names before their candidates: who is told one may ask for it at once
            self._outputs += self._concealment.take_outputs()
        found = self._locals.found
        if found:
            self._outputs += found
            found.clear()

    def _absorb(self, asking: Asking, now: float) -> None:
        from ._asking import QuestionEnded, ReflexiveFound
        from ._relay import PeerRefused, Relayed, RelayedIcmp, RelayLost

        while outputs := asking.take_outputs():
            for output in outputs:
                if isinstance(output, ReflexiveFound):
                    self._locals.add_reflexive(output.host, output.mapped, output.server, output.number)
                elif isinstance(output, QuestionEnded):
                    self._locals.ended(output.host, output.number)
                elif isinstance(output, Relayed):
                    self._take_relayed(asking, output, now)
                elif isinstance(output, RelayLost):
                    for socket in output.sockets:
                        self._locals.lose(socket)
                        self._outputs.append(LocalLost(socket, output.reason))
                elif isinstance(output, PeerRefused):
                    self._outputs.append(PeerUnreachable(output.socket, output.host, None, is_refused=True))
                elif isinstance(output, RelayedIcmp):
                    if output.error.is_hard:
                        self._outputs.append(PeerUnreachable(output.socket, output.peer.host, output.peer.port))
                else:
                    self._hand_over()  # what was found before is told before
                    self._outputs.append(output)

    def _take_relayed(self, asking: Asking, relayed: Relayed, now: float) -> None:
        hosts = [one.local for one in self._open]
        if any(address in hosts for _, address in relayed.addresses):
            asking.relays.leave(relayed.relay, now=now)  # RFC 8445 5.1.1.2: it is no other way than the host candidate
            asking.absorb_relays(now)
        else:
            self._add_relayed(relayed)

    def _add_relayed(self, relayed: Relayed) -> None:
        question, target = relayed.relay.question, relayed.target
        for socket, address in relayed.addresses:
            to = (relayed.mapped, target.address, target.transport, question.number)
            self._locals.add_relayed(question.host, socket, address, *to)

    def _granted(self) -> list[Relayed]:
        """What relays already, for the streams that are gathered for."""
        if self._asking is None:
            return []
        live = (relay for relay in self._asking.relays.live if relay.question.host.stream in self._streams)
        return [relay.granted for relay in live if relay.granted is not None]


@lru_cache(64)  # there are no more code points, and all sockets of an agent have the same one
def _marked(dscp: int) -> SocketOptions:
    return SocketOptions(dscp=dscp)
