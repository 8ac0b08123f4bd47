"""Sends the questions of the tests, at the pace of RFC 5780 5, and finds the answer to each."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import attrs

from sansice._timers import FewTimers
from sansice.machine import (
    ANY_IPV4,
    ANY_IPV6,
    Address,
    CloseSocket,
    DecodeError,
    DropReason,
    Entropy,
    IcmpError,
    Ids,
    Machine,
    OpenSocket,
    SendDatagram,
    SocketError,
    SocketId,
    Transport,
)
from sansice.stun._attributes import CHANGE_REQUEST, PADDING, RESPONSE_PORT, Attribute
from sansice.stun._encoding import encode
from sansice.stun._header import COOKIE_BYTES, HEADER_LENGTH, MessageClass, Method, TransactionId, new_transaction_id
from sansice.stun._message import Message, decode_untrusted
from sansice.stun._schedule import Schedule
from sansice.stun._transaction import FailureCause, StunTransaction, TransactionFailed, TransactionSucceeded

from ._config import BehaviorConfig
from ._questions import Outcome, Port, Question, Replied, Reply, answer

_PACE = TransactionId(b"pace")  # the key of the timer that is no transaction's

_OUTCOMES = {
    FailureCause.ERROR_RESPONSE: Outcome.REFUSED,
    FailureCause.ICMP: Outcome.UNREACHABLE,
    FailureCause.CLOSED: Outcome.LOST,
}


@attrs.frozen
class _Waiting:
    question: Question
    not_before: float


@attrs.frozen
class _Running:
    question: Question
    transaction: StunTransaction
    word: bytes  # what stands where the cookie does: the first 32 of the 128 bits of an id of RFC 3489
    socket: SocketId
    local: Address
    asked: float


class Asking(Machine):
    """The sockets of a discovery and what is under way on them. Tells its owner `Replied`, once for each question.

    Attributes:
        dropped: datagrams that answered nothing, by reason.
        sent: transactions begun.
        contacted: the hosts that questions were sent to, in order.
    """

    __slots__ = (
        "_config",
        "_entropy",
        "_free_at",
        "_ids",
        "_local",
        "_locals",
        "_ports",
        "_running",
        "_server",
        "_sockets",
        "_timers",
        "_waiting",
        "contacted",
        "dropped",
        "sent",
    )

    def __init__(self, *, local: Address | None, config: BehaviorConfig, ids: Ids, entropy: Entropy) -> None:
        super().__init__()
        self.dropped: Counter[DropReason] = Counter()
        self.sent: int = 0
        self.contacted: list[str] = []  # as long as max_targets and the alternate allow
        self._config = config
        self._entropy = entropy
        self._ids = ids
        self._local = local
        self._server = Address(ANY_IPV4, 0)
        self._sockets: dict[Port, SocketId] = {}
        self._ports: dict[SocketId, Port] = {}
        self._locals: dict[SocketId, Address] = {}
        self._waiting: list[_Waiting] = []
        self._running: dict[TransactionId, _Running] = {}
        self._free_at = -math.inf
        self._timers: FewTimers[TransactionId] = FewTimers()

    def aim(self, server: Address) -> None:
        """From now on ask this server, from fresh sockets: nothing that was sent before touches its tests (RFC 5780 4.1)."""
        self.close()
        self._server = server

    def close(self) -> None:
        """Ask nothing any more, and close all sockets."""
        self.forget()
        self._outputs.extend(CloseSocket(socket) for socket in self._ports)
        self._sockets.clear()
        self._ports.clear()
        self._locals.clear()

    def forget(self) -> None:
        """What was asked is of no interest any more."""
        self._waiting.clear()
        self._running.clear()
        self._timers.clear()

    def ask(self, question: Question, *, now: float) -> None:
        """Ask as soon as pacing, the question's delay and its socket allow."""
        self._waiting.append(_Waiting(question, now + question.delay))
        self._begin(now)

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """What waited for the socket may be asked."""
        if socket in self._ports:
            self._locals[socket] = local
            self._begin(now)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """What was asked, or waits to be asked, from this socket is lost."""
        port = self._ports.pop(socket, None)
        if port is None:
            return
        del self._sockets[port]
        self._locals.pop(socket, None)
        for running in tuple(self._running.values()):
            running.transaction.handle_socket_failed(socket, error, now=now)
            self._absorb(running, now)
        lost = [waiting for waiting in self._waiting if waiting.question.port is port]
        self._waiting = [waiting for waiting in self._waiting if waiting.question.port is not port]
        for waiting in lost:
            reply = Reply(Outcome.LOST, now, now, text=error.text or error.kind.value)
            self._outputs.append(Replied(waiting.question, reply))

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        """Find what each datagram answers."""
        port = self._ports.get(socket)
        for source, data in batch:
            if port is None:
                self.dropped[DropReason.UNKNOWN_SOCKET] += 1
                continue
            try:
                message = self._decode_untrusted(data)
            except DecodeError as error:
                self.dropped[error.reason] += 1
                continue
            reason = self._take(port, source, message, now)
            if reason is not None:
                self.dropped[reason] += 1

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        """Nobody is there: no need to ask again."""
        for running in tuple(self._running.values()):
            running.transaction.handle_icmp(socket, destination, error, now=now)
            self._absorb(running, now)

    def handle_timer(self, *, now: float) -> None:
        """Retransmit, give up, or begin what has waited."""
        while (key := self._timers.pop_due(now)) is not None:
            running = self._running.get(key)
            if running is not None:
                running.transaction.handle_timer(now=now)
                self._absorb(running, now)
        self._begin(now)

    def deadline(self) -> float:
        """The next retransmission, end, or beginning."""
        return self._timers.earliest

    # ------------------------------------------------------------- asking

    def _begin(self, now: float) -> None:
        """Begin the next question whose time has come, and know when to look again."""
        for waiting in self._waiting:
            socket = self._socket_for(waiting.question.port)
            if socket in self._locals and waiting.not_before <= now and self._free_at <= now:
                self._waiting.remove(waiting)
                self._start(waiting.question, socket, now)
                break
        ready = [one.not_before for one in self._waiting if self._sockets.get(one.question.port) in self._locals]
        self._timers.set(_PACE, max(self._free_at, min(ready)) if ready else math.inf)

    def _socket_for(self, port: Port) -> SocketId:
        socket = self._sockets.get(port)
        if socket is None:
            socket = self._sockets[port] = self._ids.socket()
            self._ports[socket] = port
            any_host = ANY_IPV6 if self._server.is_ipv6 else ANY_IPV4
            local = self._local or Address(any_host, 0)
            bind = local if port is Port.FIRST else Address(local.host, 0)
            self._outputs.append(OpenSocket(socket, Transport.UDP, bind, self._server))
        return socket

    def _start(self, question: Question, socket: SocketId, now: float) -> None:
        transaction_id = new_transaction_id(self._entropy)
        request = encode(Method.BINDING, MessageClass.REQUEST, transaction_id, _attributes(question))
        word = COOKIE_BYTES
        if question.classic:
            word = bytes((COOKIE_BYTES[0] ^ 0x80,)) + self._entropy(3)
            request = request[:4] + word + request[8:]
        transaction = StunTransaction.of_encoded(
            request, transaction_id, socket, question.destination, schedule=self._schedule(question), classic=True
        )
        running = _Running(question, transaction, word, socket, self._locals[socket], now)
        self._running[transaction_id] = running
        self._free_at = now + self._config.pacing
        self.sent += 1
        if question.destination.host not in self.contacted:
            self.contacted.append(question.destination.host)
        transaction.start(now=now)
        self._absorb(running, now)

    def _schedule(self, question: Question) -> Schedule:
        schedule = self._config.schedule
        rto = schedule.rto * (1 + self._config.spread * self._entropy(1)[0] / 255)
        return attrs.evolve(schedule, rto=rto, rc=min(schedule.rc, question.requests or schedule.rc))

    # ------------------------------------------------------------- answers

    def _decode_untrusted(self, data: bytes) -> Message:
        """A message; an answer to a classic question is given the cookie that RFC 3489 did not know."""
        running = self._running.get(TransactionId(data[8:HEADER_LENGTH]))
        if running is not None and running.question.classic and data[4:8] == running.word:
            data = data[:4] + COOKIE_BYTES + data[8:]
        return decode_untrusted(data)

    def _take(self, port: Port, source: Address, message: Message, now: float) -> DropReason | None:
        running = self._running.get(message.transaction_id)
        if running is None:
            return DropReason.UNKNOWN_TRANSACTION
        question = running.question
        if message.message_class is MessageClass.REQUEST:
            if not question.returns or port is question.port:
                return DropReason.BAD_CLASS
            self._end(running, Reply(Outcome.RETURNED, running.asked, now, running.local, arrived=port, source=source))
            return None
        if source not in (question.destination, question.answered_from):
            return DropReason.WRONG_SOURCE
        if port is not question.port and question.response_port is None:
            return DropReason.WRONG_SOURCE
        transaction = running.transaction
        transaction.handle_response(message, now=now)
        self._absorb(running, now, port, source)
        return transaction.refusal

    def _absorb(self, running: _Running, now: float, port: Port | None = None, source: Address | None = None) -> None:
        transaction, reply = running.transaction, None
        for output in transaction.take_outputs():
            if isinstance(output, SendDatagram):
                self._outputs.append(output)
            elif isinstance(output, TransactionSucceeded):
                reply = answer(
                    output.response, output.mapped, running.question, asked=running.asked, ended=now, local=running.local
                )
            elif isinstance(output, TransactionFailed):
                text = output.reason if output.code is None else f"{output.code} {output.reason}".rstrip()
                outcome = _OUTCOMES.get(output.cause, Outcome.UNUSABLE)
                reply = Reply(outcome, running.asked, now, running.local, text, output.code)
            else:  # TransactionTimedOut
                reply = Reply(Outcome.SILENT, running.asked, now, running.local)
        if reply is not None:
            self._end(running, attrs.evolve(reply, arrived=port, source=source))
        else:
            self._timers.set(transaction.id, transaction.deadline())

    def _end(self, running: _Running, reply: Reply) -> None:
        self._timers.cancel(running.transaction.id)
        del self._running[running.transaction.id]
        self._outputs.append(Replied(running.question, reply))


def _attributes(question: Question) -> list[tuple[Attribute[Any], Any]]:
    attributes: list[tuple[Attribute[Any], Any]] = []
    if question.change is not None:
        attributes.append((CHANGE_REQUEST, question.change))
    if question.response_port is not None:
        attributes.append((RESPONSE_PORT, question.response_port))
    if question.padding:
        attributes.append((PADDING, bytes(question.padding)))
    return attributes
