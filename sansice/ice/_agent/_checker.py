"""Connectivity checks: RFC 8445 sections 6 and 7, from the descriptions to the nominated pair.

A machine inside the agent. The agent gives it the local candidates, the remote description and the
STUN messages that arrive on its sockets, and calls `Checker.start_next` when the pacing allows one more
transaction. What becomes of the pairs comes back as events.
"""

from __future__ import annotations

import math
from typing import cast

import attrs

from sansice._timers import FewTimers
from sansice.ice._binding import (
    Check,
    Refusal,
    Refused,
    encode_check,
    encode_refusal,
    encode_success,
    read_check,
)
from sansice.ice._candidate import CandidateType
from sansice.ice._config import IceConfig
from sansice.ice._description import Credentials, Description
from sansice.ice._pair import UNFINISHED, LocalCandidate, Pair, PairEvent, PairState
from sansice.ice._priority import Foundations, candidate_priority
from sansice.ice._role import Conflict, IceRole, find_conflict
from sansice.machine import Action, Address, DecodeError, DropReason, Entropy, Event, Machine, SendDatagram, SocketId
from sansice.stun import (
    IntegrityAlgorithm,
    Message,
    Schedule,
    StunTransaction,
    TransactionFailed,
    TransactionId,
    TransactionSucceeded,
    TransactionTimedOut,
    new_transaction_id,
    short_term_key,
)

from ._checklist import ChecklistEvent, ChecklistState, unfreeze_foundation
from ._nomination import best_valid, choose
from ._pairing import Drop, Pairing, can_pair

_NOMINATE = TransactionId(b"nominate")  # the key of the one timer that is no transaction's
# Two agents settle a conflict in one exchange. A peer that goes on answering 487 is broken or hostile.
MAX_CONFLICTS = 4
# A peer may trigger a new check of a pair again and again; so many cancelled ones are still listened for.
MAX_CANCELLED = 4

# Looked up once: see stun/_transaction.py.
_CONTROLLING, _CONTROLLED = IceRole
_IN_PROGRESS, _SUCCEEDED = PairState.IN_PROGRESS, PairState.SUCCEEDED
_CHECK, _REPEAT, _SUCCEED = PairEvent.CHECK, PairEvent.REPEAT, PairEvent.SUCCEED
_PEER_REFLEXIVE = CandidateType.PEER_REFLEXIVE


@attrs.frozen
class PairBecameValid(Event):
    """A check succeeded; ``pair`` is the valid pair."""

    pair: Pair


@attrs.frozen
class PairNominated(Event):
    """``pair`` is the valid pair to use from now on."""

    pair: Pair


@attrs.frozen
class PairDied(Event):
    """``pair``, which was valid, can be used no more."""

    pair: Pair


@attrs.define(eq=False)
class _Running:
    """A check on its way, with what must be remembered of it until it ends."""

    transaction: StunTransaction
    pair: Pair
    role: IceRole
    priority: int
    nominating: bool
    cancelled: bool = False


@attrs.frozen
class _EarlyCheck:
    """A check that came before the remote description."""

    socket: SocketId
    source: Address
    check: Check


