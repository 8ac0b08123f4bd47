"""Connectivity checks: RFC 8445 sections 6 and 7, of one generation of one stream.

A `Checker` has the credentials of both sides, the candidates of every component and the checklist that they
make. It sends the checks that the session's pacing allows, answers those of the peer, and says what became of pairs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import attrs

from sansice.ice._binding import (
    Check,
    Refusal,
    Refused,
    encode_check,
    encode_refusal,
    encode_success,
    read_check,
)
from sansice.ice._candidate import MAX_PRIORITY, Candidate, CandidateType, HostName, is_under_local
from sansice.ice._description import Credentials, Description
from sansice.ice._events import NominationRefused
from sansice.ice._nomination import RENOMINATION
from sansice.ice._pair import UNFINISHED, LocalCandidate, Pair, PairEvent, PairState
from sansice.ice._priority import candidate_priority
from sansice.ice._reachability import can_pair
from sansice.ice._role import Conflict, IceRole, find_conflict
from sansice.ice._telling._tally import CheckFailure
from sansice.machine import Address, DecodeError, DropReason, SendDatagram, SocketId, Transport
from sansice.stun import (
    IntegrityAlgorithm,
    Message,
    TransactionId,
    TransactionSucceeded,
    new_transaction_id,
    short_term_key,
)

from ._checklist import Checklist, ChecklistEvent, ChecklistState, unfreeze_foundation
from ._checks import Checks, Running
from ._conclusion import Conclusion
from ._early import EarlyCheck, EarlyChecks
from ._pairing import Pairing
from ._renomination import as_nominee
from ._session import PairAnswered, PairBecameValid, PairDied, Session, nomination_timer

# Two agents settle a conflict in one exchange. A peer that goes on answering 487 is broken or hostile.
MAX_CONFLICTS = 4

# Looked up once: see stun/_transaction.py.
_CONTROLLING, _CONTROLLED = IceRole
_IN_PROGRESS, _SUCCEEDED = PairState.IN_PROGRESS, PairState.SUCCEEDED
_CHECK, _REPEAT, _SUCCEED, _FAIL = PairEvent.CHECK, PairEvent.REPEAT, PairEvent.SUCCEED, PairEvent.FAIL
_PEER_REFLEXIVE = CandidateType.PEER_REFLEXIVE


class Checker:
    """One generation of one stream (RFC 8445 9).

    Attributes:
        credentials: ours.
        generation: its number among those of the stream, from 0.
        remote: the peer's description; ``None`` until it is known.
        list: the checklist.
        conclusions: of each component, in order.
        is_retired: another generation has taken its place.
    """

    __slots__ = (
        "_checks",
        "_early",
        "_key",
        "_remote_key",
        "_session",
        "_username",
        "conclusions",
        "credentials",
        "generation",
        "is_retired",
        "list",
        "remote",
    )

    def __init__(self, session: Session, checks: Checks, credentials: Credentials, stream: int, components: int) -> None:
        self.credentials = credentials
        self.generation = 0
        self.remote: Description | None = None
        self.list = Checklist(components)
        self.conclusions = tuple(
            [
                Conclusion(session, checks, Pairing(session, self.list, number), nomination_timer(stream, number))
                for number in range(1, components + 1)
            ]
        )
        self.is_retired = False
        self._session = session
        self._checks = checks
        self._key = short_term_key(credentials.pwd)
        self._remote_key = self._key
        self._username = ""
        self._early: EarlyChecks | None = None

    # ------------------------------------------------------------- what the agent tells

    def add_local(self, local: LocalCandidate) -> None:
        """Know a local candidate."""
        self._of(local).pairing.add_local(local)

    def remove_local(self, socket: SocketId, *, now: float) -> None:
        """A socket died: fail its pairs and forget its candidates (RFC 8445 5.1.1.4)."""
        self.forget_local(socket)
        for pair in tuple(self.list):
            if pair.local.socket == socket:
                self._checks.forget(pair)
                self._fail(pair)
                if self._of(pair.local).mover is not None:  # it will have other sockets, and never this one again
                    self._of(pair.local).pairing.forget(pair)
        self.consider(now)

    def forget_local(self, socket: SocketId) -> None:
        """Know the candidates of a socket no more."""
        for conclusion in self.conclusions:
            conclusion.pairing.remove_local(socket)

    def set_remote(self, description: Description) -> None:
        """Know the peer, and pair what is known. `take_up_early` comes next, once all streams know theirs."""
        self.remote = description
        self._remote_key = short_term_key(description.pwd)
        self._username = f"{description.ufrag}:{self.credentials.ufrag}"  # RFC 8445 7.2.2
        is_ice2 = "ice2" in description.options
        for conclusion in self.conclusions:
            conclusion.is_ice2 = is_ice2
            conclusion.peer_checks = not description.lite
        if self._session.nomination.renominate and RENOMINATION in description.options:
            self._have_movers()
        if description.lite:
            self._session.take_role(_CONTROLLING)  # RFC 8445 6.1.1
        for candidate in description.candidates:
            self.add_remote(candidate)
        self.list.is_running = True

    def _have_movers(self) -> None:
        from ._mover import Mover  # what most agents never need

        for conclusion in self.conclusions:
            conclusion.mover = Mover(self._session, self._checks, conclusion)

    def take_up_early(self, *, now: float) -> None:
        """Follow the checks of this peer that came before its description."""
        for conclusion in self.conclusions:
            conclusion.pairing.trusted = ()
        if self._early is None or self.remote is None:
            return
        early, self._early = self._early.take(self.remote.ufrag), None
        for entry in early:
            if self._of(entry.local).pairing.local_on(entry.local.socket) is entry.local:
                self._follow(entry.local, entry.source, entry.check, None, now)

    @property
    def has_worked(self) -> bool:
        """Whether any pair of this generation has ever become valid: then the peer is known, and nobody else answers."""
        return any(conclusion.first_valid_at < math.inf for conclusion in self.conclusions)

    def has_heard_of(self, remote_ufrag: str) -> bool:
        """Whether somebody else has proven, by a check, that he answers the present local description (RFC 8445 7.3.1.4)."""
        return not self.has_worked and self._early is not None and self._early.has(remote_ufrag)

    def inherit_early(self, former: Checker) -> None:
        """The local credentials are the same still, and so are the checks that were addressed to them."""
        self._early = former._early

    def inherit_locals(self, former: Checker) -> None:
        """Sockets stay, and checks may go out from them before the application has gathered again."""
        for old, new in zip(former.conclusions, self.conclusions, strict=True):
            for local in old.pairing.bases():
                new.pairing.add_local(local)

    def retire(self) -> None:
        """Another generation has begun. This one goes on answering, and its pairs carry data until the other has some."""
        self._checks.forget_all_of(self)
        for conclusion in self.conclusions:
            conclusion.stop()
        self.is_retired = True

    def add_remote(self, candidate: Candidate) -> bool:
        """Know a remote candidate; ``False`` where it cannot be used (see `IceAgent.add_remote_candidate`)."""
        if candidate.component > len(self.conclusions):
            self._session.drop(DropReason.UNUSABLE_CANDIDATE)
            return False
        pairing, name = self.conclusions[candidate.component - 1].pairing, candidate.address
        if not isinstance(name, HostName) or (candidate.transport is not Transport.UDP and not self._session.has_tcp):
            return pairing.add_remote(candidate)
        is_concealed = is_under_local(name.name)
        if is_concealed and not pairing.note_name(candidate):
            return False
        is_sought = self._session.find(candidate, name, self)
        if is_concealed and not is_sought:
            pairing.lose_name(candidate)
        return is_sought

    def add_found(self, candidate: Candidate, hosts: tuple[str, ...]) -> None:
        """Know a remote candidate whose name has these addresses: of IPv6 where we have that, or else of IPv4 (RFC 5245 15.1).

        A name that conceals an address stays in its place, for whoever is told of the candidate. Without any address it has led
        nowhere.
        """
        pairing = self.conclusions[candidate.component - 1].pairing
        chosen = next((host for host in hosts if (":" in host) is pairing.has_ipv6), next(iter(hosts), None))
        if chosen is None:
            pairing.lose_name(candidate)
            return
        address = Address(chosen, candidate.address.port)
        if is_under_local(candidate.address[0]):
            pairing.add_remote(candidate, address)
        else:
            pairing.add_remote(attrs.evolve(candidate, address=address))

    # ------------------------------------------------------------- what the agent asks

    def _of(self, local: LocalCandidate) -> Conclusion:
        return self.conclusions[local.candidate.component - 1]

    @property
    def has_unfinished(self) -> bool:
        """Whether a pair is still being tried, or a name may still lead to one."""
        return self.waits_for_names or any(pair.state in UNFINISHED for pair in self.list)

    @property
    def waits_for_names(self) -> bool:
        """Whether the name of a remote candidate is still being looked up."""
        names = self._session.names
        return names is not None and names.waits_for(self)

    def consider(self, now: float) -> None:
        """Nominate for every component what is to be nominated."""
        for conclusion in self.conclusions:
            conclusion.consider(now)

    # ------------------------------------------------------------- our checks

    def encode_check(self, local: LocalCandidate, use_candidate: bool = False, number: int = 0) -> tuple[TransactionId, bytes]:
        """A new check from ``local``, also for consent, which is asked by the same message (RFC 7675 5.1)."""
        transaction_id = new_transaction_id(self._session.entropy)
        request = encode_check(
            transaction_id,
            username=self._username,
            key=self._remote_key,
            priority=_check_priority(local),
            role=self._session.role,
            tiebreaker=self._session.tiebreaker,
            use_candidate=use_candidate,
            nomination=number,
        )
        return transaction_id, request

    def verify(self, response: Message) -> bool:
        """Whether the peer, and nobody else, wrote this response, with the algorithm of our checks (RFC 8489 9.1.4)."""
        return response.integrity is IntegrityAlgorithm.SHA1 and response.verify(self._remote_key)

    def check(self, pair: Pair, *, now: float) -> None:
        """Send a check of ``pair`` (RFC 8445 7.2.4)."""
        nominating = pair.nominating and self._session.role is _CONTROLLING
        mover = self._of(pair.local).mover if nominating else None
        number = 0 if mover is None else mover.next_number()
        transaction_id, request = self.encode_check(pair.local, nominating, number)
        pair.move(_CHECK)
        pair.tally.requests_sent += 1
        self._checks.start(
            self,
            pair,
            transaction_id,
            request,
            key=self._remote_key,
            priority=_check_priority(pair.local),
            nominating=nominating,
            number=number,
            now=now,
        )

    def check_succeeded(self, running: Running, outcome: TransactionSucceeded, now: float) -> None:
        """A check was answered (RFC 8445 7.2.5.3)."""
        pair = running.pair
        conclusion = self._of(pair.local)
        mapped = cast(Address, outcome.mapped)  # a Binding request succeeds with one only
        local = conclusion.pairing.local_of(pair, mapped, running.priority)
        if local is None:
            self.check_failed(running, CheckFailure.BAD_ANSWER, now)
            return
        pair.tally.failure = None
        conclusion.pairing.trust(pair.remote_address)
        valid = _valid_pair(conclusion.pairing, pair, local)
        before, pair.valid = pair.valid, valid
        pair.move(_SUCCEED)
        if valid is not pair:
            valid.move(_SUCCEED)
        valid.answered(outcome.rtt, now=now)
        unfreeze_foundation(self._session.lists, pair.foundation)  # RFC 8445 7.2.5.3.3
        self._checks.forget_ordinary(pair)
        if not pair.nominating:
            self.list.untrigger(pair)
        conclusion.first_valid_at = min(conclusion.first_valid_at, now)
        if before is not valid:
            self._session.tell(PairBecameValid(valid))
            if before is not None and before is conclusion.selected:
                conclusion.remap(valid)
        elif valid is conclusion.selected or conclusion.was_lost:  # as renomination has it checked: consent is renewed
            self._session.tell(PairAnswered(valid))
        if conclusion.is_cut:
            conclusion.splice(pair, valid)
        conclusion.take_answer(pair, valid, running.number if running.nominating else None, running.role, now)

    def check_failed(self, running: Running, why: CheckFailure, now: float) -> None:
        """Fail the pair (RFC 8445 7.2.5.2).

        The peer's nomination is not forgotten: it was answered, so the peer has selected the pair. Should a later check
        succeed there, while patience keeps the checklist from failing (RFC 8863 4), the pair is the one to follow.
        """
        pair = running.pair
        if running.cancelled:
            return
        nomination, valid = pair.nominate_on_success, pair.valid
        is_answered = why is CheckFailure.REFUSAL
        pair.tally.failure = why
        self._fail(pair)
        pair.nominate_on_success = nomination
        by_us = running.nominating and self._session.role is _CONTROLLING
        conclusion = self._of(pair.local)
        if by_us and is_answered and valid is not None:
            self._session.outputs.append(
                NominationRefused(valid.local.stream, valid.local.candidate.component, valid.snapshot(), by_peer=True)
            )
        conclusion.check_failed(bool(nomination), by_us, number=running.number, is_answered=is_answered, now=now)

    def _fail(self, pair: Pair) -> None:
        self.list.untrigger(pair)
        pair.nominating, pair.nominate_on_success = False, 0
        pair.move(_FAIL)
        if pair.valid is not None:
            valid, pair.valid = pair.valid, None
            self._session.tell(PairDied(valid))

    def fail_pairs(self, conclusion: Conclusion, pairs: Iterable[Pair], why: CheckFailure, *, now: float) -> None:
        """Nothing can become of these pairs, whatever was known of them."""
        for pair in pairs:
            self._checks.forget(pair)
            pair.tally.failure = why
            self._fail(pair)
        conclusion.consider(now)

    def fail_remote(self, conclusion: Conclusion, remote: Address, why: CheckFailure, *, now: float) -> None:
        """Somebody else is at a remote candidate's address: all pairs with it have failed (RFC 6544 7.1)."""
        pairs = [pair for pair in conclusion.pairs if pair.remote_address == remote and pair.valid is None]
        self.fail_pairs(conclusion, pairs, why, now=now)

    def fail_valid(self, valid: Pair, answered_by: float, *, now: float) -> None:
        """Consent on a valid pair ended: it is valid no more, and no late answer revives it (RFC 7675 5.1).

        So it is with all of the component whose last answer came by ``answered_by``: none of them may be nominated.
        """
        if self.is_retired:
            return
        conclusion = self._of(valid.local)
        for pair in conclusion.pairs:
            if pair.valid is not None and (pair.valid is valid or pair.valid.answered_at <= answered_by):
                self._checks.forget(pair)
                self._fail(pair)
                pair.is_spent = True
        conclusion.consider(now)

    def see_mapping(self, valid: Pair | None, mapped: Address | None) -> None:
        """Check the selected pair again where a consent check shows that a NAT maps it anew (RFC 8445 7.2.5.3.1).

        Else an agent whose NAT has forgotten would tell of an address for ever at which it is no more. Only where renomination
        was agreed, for what it finds is another pair, and without that a selection is final (RFC 8445 8.1.1).
        """
        if valid is None or mapped is None or mapped == valid.local.address:
            return
        conclusion = self._of(valid.local)
        if conclusion.mover is None:
            return
        pair = conclusion.source_of(valid)
        if pair is not None and valid is conclusion.selected and conclusion.pairing.has_room_for_mapping:
            self.list.trigger(pair)

    def check_conflicted(self, running: Running, now: float) -> None:
        """The peer answered 487 (RFC 8445 7.2.5.1)."""
        pair = running.pair
        pair.conflicts += 1
        if pair.conflicts > MAX_CONFLICTS:
            self.check_failed(running, CheckFailure.CONFLICT, now)
            return
        self._session.draw_tiebreaker()
        if not running.cancelled:
            pair.nominating = False
            pair.move(_REPEAT)
            self.list.trigger(pair)
        self._session.take_role(running.role.opposite)

    def fail_list(self) -> None:
        """Nothing can become of this checklist any more (RFC 8445 7.2.5.4)."""
        for pair in self._checks.forget_all_of(self):
            pair.move(_FAIL)
        for conclusion in self.conclusions:
            conclusion.stop()
        self.list.is_running = False  # one that was completed, too, which would go on where renomination was agreed
        if self.list.state is not ChecklistState.COMPLETED:
            self.list.move(ChecklistEvent.FAIL)

    # ------------------------------------------------------------- the peer's checks

    def handle_request(self, local: LocalCandidate, source: Address, request: Message, *, now: float) -> None:
        """Answer a Binding request, and let it trigger what it must (RFC 8445 7.3)."""
        session, socket = self._session, local.socket
        try:
            check = read_check(request, self.credentials.ufrag, self._key)
            conflict = Conflict.NONE
            if isinstance(check, Check):
                conflict = find_conflict(session.role, session.tiebreaker, request)
        except DecodeError as error:
            session.drop(error.reason)
            return
        if isinstance(check, Refused):
            session.drop(check.reason)
            key = self._key if check.authenticated else None
            self._send(socket, source, encode_refusal(request, check.refusal, key, check.unknown))
            return
        if self.remote is not None and check.remote_ufrag != self.remote.ufrag and self.has_worked:
            # A browser that offers a restart checks with its new ufrag at once, and addresses the old one of ours, for it knows
            # no other yet. Were it answered, it would use the pair of that check, and stay there when it knows better.
            session.drop(DropReason.BAD_USERNAME)
            return
        if self.is_retired:  # what was begun with these credentials is over, but for the consent to send
            self._send(socket, source, encode_success(request, source, self._key))
            pair = self.list.find(socket, source)
            if pair is not None:
                _count_request(pair)
            return
        if self._is_spent(socket, source):
            session.drop(DropReason.UNUSABLE_CANDIDATE)
            return
        if conflict is Conflict.REJECT:
            self._send(socket, source, encode_refusal(request, Refusal.ROLE_CONFLICT, self._key))
            self._show_role(local, source, check, now)
            return
        if conflict is Conflict.SWITCH:
            session.take_role(session.role.opposite)
        if check.use_candidate and session.role is _CONTROLLED and self._refuses(local, source, check):
            self._send(socket, source, encode_refusal(request, Refusal.BAD_REQUEST, self._key))  # RFC 8445 7.3.1.5
            return
        self._send(socket, source, encode_success(request, source, self._key))
        if self.remote is not None and check.remote_ufrag == self.remote.ufrag:
            self._follow(local, source, check, request.transaction_id, now)
        else:
            self._remember(EarlyCheck(local, source, check))

    def _is_spent(self, socket: SocketId, source: Address) -> bool:
        """Whether consent was lost on a path, so that these credentials serve there no more (RFC 7675 5.1).

        Not for an answer either: the peer would take the pair for one that works, and nominate in vain what is not used here.
        """
        pair = self.list.find(socket, source)
        return pair is not None and pair.is_spent

    def _show_role(self, local: LocalCandidate, source: Address, check: Check, now: float) -> None:
        """Check back where a 487 was sent, for that may never arrive.

        A NAT or a firewall may let our checks through and not our answers; then the peer would ask in the wrong role for
        ever. It learns of the conflict by a check of ours as well (RFC 8445 7.3.1.1).
        """
        check = attrs.evolve(check, use_candidate=False)
        if self.remote is None or check.remote_ufrag != self.remote.ufrag:
            self._remember(EarlyCheck(local, source, check))
            return
        pair = self.list.find(local.socket, source)
        if pair is None or pair.state not in (_IN_PROGRESS, _SUCCEEDED):
            self._follow(local, source, check, None, now)

    def _send(self, socket: SocketId, destination: Address, data: bytes) -> None:
        self._session.outputs.append(SendDatagram(socket, destination, data))

    def _refuses(self, local: LocalCandidate, source: Address, check: Check) -> bool:
        """Whether the application's policy refuses that the peer nominates the pair of a check."""
        accept = self._session.nomination.accept
        if accept is None or not 1 <= check.priority <= MAX_PRIORITY:
            return False
        pairing = self._of(local).pairing
        pair = self.list.find(local.socket, source)
        if pair is None:
            remote = pairing.remotes.get(source) or pairing.peer_reflexive(source, check.priority, local)
            pair = pairing.new_pair(local, remote, source)
        valid = pair.valid or pair
        if accept(as_nominee(valid)):
            return False
        self._session.drop(DropReason.REFUSED_NOMINATION)
        if not pair.is_refused:  # one that was found in no list has no memory, and is told of by the counter
            pair.is_refused = pair in self.list
            if pair.is_refused:
                component = local.candidate.component
                self._session.outputs.append(NominationRefused(local.stream, component, valid.snapshot(), by_peer=False))
        return True

    def _remember(self, early: EarlyCheck) -> None:
        """Keep a check for the time when its sender's description is known.

        That may be the description that is still to come, or that of another peer who answered the same offer of ours: its
        ufrag says with which password to check back (RFC 8445 7.3.1.4).
        """
        if self._early is None:
            self._early = EarlyChecks(self._session.config.max_early_checks)
        if not self._early.add(early):
            self._session.drop(DropReason.LIMIT)
        elif self.remote is None:
            self._of(early.local).pairing.trust(early.source)

    def _follow(self, local: LocalCandidate, source: Address, check: Check, request: TransactionId | None, now: float) -> None:
        """Learn a peer-reflexive candidate, check back, follow a nomination (RFC 8445 7.3.1.3 to 7.3.1.5)."""
        conclusion = self._of(local)
        conclusion.hear(now)
        pairing = conclusion.pairing
        remote = pairing.remote_of_check(source, check.priority, local)
        if remote is None or not can_pair(local.base, source):
            return
        pairing.trust(source)
        number = check.nomination
        nominates = check.use_candidate and self._session.role is _CONTROLLED and not conclusion.is_stale(number)
        # RFC 8445 8.1.2, 11: else answered, without consequences. Where the peer may renominate, pairs are looked for on and on.
        may_trigger = nominates or conclusion.selected is None or conclusion.mover is not None or conclusion.is_cut
        pair = self.list.find(local.socket, source)
        if pair is None:
            pair = pairing.insert_triggered(local, remote, source) if may_trigger else None
            if pair is None:
                return
            _count_request(pair)
        else:
            _count_request(pair)
            if not may_trigger:
                return
            if pair.state is not _SUCCEEDED or pair.valid is None:
                self._trigger(pair, now)
            elif not nominates:
                return
            elif now < pair.valid.answered_at + self._session.config.consent_timeout and conclusion.may_follow(pair, now):
                conclusion.count_nomination(pair, number, request, now)
                conclusion.nominate(pair, pair.valid, pair.nominate_on_success, now)
                conclusion.consider(now)
                return
            else:  # it was not in use: consent must be fresh before data goes there (RFC 7675 5.1), and the path alive
                self._trigger(pair, now)
        if nominates:
            conclusion.count_nomination(pair, number, request, now)

    def _trigger(self, pair: Pair, now: float) -> None:
        if pair.state is _IN_PROGRESS:
            self._checks.cancel(pair, now)
        pair.move(_REPEAT)
        self.list.move(ChecklistEvent.REVIVE)
        self.list.trigger(pair)


def _count_request(pair: Pair) -> None:
    """A request was answered, with whatever answer."""
    pair.tally.requests_received += 1
    pair.tally.responses_sent += 1


def _check_priority(local: LocalCandidate) -> int:
    # RFC 8445 7.1.1: what a peer-reflexive candidate learned from this check would have.
    candidate = local.candidate
    return candidate_priority(_PEER_REFLEXIVE, local.local_preference, candidate.component, candidate.transport)


def _valid_pair(pairing: Pairing, pair: Pair, local: LocalCandidate) -> Pair:
    """The valid pair that joins the candidate of the mapped address (RFC 8445 7.2.5.3.2)."""
    if local is pair.local:
        return pair
    if pair.valid is not None and pair.valid.local is local:
        return pair.valid
    return pairing.new_valid_pair(pair, local)
