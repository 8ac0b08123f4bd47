"""Binding requests to servers from host candidates' sockets: what address a server sees (RFC 8445 5.1.1.2, 5.1.1.4)."""

from __future__ import annotations

import math
from typing import cast

import attrs

from sansice._timers import FewTimers
from sansice.ice._config import IceConfig
from sansice.ice._pair import LocalCandidate
from sansice.ice._reachability import is_loopback, is_reachable
from sansice.machine import Address, Entropy, Event, IcmpError, Machine, SendDatagram, SocketError, SocketId
from sansice.stun import (
    Message,
    MessageClass,
    Method,
    StunTransaction,
    TransactionFailed,
    TransactionId,
    TransactionSucceeded,
    encode,
    new_transaction_id,
)

_KEEPALIVE = TransactionId(b"keepalive")  # the key of the timer that is no transaction's


@attrs.frozen
class Query:
    """A server to ask, from one host candidate.

    Attributes:
        host: through whose socket.
        url: of the server, as it was given.
        number: of the server among those that there are.
        server: the address to ask.
        others: further addresses of the same server, for where this one fails (RFC 8489 8.1).
        after_refusal: the server has refused to relay, which was told of it.
        keepalive: the answer is known already, and the NATs on the way shall not forget it.
    """

    host: LocalCandidate
    url: str
    number: int
    server: Address
    others: tuple[Address, ...] = ()
    after_refusal: bool = False
    keepalive: bool = False


@attrs.frozen
class Mapped(Event):
    """A server told what it saw, ``seconds`` after it was asked."""

    query: Query
    address: Address
    seconds: float


@attrs.frozen
class Unanswered(Event):
    """A server told nothing of use.

    Attributes:
        query: what it was asked.
        text: why, for a person.
        code: of its answer, if any.
        seconds: since it was asked.
        is_silent: whether nothing came back.
    """

    query: Query
    text: str
    code: int | None
    seconds: float
    is_silent: bool = False


@attrs.frozen
class _Running:
    transaction: StunTransaction
    query: Query
    asked: float


def why_not_mapped(mapped: Address, base: Address) -> str | None:
    """What is wrong with how a server says that it sees a socket; ``None``: nothing. Any server may lie, or be broken."""
    if mapped.is_ipv6 != base.is_ipv6:
        return f"it sees {mapped}, which is of another family"
    if not is_reachable(mapped) or (is_loopback(mapped) and not is_loopback(base)):
        return f"it sees {mapped}, where nobody can send to"
    return None