class Checker(Machine):
    """The checks of one component."""

    __slots__ = (
        "_config",
        "_drop",
        "_early",
        "_entropy",
        "_first_valid_at",
        "_followed",
        "_is_ice2",
        "_key",
        "_nominations",
        "_remote_key",
        "_running",
        "_ta",
        "_timers",
        "_trusted",
        "_username",
        "credentials",
        "list",
        "nomination_failed",
        "pairing",
        "remote",
        "selected",
        "tiebreaker",
    )

    def __init__(
        self,
        *,
        credentials: Credentials,
        role: IceRole,
        foundations: Foundations,
        config: IceConfig,
        entropy: Entropy,
        drop: Drop,
    ) -> None:
        super().__init__()
        self.credentials = credentials
        self.pairing = Pairing(role=role, foundations=foundations, config=config, drop=drop)
        self.list = self.pairing.list
        self.tiebreaker = int.from_bytes(entropy(8), "big")
        self.remote: Description | None = None
        self.selected: Pair | None = None
        self.nomination_failed = False
        self._config = config
        self._drop = drop
        self._entropy = entropy
        self._first_valid_at = math.inf
        self._key = short_term_key(credentials.pwd)
        self._remote_key = self._key
        self._username = ""
        self._running: dict[TransactionId, _Running] = {}
        self._ta = config.ta
        self._timers: FewTimers[TransactionId] = FewTimers()
        self._trusted: set[Address] = set()
        self._is_ice2 = False
        self._nominations = 0  # of the peer's
        self._followed = 0  # which of them selected
        self._early: list[_EarlyCheck] = []

    # ------------------------------------------------------------- what the agent tells

    def remove_local(self, socket: SocketId, *, now: float) -> None:
        """A socket died: fail its pairs and forget its candidates (RFC 8445 5.1.1.4)."""
        self.pairing.remove_local(socket)
        for pair in self.list:
            if pair.local.socket == socket:
                self._forget_checks(pair)
                self._fail(pair)
        self._consider_nomination(now)

    def set_remote(self, description: Description, *, ta: float, now: float) -> None:
        """Know the peer: pair what is known, thaw, and take up the checks that came before.

        ``ta`` is the pacing on which both agreed.
        """
        self.remote = description
        self._ta = ta
        self._remote_key = short_term_key(description.pwd)
        self._is_ice2 = "ice2" in description.options
        self._username = f"{description.ufrag}:{self.credentials.ufrag}"  # RFC 8445 7.2.2
        if description.lite:
            self._take_role(_CONTROLLING, now)  # RFC 8445 6.1.1
        for candidate in description.candidates:
            self.pairing.add_remote(candidate)
        self.pairing.run()
        early, self._early = self._early, []
        self._trusted.clear()
        for entry in early:
            local = self.pairing.locals.get(entry.socket)
            if local is not None and entry.check.remote_ufrag == description.ufrag:
                self._follow(local, entry.source, entry.check, now)

    # ------------------------------------------------------------- what the agent asks

    @property
    def role(self) -> IceRole:
        """Whether we nominate."""
        return self.pairing.role

    def is_trusted(self, source: Address) -> bool:
        """Whether an authenticated check of this session came from, or was answered by, ``source``."""
        return source in self._trusted

    @property
    def best_valid(self) -> Pair | None:
        """The valid pair to use while none is selected."""
        pair = best_valid(self.list)
        return None if pair is None else pair.valid

    @property
    def is_exhausted(self) -> bool:
        """Whether no pair is valid and none is still being tried (RFC 8445 7.2.5.4)."""
        return not any(pair.state in UNFINISHED or pair.state is _SUCCEEDED for pair in self.list)

    def has_next(self) -> bool:
        """Whether `start_next` would start a check."""
        return self.remote is not None and self.list.has_next((self.list,))

    def start_next(self, *, now: float) -> bool:
        """Start one check, if any is to be made (RFC 8445 6.1.4.2)."""
        if self.remote is None:
            return False
        pair = self.list.next((self.list,))
        if pair is None:
            return False
        self._send_check(pair, now)
        return True

    # ------------------------------------------------------------- our checks

    def encode_check(self, local: LocalCandidate, use_candidate: bool = False) -> tuple[TransactionId, bytes]:
        """A new check from ``local``, also for consent, which is asked by the same message (RFC 7675 5.1)."""
        transaction_id = new_transaction_id(self._entropy)
        request = encode_check(
            transaction_id,
            username=self._username,
            key=self._remote_key,
            priority=self._check_priority(local),
            role=self.role,
            tiebreaker=self.tiebreaker,
            use_candidate=use_candidate,
        )
        return transaction_id, request

    def verify(self, response: Message) -> bool:
        """Whether the peer, and nobody else, wrote this response, with the algorithm of our checks (RFC 8489 9.1.4)."""
        return response.integrity is IntegrityAlgorithm.SHA1 and response.verify(self._remote_key)

    def _check_priority(self, local: LocalCandidate) -> int:
        # RFC 8445 7.1.1: what a peer-reflexive candidate learned from this check would have.
        return candidate_priority(_PEER_REFLEXIVE, local.local_preference, self.pairing.component)

    def _send_check(self, pair: Pair, now: float) -> None:
        nominating = pair.nominating and self.role is _CONTROLLING
        transaction_id, request = self.encode_check(pair.local, nominating)
        pair.move(_CHECK)
        pair.requests_sent += 1
        transaction = StunTransaction.of_encoded(
            request, transaction_id, pair.local.socket, pair.remote_address, key=self._remote_key, schedule=self._schedule()
        )
        running = _Running(transaction, pair, self.role, self._check_priority(pair.local), nominating)
        self._running[transaction_id] = running
        transaction.start(now=now)
        self._absorb(running, now)

    def _schedule(self) -> Schedule:
        # RFC 8445 14.3, with N the number of pairs in the checklist set; capped, see IceConfig.
        config = self._config
        if self._ta * len(self.list) ** 2 <= config.schedule.rto:  # all active: not worth counting
            return config.schedule
        active = self.list.count(PairState.WAITING, _IN_PROGRESS)
        rto = max(config.schedule.rto, min(config.max_check_rto, self._ta * len(self.list) * active))
        return config.schedule if rto == config.schedule.rto else attrs.evolve(config.schedule, rto=rto)

    def handle_response(self, socket: SocketId, source: Address, message: Message, *, now: float) -> bool:
        """Take a response; ``False`` where it answers no check of ours."""
        running = self._running.get(message.transaction_id)
        if running is None:
            return False
        if (socket, source) != (running.pair.local.socket, running.pair.remote_address):
            if self.verify(message):
                self._drop(DropReason.WRONG_SOURCE)
                self._end(running)
                self._check_failed(running, now)  # RFC 8445 7.2.5.2.1
            else:
                self._drop(DropReason.BAD_INTEGRITY)
            return True
        if not running.transaction.handle_response(message, now=now):
            self._drop(running.transaction.refusal or DropReason.UNKNOWN_TRANSACTION)
        self._absorb(running, now)
        return True

    def handle_unreachable(self, socket: SocketId, destination: Address, *, now: float) -> None:
        """A hard ICMP error: fail the pair (RFC 8445 7.2.5.2.2), unless it has worked before, for ICMP is easily forged."""
        pair = self.list.find(socket, destination)
        if pair is None or pair.state is not _IN_PROGRESS:
            return
        running = self._current(pair)
        self._end(running)
        self._check_failed(running, now)

    def handle_timer(self, *, now: float) -> None:
        """Retransmit, time out, or nominate after waiting for something better."""
        while (key := self._timers.pop_due(now)) is not None:
            running = self._running.get(key)
            if running is None:
                self._consider_nomination(now)
                continue
            running.transaction.handle_timer(now=now)
            self._absorb(running, now)

    def deadline(self) -> float:
        """The earliest retransmission or timeout."""
        return self._timers.earliest

    def _absorb(self, running: _Running, now: float) -> None:
        """Pass on what a transaction wants, and act on how it ended."""
        transaction = running.transaction
        outcome: Action | Event | None = None
        for output in transaction.take_outputs():
            if isinstance(output, SendDatagram):
                self._outputs.append(output)
            else:
                outcome = output
        deadline = transaction.deadline()
        if deadline != math.inf:
            self._timers.set(transaction.id, deadline)
            return
        self._end(running)
        if isinstance(outcome, TransactionSucceeded):
            self._check_succeeded(running, outcome, now)
        elif isinstance(outcome, TransactionFailed) and outcome.code == Refusal.ROLE_CONFLICT:
            self._check_conflicted(running, now)
        elif isinstance(outcome, (TransactionFailed, TransactionTimedOut)):
            self._check_failed(running, now)

    def _end(self, running: _Running) -> None:
        transaction_id = running.transaction.id
        del self._running[transaction_id]
        running.pair.cancelled -= running.cancelled
        self._timers.cancel(transaction_id)

    def _current(self, pair: Pair) -> _Running:
        """The one check of an In-Progress pair that was not cancelled."""
        return next(one for one in self._running.values() if one.pair is pair and not one.cancelled)

    def _forget_checks(self, pair: Pair) -> None:
        for running in [one for one in self._running.values() if one.pair is pair]:
            self._end(running)

    def _drop_needless_checks(self, pair: Pair) -> None:
        """A late answer made the checks needless that were triggered after it; a nominating one is not."""
        for running in [one for one in self._running.values() if one.pair is pair and not one.nominating]:
            self._end(running)
        if not pair.nominating:
            self.list.untrigger(pair)

    def _cancel_check(self, pair: Pair, now: float) -> None:
        """Stop retransmitting, do not fail on silence, but go on listening (RFC 8445 7.3.1.4)."""
        running = self._current(pair)
        if pair.cancelled >= MAX_CANCELLED:
            self._end(next(one for one in self._running.values() if one.pair is pair and one.cancelled))
        running.cancelled = True
        pair.cancelled += 1
        running.transaction.cancel(now=now)
        self._timers.set(running.transaction.id, running.transaction.deadline())

    # ------------------------------------------------------------- how a check ends

    def _check_succeeded(self, running: _Running, outcome: TransactionSucceeded, now: float) -> None:
        pair = running.pair
        mapped = cast(Address, outcome.mapped)  # a Binding request succeeds with one only
        local = self.pairing.local_of(pair, mapped, running.priority)
        if local is None:
            self._check_failed(running, now)
            return
        pair.responses_received += 1
        self._trusted.add(pair.remote_address)
        valid = self._valid_pair(pair, local)
        is_news = pair.valid is not valid
        pair.valid = valid
        pair.move(_SUCCEED)
        if valid is not pair:
            valid.move(_SUCCEED)
        valid.answered_at = now
        unfreeze_foundation((self.list,), pair.foundation)  # RFC 8445 7.2.5.3.3
        self._drop_needless_checks(pair)
        self._first_valid_at = min(self._first_valid_at, now)
        if is_news:
            self._outputs.append(PairBecameValid(valid))
        # Also where our role has changed since: the answer says that the peer has taken the nomination.
        if pair.nominate_on_success or (running.nominating and self.selected is None):
            self._nominate(pair, valid)
        else:
            self._consider_nomination(now)

    def _valid_pair(self, pair: Pair, local: LocalCandidate) -> Pair:
        """The valid pair that joins the candidate of the mapped address (RFC 8445 7.2.5.3.2)."""
        if local is pair.local:
            return pair
        if pair.valid is not None and pair.valid.local is local:
            return pair.valid
        return self.pairing.new_pair(local, pair.remote, pair.remote_address)

    def _check_failed(self, running: _Running, now: float) -> None:
        """Fail the pair; a nominating check that fails takes the checklist with it (RFC 8445 7.2.5.3.4, 7.3.1.5).

        The peer's nomination is not forgotten: it was answered, so the peer has selected the pair. Should a later check
        succeed there, while patience keeps the checklist from failing (RFC 8863 4), the pair is the one to follow.
        """
        pair = running.pair
        if running.cancelled:
            return
        nomination = pair.nominate_on_success
        self._fail(pair)
        pair.nominate_on_success = nomination
        was_nominated = nomination or (running.nominating and self.role is _CONTROLLING)
        if (
            was_nominated
            and self.selected is None
            and not any(other.nominate_on_success and other.state is not PairState.FAILED for other in self.list)
        ):
            self.nomination_failed = True
        self._consider_nomination(now)

    def _fail(self, pair: Pair) -> None:
        self.list.untrigger(pair)
        pair.nominating, pair.nominate_on_success = False, 0
        pair.move(PairEvent.FAIL)
        if pair.valid is not None:
            valid, pair.valid = pair.valid, None
            self._outputs.append(PairDied(valid))

    def fail_valid(self, valid: Pair, answered_by: float, *, now: float) -> None:
        """Consent on a valid pair ended: it is valid no more, and no late answer revives it (RFC 7675 5.1).

        So it is with all whose last answer came by ``answered_by``: none of them may be nominated.
        """
        for pair in self.list:
            if pair.valid is not None and (pair.valid is valid or pair.valid.answered_at <= answered_by):
                self._forget_checks(pair)
                self._fail(pair)
                pair.is_spent = True
        self._consider_nomination(now)

    def _check_conflicted(self, running: _Running, now: float) -> None:
        """The peer answered 487 (RFC 8445 7.2.5.1)."""
        pair = running.pair
        pair.conflicts += 1
        if pair.conflicts > MAX_CONFLICTS:
            self._check_failed(running, now)
            return
        self.tiebreaker = int.from_bytes(self._entropy(8), "big")
        if not running.cancelled:
            pair.nominating = False
            pair.move(_REPEAT)
            self.list.trigger(pair)
        self._take_role(running.role.opposite, now)

    def _take_role(self, role: IceRole, now: float) -> None:
        """Change the role, if it is another one: nominations begun in the old role are void in the new one."""
        if role is self.role:
            return
        self.pairing.take_role(role)
        self._timers.cancel(_NOMINATE)
        for pair in self.list:
            if pair.nominating:
                self.list.untrigger(pair)
            pair.nominating, pair.nominate_on_success = False, 0
        self._consider_nomination(now)

    # ------------------------------------------------------------- nomination

    def _consider_nomination(self, now: float) -> None:
        """Nominate, wait, or do nothing (RFC 8445 8.1.1); the policy is in `_nomination`."""
        if self.role is not _CONTROLLING or self.selected is not None or self.nomination_failed:
            return
        if any(pair.nominating for pair in self.list) or any(one.nominating for one in self._running.values()):
            return
        choice = choose(self.list, self._first_valid_at, self._config.acceptance_waits)
        if choice is None:
            self._timers.cancel(_NOMINATE)
        elif choice.at > now:
            self._timers.set(_NOMINATE, choice.at)
        else:
            self._timers.cancel(_NOMINATE)
            choice.pair.nominating = True
            self.list.trigger(choice.pair)

    def _nominate(self, pair: Pair, valid: Pair) -> None:
        """Conclude the component with a valid pair (RFC 8445 8.1.2)."""
        nomination = pair.nominate_on_success
        pair.nominating, pair.nominate_on_success = False, 0
        chosen = self.selected
        if chosen is valid:
            self._followed = max(self._followed, nomination)
            return
        if chosen is not None:
            if not self._may_replace(chosen, valid, nomination):
                return
            chosen.nominated = False
        self.selected, self._followed = valid, nomination
        self.pairing.is_concluded = True
        self.list.move(ChecklistEvent.NOMINATE)
        for other in tuple(self.list):
            other.nominated = other is pair
            if other is not pair and not other.nominate_on_success:
                self._conclude_without(other)
        valid.nominated = True
        self._outputs.append(PairNominated(valid))

    def _conclude_without(self, pair: Pair) -> None:
        """Check no more a pair that was not nominated; one that works stays, for the peer may yet nominate it."""
        self._forget_checks(pair)
        if pair.state is _SUCCEEDED:
            self.list.untrigger(pair)
        else:
            self.list.remove(pair)

    def fail_list(self) -> None:
        """Nothing can become of this checklist any more (RFC 8445 7.2.5.4)."""
        for running in tuple(self._running.values()):
            self._end(running)
            if running.pair.state is _IN_PROGRESS:
                running.pair.move(PairEvent.FAIL)
        self._timers.clear()
        if self.list.state is not ChecklistState.COMPLETED:
            self.list.move(ChecklistEvent.FAIL)

    # ------------------------------------------------------------- the peer's checks

    def handle_request(self, socket: SocketId, source: Address, request: Message, *, now: float) -> None:
        """Answer a Binding request, and let it trigger what it must (RFC 8445 7.3)."""
        try:
            check = read_check(request, self.credentials.ufrag, self._key)
            conflict = Conflict.NONE
            if isinstance(check, Check):
                conflict = find_conflict(self.role, self.tiebreaker, request)
        except DecodeError as error:
            self._drop(error.reason)
            return
        if isinstance(check, Refused):
            self._drop(check.reason)
            key = self._key if check.authenticated else None
            self._send(socket, source, encode_refusal(request, check.refusal, key, check.unknown))
            return
        if conflict is Conflict.REJECT:
            self._send(socket, source, encode_refusal(request, Refusal.ROLE_CONFLICT, self._key))
            return
        if conflict is Conflict.SWITCH:
            self._take_role(self.role.opposite, now)
        self._send(socket, source, encode_success(request, source, self._key))
        local = self.pairing.locals[socket]
        if self.remote is None:
            self._remember_early(_EarlyCheck(socket, source, check))
        elif check.remote_ufrag == self.remote.ufrag:  # RFC 8445 7.3.1.4: another one is another peer's
            self._follow(local, source, check, now)

    def _send(self, socket: SocketId, destination: Address, data: bytes) -> None:
        self._outputs.append(SendDatagram(socket, destination, data))

    def _remember_early(self, early: _EarlyCheck) -> None:
        """Keep a check for the time when the remote description is known; one from each source.

        The one nominated last comes last, for that is the one that the peer means (see `_count_nomination`).
        """
        for index, other in enumerate(self._early):
            if (other.socket, other.source) == (early.socket, early.source):
                nominates = early.check.use_candidate or other.check.use_candidate
                del self._early[index]
                index = len(self._early) if early.check.use_candidate else index
                self._early.insert(index, attrs.evolve(early, check=attrs.evolve(early.check, use_candidate=nominates)))
                return
        if len(self._early) >= self._config.max_early_checks:
            self._drop(DropReason.LIMIT)
            return
        self._early.append(early)
        self._trusted.add(early.source)

    def _follow(self, local: LocalCandidate, source: Address, check: Check, now: float) -> None:
        """Learn a peer-reflexive candidate, check back, follow a nomination (RFC 8445 7.3.1.3 to 7.3.1.5)."""
        remote = self.pairing.remotes.get(source) or self.pairing.discover(source, check.priority)
        if remote is None or not can_pair(local.base, source):
            return
        self._trusted.add(source)
        nominates = check.use_candidate and self.role is _CONTROLLED
        may_trigger = nominates or self.selected is None  # RFC 8445 8.1.2, 11: else answered, without consequences
        pair = self.list.find(local.socket, source)
        if pair is None:
            pair = self.pairing.insert_triggered(local, remote, source) if may_trigger else None
            if pair is None:
                return
            pair.requests_received += 1
        else:
            pair.requests_received += 1
            if pair.is_spent or not may_trigger:
                return
            if pair.state is not _SUCCEEDED or pair.valid is None:
                self._trigger(pair, now)
            elif not nominates:
                return
            elif now < pair.valid.answered_at + self._config.consent_timeout:
                self._count_nomination(pair)
                self._nominate(pair, pair.valid)
                return
            else:  # it was not in use: consent must be fresh before data goes there (RFC 7675 5.1)
                self._trigger(pair, now)
        if nominates:
            self._count_nomination(pair)

    def _count_nomination(self, pair: Pair) -> None:
        """Nominate ``pair`` once its check has succeeded (RFC 8445 7.3.1.5).

        The peer means the latest. Earlier ones stay until that one is proven: it may be what somebody has replayed.
        """
        self._nominations += 1
        pair.nominate_on_success = self._nominations

    def _trigger(self, pair: Pair, now: float) -> None:
        if pair.state is _IN_PROGRESS:
            self._cancel_check(pair, now)
        pair.move(_REPEAT)
        self.list.move(ChecklistEvent.REVIVE)
        self.list.trigger(pair)

    def _may_replace(self, chosen: Pair, valid: Pair, nomination: int) -> bool:
        """Whether a nomination of ``valid`` may replace the selected pair.

        A partner before RFC 8445 nominates every pair that works, in any order, and both ends use the one of
        highest priority (RFC 8445 8.1.1). Any other nominates once, so a later one is deliberate.
        """
        return nomination > self._followed if self._is_ice2 else valid.priority > chosen.priority
