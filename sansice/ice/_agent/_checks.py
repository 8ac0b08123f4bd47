"""The checks on their way, of all streams and generations (RFC 8445 7.2)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sansice._timers import FewTimers
from sansice.ice._binding import Refusal
from sansice.ice._pair import Pair, PairState
from sansice.ice._role import IceRole
from sansice.ice._telling._tally import CheckFailure
from sansice.machine import Action, Address, DropReason, Event, SendDatagram, SendStream, SocketId, Transport
from sansice.stun import (
    IntegrityKey,
    Message,
    StunTransaction,
    TransactionFailed,
    TransactionId,
    TransactionSucceeded,
    TransactionTimedOut,
)

from ._session import Session

if TYPE_CHECKING:
    from ._checker import Checker

# A peer may trigger a new check of a pair again and again; so many cancelled ones are still listened for.
MAX_CANCELLED = 4

_TCP = Transport.TCP
_IN_PROGRESS = PairState.IN_PROGRESS  # looked up once: see stun/_transaction.py


class Running:
    """A check on its way, with what must be remembered of it until it ends.

    Attributes:
        number: of the nomination, where it has one.
        cancelled: it is listened for, and no more.
    """

    __slots__ = ("cancelled", "checker", "nominating", "number", "pair", "priority", "role", "transaction")

    def __init__(
        self,
        transaction: StunTransaction,
        checker: Checker,
        pair: Pair,
        role: IceRole,
        priority: int,
        nominating: bool,
        number: int = 0,
    ) -> None:
        self.transaction = transaction
        self.checker = checker
        self.pair = pair
        self.role = role
        self.priority = priority
        self.nominating = nominating
        self.number = number
        self.cancelled = False

    @property
    def path(self) -> tuple[SocketId, Address]:
        """Where it goes."""
        return self.pair.local.socket, self.pair.remote_address


class Checks:
    """The transactions of checks. How one ends is told to the `Checker` that sent it.

    Attributes:
        running: by transaction id.
    """

    __slots__ = ("_session", "_timers", "running")

    def __init__(self, session: Session) -> None:
        self.running: dict[TransactionId, Running] = {}
        self._session = session
        self._timers: FewTimers[TransactionId] = FewTimers()

    def start(
        self,
        checker: Checker,
        pair: Pair,
        transaction_id: TransactionId,
        request: bytes,
        *,
        key: IntegrityKey,
        priority: int,
        nominating: bool,
        number: int,
        now: float,
    ) -> None:
        """Send a check, and go on until it is answered or given up."""
        transaction = StunTransaction.of_encoded(
            request,
            transaction_id,
            pair.local.socket,
            pair.remote_address,
            key=key,
            schedule=self._session.schedule(),
            reliable=pair.local.candidate.transport is _TCP,  # RFC 6544 7.1
        )
        running = Running(transaction, checker, pair, self._session.role, priority, nominating, number)
        self.running[transaction_id] = running
        transaction.start(now=now)
        self._absorb(running, now)

    def handle_response(self, socket: SocketId, source: Address, message: Message, *, now: float) -> bool:
        """Take a response; ``False`` where it answers no check of ours."""
        running = self.running.get(message.transaction_id)
        if running is None:
            return False
        if (socket, source) != (running.pair.local.socket, running.pair.remote_address):
            if running.checker.verify(message):
                self._session.drop(DropReason.WRONG_SOURCE)
                self._end(running)
                running.checker.check_failed(running, CheckFailure.WRONG_SOURCE, now)  # RFC 8445 7.2.5.2.1
            else:
                self._session.drop(DropReason.BAD_INTEGRITY)
            return True
        if not running.transaction.handle_response(message, now=now):
            self._session.drop(running.transaction.refusal or DropReason.UNKNOWN_TRANSACTION)
        self._absorb(running, now)
        return True

    def handle_unreachable(
        self, socket: SocketId, destination: Address, why: CheckFailure = CheckFailure.UNREACHABLE, *, now: float
    ) -> None:
        """A hard ICMP error, or a relay that may not: fail the check in progress (RFC 8445 7.2.5.2.2).

        A pair that has worked before stays as it is, for ICMP is easily forged.
        """
        for running in self.running.values():
            pair = running.pair
            if (pair.local.socket, pair.remote_address) == (socket, destination) and self.is_current(running):
                self._end(running)
                running.checker.check_failed(running, why, now)
                return

    def lose(self, pair: Pair, why: CheckFailure, *, now: float) -> None:
        """The connection of a pair is no more: no check on it is answered, whether it was sent or not."""
        listed = [one for one in self.running.values() if one.pair is pair]
        for running in listed:
            self._end(running)
        for running in listed:  # at most one of them was not cancelled
            running.checker.check_failed(running, why, now)

    def handle_timer(self, *, now: float) -> None:
        """Retransmit, or time out."""
        while (key := self._timers.pop_due(now)) is not None:
            running = self.running[key]
            running.transaction.handle_timer(now=now)
            self._absorb(running, now)

    def deadline(self) -> float:
        """The earliest retransmission or timeout."""
        return self._timers.earliest

    def _absorb(self, running: Running, now: float) -> None:
        """Pass on what a transaction wants, and tell how it ended."""
        transaction = running.transaction
        outcome: Action | Event | None = None
        for output in transaction.take_outputs():
            if isinstance(output, SendDatagram):
                self._session.outputs.append(output)
            elif isinstance(output, SendStream):
                self._session.outputs.append(SendDatagram(*running.path, output.data))
            else:
                outcome = output
        deadline = transaction.deadline()
        if deadline != math.inf:
            self._timers.set(transaction.id, deadline)
            return
        self._end(running)
        if isinstance(outcome, TransactionSucceeded):
            running.checker.check_succeeded(running, outcome, now)
        elif isinstance(outcome, TransactionFailed) and outcome.code == Refusal.ROLE_CONFLICT:
            running.checker.check_conflicted(running, now)
        elif isinstance(outcome, TransactionFailed):
            running.checker.check_failed(running, CheckFailure.REFUSAL, now)
        elif isinstance(outcome, TransactionTimedOut):
            running.checker.check_failed(running, CheckFailure.SILENCE, now)

    def _end(self, running: Running) -> None:
        transaction_id = running.transaction.id
        del self.running[transaction_id]
        if not self.running:
            self.running.clear()  # which gives its room back: an agent that has selected has none
        running.pair.cancelled -= running.cancelled
        self._timers.cancel(transaction_id)
        if not self.running:
            self.running.clear()  # which gives back the room that it took

    def is_current(self, running: Running) -> bool:
        """Whether it is the one check of an In-Progress pair that was not cancelled."""
        return not running.cancelled and running.pair.state is _IN_PROGRESS

    def forget(self, pair: Pair) -> None:
        """Listen for no answer about a pair any more."""
        for running in [one for one in self.running.values() if one.pair is pair]:
            self._end(running)

    def forget_ordinary(self, pair: Pair) -> None:
        """A late answer made the checks needless that were triggered after it; a nominating one is not."""
        for running in [one for one in self.running.values() if one.pair is pair and not one.nominating]:
            self._end(running)

    def forget_all_of(self, checker: Checker) -> list[Pair]:
        """Nothing can become of a generation any more. Returns the pairs that were being checked."""
        listed = [one for one in self.running.values() if one.checker is checker]
        for running in listed:
            self._end(running)
        return [one.pair for one in listed if one.pair.state is _IN_PROGRESS]

    def cancel(self, pair: Pair, now: float) -> None:
        """Stop retransmitting, do not fail on silence, but go on listening (RFC 8445 7.3.1.4)."""
        of_pair = [one for one in self.running.values() if one.pair is pair]
        if pair.cancelled >= MAX_CANCELLED:
            self._end(next(one for one in of_pair if one.cancelled))
        running = next(one for one in of_pair if not one.cancelled)
        running.cancelled = True
        pair.cancelled += 1
        running.transaction.cancel(now=now)
        self._timers.set(running.transaction.id, running.transaction.deadline())