class Bindings(Machine):
    """The Binding transactions of gathering, and those that keep what they found alive.

    Args:
        config: of the agent.
        entropy: makes transaction ids.

    Attributes:
        queue: what is still to be asked, in order; keepalives join it.
    """

    __slots__ = ("_config", "_entropy", "_found", "_running", "_timers", "queue")

    def __init__(self, config: IceConfig, entropy: Entropy) -> None:
        super().__init__()
        self._config = config
        self._entropy = entropy
        self._found: list[Query] = []
        self._running: dict[TransactionId, _Running] = {}
        self._timers: FewTimers[TransactionId] = FewTimers()
        self.queue: list[Query] = []

    @property
    def is_idle(self) -> bool:
        """Whether everything that was asked has ended, keepalives apart."""
        return not any(not one.keepalive for one in (*self.queue, *(running.query for running in self._running.values())))

    @property
    def unfinished(self) -> tuple[Query, ...]:
        """What has not ended, or not begun."""
        queries = (*(running.query for running in self._running.values()), *self.queue)
        return tuple(query for query in queries if not query.keepalive)

    def start_next(self, waiting: int, *, now: float) -> None:
        """Ask what comes first in the queue; ``waiting`` questions come after it."""
        query = self.queue.pop(0)
        transaction_id = new_transaction_id(self._entropy)
        request = encode(Method.BINDING, MessageClass.REQUEST, transaction_id, fingerprint=True)
        # RFC 8445 14.3: at least 500 ms, and more where many are asked.
        rto = max(self._config.schedule.rto, self._config.ta * (waiting + len(self._running) + 1))
        schedule = attrs.evolve(self._config.schedule, rto=rto)
        transaction = StunTransaction.of_encoded(request, transaction_id, query.host.socket, query.server, schedule=schedule)
        running = self._running[transaction_id] = _Running(transaction, query, now)
        transaction.start(now=now)
        self._absorb(running, now)

    def handle_response(self, socket: SocketId, source: Address, message: Message, *, now: float) -> bool:
        """Take a response; ``False`` where it answers no request of ours from there."""
        running = self._running.get(message.transaction_id)
        if running is None or (running.query.host.socket, running.query.server) != (socket, source):
            return False
        taken = running.transaction.handle_response(message, now=now)
        self._absorb(running, now)
        return taken

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        """A server that is not there delays nobody."""
        for running in tuple(self._running.values()):
            running.transaction.handle_icmp(socket, destination, error, now=now)
            self._absorb(running, now)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """Nothing can be asked through it any more."""
        self.forget(socket)
        for running in tuple(self._running.values()):
            running.transaction.handle_socket_failed(socket, error, now=now)
            self._absorb(running, now)

    def forget(self, socket: SocketId) -> None:
        """Ask no more through a socket, and keep nothing alive that was found through it."""
        self.queue = [query for query in self.queue if query.host.socket != socket]
        self._found = [query for query in self._found if query.host.socket != socket]

    def handle_timer(self, *, now: float) -> None:
        """Retransmit, or queue keepalives."""
        while (key := self._timers.pop_due(now)) is not None:
            if key == _KEEPALIVE:
                self._timers.set(_KEEPALIVE, now + self._config.keepalive_interval)
                again = [attrs.evolve(query, keepalive=True) for query in self._found]
                self.queue += [query for query in again if query not in self.queue]  # so many that they had no turn yet
            else:
                running = self._running[key]
                running.transaction.handle_timer(now=now)
                self._absorb(running, now)

    def deadline(self) -> float:
        """The earliest retransmission or keepalive."""
        return self._timers.earliest

    def give_up(self) -> tuple[Query, ...]:
        """Wait for nobody any more; what had not ended."""
        unfinished = self.unfinished
        for transaction_id, running in tuple(self._running.items()):
            if not running.query.keepalive:
                self._timers.cancel(transaction_id)
                del self._running[transaction_id]
        self.queue = [query for query in self.queue if query.keepalive]
        return unfinished

    def stop(self) -> None:
        """Ask nobody, and let what was found lapse."""
        self.queue.clear()
        self._found.clear()
        self._running.clear()
        self._timers.clear()

    def _absorb(self, running: _Running, now: float) -> None:
        transaction, query = running.transaction, running.query
        for output in transaction.take_outputs():
            if isinstance(output, SendDatagram):
                self._outputs.append(output)
            elif query.keepalive:
                continue
            elif isinstance(output, TransactionSucceeded):
                self._take(query, cast(Address, output.mapped), running.asked, now)
            elif isinstance(output, TransactionFailed):
                text = output.reason if output.code is None else f"{output.code} {output.reason}".rstrip()
                self._try_other(query, text, output.code, running.asked, now)
            else:  # TransactionTimedOut
                self._try_other(query, "no answer", None, running.asked, now, is_silent=True)
        deadline = transaction.deadline()
        if deadline != math.inf:
            self._timers.set(transaction.id, deadline)
            return
        self._timers.cancel(transaction.id)
        self._running.pop(transaction.id, None)

    def _take(self, query: Query, mapped: Address, asked: float, now: float) -> None:
        wrong = why_not_mapped(mapped, query.host.base)
        if wrong is not None:
            self._outputs.append(Unanswered(query, wrong, None, now - asked))
            return
        if not self._found:
            self._timers.set(_KEEPALIVE, now + self._config.keepalive_interval)
        # A socket lives on in the next generation, where the server is asked again: one keepalive is enough.
        place = (query.host.socket, query.server)
        self._found = [*(one for one in self._found if (one.host.socket, one.server) != place), query]
        self._outputs.append(Mapped(query, mapped, now - asked))

    def _try_other(self, query: Query, text: str, code: int | None, asked: float, now: float, *, is_silent: bool = False) -> None:
        """A server's name may stand for several addresses (RFC 8489 8.1)."""
        if query.others:
            self.queue.append(attrs.evolve(query, server=query.others[0], others=query.others[1:]))
        else:
            self._outputs.append(Unanswered(query, text, code, now - asked, is_silent))
