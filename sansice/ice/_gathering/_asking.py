"""Who is asked what, and when: every server through every host candidate of its family (RFC 8445 5.1.1.2).

`Asking` finds the servers, has them asked one transaction after the other, and says what came of it. STUN servers and relays take
turns, so that many of one kind do not keep the others waiting.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs

from sansice.ice._config import IceConfig
from sansice.ice._events import ServerAnswered, ServerFailed
from sansice.ice._pair import LocalCandidate
from sansice.ice._policy import CandidatePolicy
from sansice.ice._server import NamedServer
from sansice.machine import (
    Action,
    Address,
    DropReason,
    Entropy,
    Event,
    IcmpError,
    Ids,
    Machine,
    QueryId,
    Record,
    ResolveError,
    SocketError,
    SocketId,
    Transport,
)
from sansice.stun import Message
from sansice.turn import TurnClientConfig

from ._bindings import Bindings, Mapped, Query, Unanswered, why_not_mapped
from ._fallbacks import STREAM_DELAY, Fallbacks
from ._options import GatheringOptions
from ._relay import Relay, Relayed, RelayLost, RelayQuestion, RelayRefused
from ._relays import Relays
from ._server_search import ServerFound, ServerNotFound, ServerSearch


@attrs.frozen
class ReflexiveFound(Event):
    """How a server sees a host candidate's socket.

    Attributes:
        host: the candidate.
        number: of the server among those that there are.
        mapped: what it sees.
        server: its address.
    """

    host: LocalCandidate
    number: int
    mapped: Address
    server: Address


@attrs.frozen
class QuestionEnded(Event):
    """A server has told a host candidate what it can, or nothing."""

    host: LocalCandidate
    number: int


class Asking(Machine):
    """The questions of one agent.

    Args:
        servers: whom to ask.
        ids, config, entropy: of the agent.
        options: what is a matter of choice.
        policy: what is hidden, and so need not be found out.
        drop: counts what was dropped.

    Attributes:
        relays: the TURN clients.
        silent_since: when the first server was asked over UDP, while none has answered; infinite otherwise.
    """

    __slots__ = (
        "_asked",
        "_bindings",
        "_config",
        "_fallbacks",
        "_found",
        "_hosts",
        "_is_heard",
        "_max_relays",
        "_policy",
        "_relay_queue",
        "_relays_turn",
        "_search",
        "count",
        "relays",
        "silent_since",
    )

    def __init__(
        self,
        servers: tuple[NamedServer, ...],
        *,
        ids: Ids,
        config: IceConfig,
        entropy: Entropy,
        options: GatheringOptions,
        policy: CandidatePolicy,
        drop: Callable[[DropReason, int], None],
    ) -> None:
        super().__init__()
        self.count = len(servers)
        self._config = config
        self._policy = policy
        self._max_relays = options.max_relays
        self._search = ServerSearch(servers, ids=ids, timeout=config.gathering_timeout, entropy=entropy)
        self._bindings = Bindings(config, entropy)
        turn = options.turn if options.turn is not None else TurnClientConfig(transport_delay=STREAM_DELAY)
        self.relays = Relays(ids=ids, family=options.relayed_family, config=turn, entropy=entropy, drop=drop)
        self._found: list[ServerFound] = []
        self._hosts: dict[SocketId, LocalCandidate] = {}  # to ask through
        self._asked: dict[tuple[SocketId, int], None] = {}  # through which socket which server
        self._fallbacks = Fallbacks(servers, every_url=options.every_url)
        self._relay_queue: list[RelayQuestion] = []
        self._relays_turn = False
        self._is_heard = False  # something came over UDP
        self.silent_since = math.inf

    # ------------------------------------------------------------- whom, and through what

    def start(self, *, now: float) -> None:
        """Look for the servers, anew, and ask them again through hosts that are added from now on."""
        self._found.clear()
        self._is_heard, self.silent_since = False, math.inf
        self._search.start(now=now)
        self._absorb(now)

    def go_on(self, *, now: float) -> None:
        """Ask through more hosts, some time after the first. Where no server was found it was perhaps for want of a network."""
        if not self._found:
            self.start(now=now)

    def add_host(self, host: LocalCandidate, *, now: float) -> None:
        """Ask all servers through this socket. One that relays for it already is not asked again."""
        relayed = [relay.question.number for relay in self.relays.live if relay.question.host.socket == host.socket]
        for number in range(self.count):
            self._asked.pop((host.socket, number), None)
        self._asked.update(((host.socket, number), None) for number in self._fallbacks.begin(host.socket, relayed, now=now))
        self._hosts[host.socket] = host
        for server in self._found:
            self._ask(host, server)
        self._absorb(now)

    def remove_host(self, socket: SocketId) -> None:
        """Ask nothing through it any more; what relays through it is left alone."""
        self._hosts.pop(socket, None)
        self._asked = {key: None for key in self._asked if key[0] != socket}
        self._bindings.forget(socket)
        self._fallbacks.forget(socket)
        self._relay_queue = [question for question in self._relay_queue if question.host.socket != socket]

    def _ask(self, host: LocalCandidate, found: ServerFound) -> None:
        key = (host.socket, found.number)
        if key in self._asked:
            return
        self._asked[key] = None
        targets = tuple(target for target in found.targets if target.towards.is_ipv6 == host.base.is_ipv6)
        if found.server.uri.is_turn:
            if targets and not self._is_further(host):
                self._fallbacks.add(RelayQuestion(host, found.server, found.number, targets))
                return
            self._fallbacks.ended(host.socket, found.number)
        elif targets and self._policy is not CandidatePolicy.RELAY:
            addresses = tuple(target.address for target in targets)
            self._bindings.queue.append(Query(host, found.server.url, found.number, addresses[0], addresses[1:]))
            return
        self._outputs.append(QuestionEnded(host, found.number))

    def _is_further(self, host: LocalCandidate) -> bool:
        """Whether another socket of its address is asked through: a relay for both would be no other way than one of them is."""
        sockets = [
            socket
            for socket, other in self._hosts.items()
            if other.base.host == host.base.host
            and (other.stream, other.candidate.component) == (host.stream, host.candidate.component)
        ]
        return host.socket != sockets[0]

    def _ask_relays(self, now: float) -> None:
        """Have those asked whose turn it is."""
        for question in self._fallbacks.take_due(now, early=not self._is_heard):
            host, number = question.host, question.number
            targets = tuple(one for one in question.targets if not self._is_taken(host.socket, one.address, one.transport))
            if targets and len(self.relays.live) + len(self._relay_queue) < self._max_relays:
                self._relay_queue.append(attrs.evolve(question, targets=targets))
                continue
            if targets:
                self._fail(question.server.url, host, f"not asked: there are {self._max_relays} relays already (max_relays)")
            self._fallbacks.ended(host.socket, number)
            self._outputs.append(QuestionEnded(host, number))
        released = list(self._fallbacks.take_released(now))
        for relay in self.relays.pending:
            if (relay.question.host.socket, relay.question.number) in released:
                self.relays.release(relay, now=now)
        if released:
            self._absorb(now)

    def _is_taken(self, socket: SocketId, server: Address, transport: Transport) -> bool:
        """Whether another URL means the same server: from one socket it gives one allocation (RFC 8656 2.2)."""
        if transport is not Transport.UDP:
            return False
        return self.relays.is_asked(socket, server) or any(
            question.host.socket == socket
            and question.targets[0].transport is transport
            and question.targets[0].address == server
            for question in self._relay_queue
        )

    # ------------------------------------------------------------- one transaction after the other

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be asked, or waited for, any more."""
        is_asking = self._relay_queue or self.relays.pending or not self._fallbacks.is_idle
        return self._search.is_over and self._bindings.is_idle and not is_asking

    def has_next(self) -> bool:
        """Whether `start_next` would start a transaction."""
        return bool(self._bindings.queue or self._relay_queue)

    def start_next(self, *, now: float) -> bool:
        """Start one transaction, if any is to be started."""
        if not self.has_next():
            return False
        if self._relay_queue and (self._relays_turn or not self._bindings.queue):
            self._relays_turn = False
            question = self._relay_queue.pop(0)
            relay = self.relays.ask(question, is_held=self._fallbacks.is_held(question), now=now)
            if relay.is_over_udp:
                self._note_question(now)
        else:
            self._relays_turn = True
            self._note_question(now)
            waiting = len(self._bindings.queue) - 1 + len(self._relay_queue)
            self._bindings.start_next(waiting, now=now)
        self._absorb(now)
        return True

    def _note_question(self, now: float) -> None:
        """A server is asked over UDP."""
        if not self._is_heard:
            self.silent_since = min(self.silent_since, now)

    def _hear(self) -> None:
        """A server, or the way to one, has said something over UDP."""
        self._is_heard, self.silent_since = True, math.inf

    # ------------------------------------------------------------- the end

    def give_up(self, *, now: float) -> bool:
        """Wait no longer for anybody who has been silent; whether there is anybody left to wait for."""
        self._search.stop()
        text = f"no answer within {self._config.gathering_timeout:g} s"
        for query in self._bindings.give_up():
            self._end(Unanswered(query, text, None, self._config.gathering_timeout, is_silent=True))
        for question in (*self._relay_queue, *self._fallbacks.clear()):
            self._fail(question.server.url, question.host, text)
            self._outputs.append(QuestionEnded(question.host, question.number))
        self._relay_queue.clear()
        silent = [relay for relay in self.relays.pending if relay.is_held or not relay.heard]
        self._leave(silent, text, now, is_silent=True)
        self._absorb(now)
        return bool(self.relays.pending)

    def give_up_relays(self, *, now: float) -> None:
        """Nor for those who have begun to answer."""
        self._leave(self.relays.pending, "it began to answer, and did not come to an end", now)
        self._absorb(now)

    def _leave(self, relays: tuple[Relay, ...] | list[Relay], text: str, now: float, *, is_silent: bool = False) -> None:
        for relay in relays:
            self._fail(relay.question.server.url, relay.question.host, text, None, now - relay.asked, is_silent=is_silent)
            self._outputs.append(QuestionEnded(relay.question.host, relay.question.number))
            self.relays.leave(relay, now=now)

    def stop(self, *, now: float) -> None:
        """ICE has completed: ask nobody, let bindings lapse; what relays goes on (RFC 8445 5.1.1.4, 8.3)."""
        self._search.stop()
        self._found.clear()
        self._bindings.stop()
        self._fallbacks.clear()
        self._relay_queue.clear()
        for relay in self.relays.pending:
            self.relays.leave(relay, now=now)
        self._absorb(now)

    # ------------------------------------------------------------- what the world says

    def handle_response(self, socket: SocketId, source: Address, message: Message, *, now: float) -> bool:
        """Take the answer to a Binding request; ``False`` where it is to none of ours from there."""
        taken = self._bindings.handle_response(socket, source, message, now=now)
        self._absorb(now)
        return taken

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        """An answer of the DNS about a server's name."""
        self._search.handle_resolved(query, answer, now=now)
        self._absorb(now)

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        """A server that is not there delays nobody."""
        self._bindings.handle_icmp(socket, destination, error, now=now)
        self.relays.handle_icmp(socket, destination, error, now=now)
        self._absorb(now)

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """A relay's socket towards its server."""
        self.relays.handle_socket_opened(socket, local, now=now)
        self._absorb(now)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """A host candidate's, or a relay's."""
        self.remove_host(socket)
        self._bindings.handle_socket_failed(socket, error, now=now)
        self.relays.handle_socket_failed(socket, error, now=now)
        self._absorb(now)

    def handle_timer(self, *, now: float) -> None:
        """Whatever is due."""
        for part in (self._search, self._bindings, self.relays):
            if part.deadline() <= now:
                part.handle_timer(now=now)
                self._absorb(now)
        self._ask_relays(now)

    def deadline(self) -> float:
        """The earliest of all that is planned."""
        fallbacks = self._fallbacks.deadline(early=not self._is_heard)
        return min(self._search.deadline(), self._bindings.deadline(), self.relays.deadline(), fallbacks)

    # ------------------------------------------------------------- what comes of it

    def absorb_relays(self, now: float) -> None:
        """Take what became of commands that were given to `relays` directly."""
        self._absorb(now)

    def _absorb(self, now: float) -> None:
        while outputs := [*self._search.take_outputs(), *self._bindings.take_outputs(), *self.relays.take_outputs()]:
            for output in outputs:
                if isinstance(output, Action):
                    self._outputs.append(output)
                else:
                    self._take(output, now)
        if any(relay.heard and relay.is_over_udp for relay in self.relays.pending):
            self._hear()
        self._ask_relays(now)

    def _take(self, event: Event, now: float) -> None:
        if isinstance(event, ServerFound):
            self._found.append(event)
            for host in self._hosts.values():
                self._ask(host, event)
        elif isinstance(event, ServerNotFound):
            self._outputs.append(ServerFailed(event.server.url, "", event.reason))
            for host in self._hosts.values():
                self._fallbacks.ended(host.socket, event.number)
                self._outputs.append(QuestionEnded(host, event.number))
        elif isinstance(event, Mapped):
            self._hear()
            query = event.query
            self._outputs.append(ReflexiveFound(query.host, query.number, event.address, query.server))
            if not query.after_refusal:
                self._outputs.append(ServerAnswered(query.url, query.host.base.host, event.seconds, event.address))
            self._outputs.append(QuestionEnded(query.host, query.number))
        elif isinstance(event, Unanswered):
            self._end(event)
        elif isinstance(event, Relayed):
            self._relayed(event, now)
        elif isinstance(event, RelayRefused):
            self._refused(event)
        elif isinstance(event, RelayLost):
            question = event.relay.question
            self._fail(question.server.url, question.host, event.reason)
            self._outputs.append(event)
        else:  # about a peer of a relay
            self._outputs.append(event)

    def _relayed(self, event: Relayed, now: float) -> None:
        question = event.relay.question
        host, server = question.host, event.target.address
        if not event.target.transport.is_stream:
            self._hear()
        is_seen = event.local == host.base and why_not_mapped(event.mapped, host.base) is None
        if is_seen:  # RFC 8445 5.1.1.2: it tells both
            self._outputs.append(ReflexiveFound(host, question.number, event.mapped, server))
        relayed = tuple(address for _, address in event.addresses)
        self._outputs.append(event)
        answer = (question.server.url, host.base.host, event.seconds, event.mapped, relayed, event.target.transport)
        self._outputs.append(ServerAnswered(*answer))
        self._outputs.append(QuestionEnded(host, question.number))
        self._spare_others(question, now)

    def _spare_others(self, won: RelayQuestion, now: float) -> None:
        """What else was asked, or would be, of a server that relays now."""
        spared, numbers = self._fallbacks.won(won)
        spared += [one for one in self._relay_queue if one.host.socket == won.host.socket and one.number in numbers]
        self._relay_queue = [one for one in self._relay_queue if one not in spared]
        for relay in self.relays.pending:
            if relay.question.host.socket == won.host.socket and relay.question.number in numbers:
                spared.append(relay.question)
                self.relays.leave(relay, now=now)
        self._outputs += [QuestionEnded(one.host, one.number) for one in spared]

    def _refused(self, event: RelayRefused) -> None:
        """A server that relays nothing can still tell how it sees the socket (RFC 8445 5.1.1.2)."""
        question = event.relay.question
        self._fallbacks.ended(question.host.socket, question.number)
        is_silent = event.code is None and all(one.code is None for one in event.attempts)
        if event.relay.is_over_udp and not is_silent:
            self._hear()
        self._fail(question.server.url, question.host, event.reason, event.code, event.seconds, is_silent=is_silent)
        answered = [one.target for one in event.attempts if one.code is not None and one.target.transport is Transport.UDP]
        if answered and self._policy is not CandidatePolicy.RELAY and question.host.socket in self._hosts:
            query = Query(question.host, question.server.url, question.number, answered[0].address, after_refusal=True)
            self._bindings.queue.append(query)
        else:
            self._outputs.append(QuestionEnded(question.host, question.number))

    def _end(self, told: Unanswered) -> None:
        query = told.query
        if not told.is_silent:
            self._hear()
        if not query.after_refusal:
            self._fail(query.url, query.host, told.text, told.code, told.seconds, is_silent=told.is_silent)
        self._outputs.append(QuestionEnded(query.host, query.number))

    def _fail(
        self,
        url: str,
        host: LocalCandidate,
        text: str,
        code: int | None = None,
        seconds: float = 0.0,
        *,
        is_silent: bool = False,
    ) -> None:
        self._outputs.append(ServerFailed(url, host.base.host, text, code, seconds, is_silent))
