"""From valid pairs to the selected one: the end of a component's checks (RFC 8445 8.1)."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING

from sansice.ice._candidate import CandidateType
from sansice.ice._pair import UNFINISHED, CandidatePair, Pair, PairState
from sansice.ice._role import IceRole
from sansice.machine import LocalProtocolError, SocketId
from sansice.stun import TransactionId

from ._checks import Checks
from ._nomination import ask, best_valid, choose
from ._pairing import Pairing
from ._session import PairNominated, Session

if TYPE_CHECKING:
    from ._mover import Mover

_CONTROLLING = IceRole.CONTROLLING
# How many places the number of a renomination is shifted, so that it counts more than any number of plain ones.
_NUMBERED = 32
_SUCCEEDED, _FAILED = PairState.SUCCEEDED, PairState.FAILED
# A partner before RFC 8445 may use another pair than the one of highest priority: browsers count what a network costs. It means
# one that it still nominates after so many seconds, and no other meanwhile: the pair in use they nominate every 2.5 s at least.
INSISTENCE = 3.0
# After so many seconds of silence UDP seems to be blocked: the first retransmission, after 0.5 s (RFC 8489 6.2.1), was in vain.
UDP_PATIENCE = 0.6


class Conclusion:
    """One component of one generation, on its way to a selected pair.

    Attributes:
        pairing: its candidates.
        is_ice2: the peer nominates once (RFC 8445 10), so that a later nomination is deliberate.
        mover: what goes on after the selection; ``None`` where not both agents offer renomination.
        selected: the valid pair to use.
        is_cut: the connection of the pair in use was closed, and the peer is to open another one (RFC 6544 11.1).
        has_failed: a nominating check failed, so that nothing can be selected any more (RFC 8445 7.2.5.3.4).
        first_valid_at: when the first pair became valid.
        heard_at: when the peer's first check came: it knows our description, and begins to open what only it can.
        peer_checks: whether the peer checks at all; a lite one never does.
    """

    __slots__ = (
        "_checks",
        "_contender",
        "_followed",
        "_followed_in",
        "_nominations",
        "_session",
        "_timer",
        "first_valid_at",
        "has_failed",
        "heard_at",
        "is_cut",
        "is_ice2",
        "is_over",
        "mover",
        "pairing",
        "peer_checks",
        "selected",
    )

    def __init__(self, session: Session, checks: Checks, pairing: Pairing, timer: int) -> None:
        self.pairing = pairing
        self.is_ice2 = self.is_cut = False
        self.is_over = False
        self.mover: Mover | None = None
        self.selected: Pair | None = None
        self.has_failed = False
        self.first_valid_at = self.heard_at = math.inf
        self.peer_checks = True
        self._session = session
        self._checks = checks
        self._timer = timer
        self._nominations = 0  # of the peer's
        self._contender: _Contender | None = None
        self._followed = 0  # which nomination selected, by order: the peer's by arrival, or by number
        self._followed_in: IceRole | None = None  # and in which role

    @property
    def component(self) -> int:
        """Which one."""
        return self.pairing.component

    @property
    def pairs(self) -> Collection[Pair]:
        """Of this component, by decreasing priority."""
        return self.pairing.pairs

    @property
    def best_valid(self) -> Pair | None:
        """The valid pair to use while none is selected."""
        pair = best_valid(self.pairs) if self.mover is None else self.mover.best_valid
        return None if pair is None else pair.valid

    def valid_pairs(self) -> list[Pair]:
        """The pairs whose checks have made a valid one, by decreasing priority."""
        return [pair for pair in self.pairs if pair.state is _SUCCEEDED and pair.valid is not None]

    def source_of(self, valid: Pair) -> Pair | None:
        """The pair whose checks have made a valid one; ``None``: it is valid no more."""
        return next((pair for pair in self.valid_pairs() if pair.valid is valid), None)

    # ------------------------------------------------------------- our nominations

    def consider(self, now: float) -> None:
        """Nominate, wait, or do nothing (RFC 8445 8.1.1); the policy is in `_nomination`."""
        if self.is_over:
            return
        at = math.inf
        if self.selected is None:
            at = self._consider_first(now)
            if self.mover is not None and self.was_lost:
                at = min(at, self.mover.keep(self.valid_pairs(), now))
        elif self.mover is not None:
            at = self.mover.act(self.selected, now)
        self._session.timers.set(self._timer, at)

    def _consider_first(self, now: float) -> float:
        """Nominate the first pair, or the first after the selected one was lost; or say until when to wait."""
        session, mover = self._session, self.mover
        if session.role is not _CONTROLLING or self.has_failed:
            return math.inf
        pairs: Collection[Pair] = self.pairs
        if mover is not None:
            first = mover.first(now)
            if first is None:
                return mover.tried_until
            pairs = first
        elif self._is_nominating():
            return math.inf
        policy = session.nomination
        if policy.choose is not None:
            chosen, at = ask(policy.choose, [pair.valid for pair in pairs if pair.valid is not None], None, now)
            pair = None if chosen is None else self.source_of(chosen)
        else:
            choice = choose(pairs, self._waits_from, policy.waits(session.config.acceptance_waits))
            pair, at = (None, math.inf) if choice is None else (choice.pair, min(choice.at, self._blocked_until(choice.pair)))
        if pair is None or at > now:
            return at
        self.start(pair, now)
        return math.inf if mover is None else mover.tried_until

    def _blocked_until(self, pair: Pair) -> float:
        """When a pair is good enough because the network seems to let out no UDP; never, if it does not seem so.

        A relay of ours works that was reached over a stream, for no server has answered over UDP. What is better than its pairs
        is in the same network, and that answers before any relay.
        """
        valid, session = pair.valid, self._session
        if valid is None or valid.local.candidate.type is not CandidateType.RELAYED:
            return math.inf
        return max(self._waits_from + session.config.blocked_wait, session.silent_since + UDP_PATIENCE)

    @property
    def _waits_from(self) -> float:
        """From when on a better pair is waited for: both agents must have been able to try theirs.

        While we gather, a peer that is told everything at once does not know us yet, and what its NAT lets in only after it has
        sent cannot work. Its first check shows that it knows us, and the end of gathering, which is bounded, that it will soon.
        """
        known_at = min(self.heard_at, self._session.gathered_at) if self.peer_checks else -math.inf
        return max(self.first_valid_at, known_at)

    def hear(self, now: float) -> None:
        """The peer has sent a check."""
        if self.heard_at == math.inf:
            self.heard_at = now
            self._session.is_to_consider = True

    def start(self, pair: Pair, now: float) -> None:
        """Nominate a pair: repeat its check with USE-CANDIDATE (RFC 8445 8.1.1)."""
        pair.nominating = True
        if self.mover is None:
            self.pairing.list.trigger(pair)
        else:
            self.pairing.list.trigger_next(pair)  # data may wait for it, and for the others nobody waits
            self.mover.begun(pair, now)

    def _is_nominating(self) -> bool:
        """Whether a nomination is to be sent or on its way, though perhaps by a role that we have no more."""
        if any(pair.nominating for pair in self.pairs):
            return True
        return any(one.nominating and one.pair in self.pairs for one in self._checks.running.values())

    def stop(self) -> None:
        """Nothing will be nominated any more."""
        self.is_over = True
        self._session.timers.cancel(self._timer)

    @property
    def was_lost(self) -> bool:
        """Whether a pair was selected once, and none is now."""
        return self.selected is None and self._followed_in is not None

    @property
    def awaits_restart(self) -> bool:
        """Whether the selected pair was lost, and no other may take its place (RFC 8445 8.1.1)."""
        return self.was_lost and self.has_failed and self.mover is None

    def cut_off(self) -> None:
        """The selected pair is dead, and we nominate no other: only a peer that nominates again could."""
        self.selected = None
        self.has_failed = True
        self._session.timers.cancel(self._timer)

    def lose(self, now: float) -> None:
        """The selected pair is dead, and another one may take its place."""
        lost, self.selected = self.selected, None
        if self.mover is not None and lost is not None:
            self.mover.lose(lost, now)
        self.consider(now)

    def may_follow(self, pair: Pair, now: float) -> bool:
        """Whether a nomination of a valid pair is followed before that pair was answered once more.

        RFC 8445 7.3.1.5 has it followed at once. But the request says that one direction works; where our own checks say that
        the other one does not, data would go from a pair that works to one that is dead.
        """
        mover, selected = self.mover, self.selected
        return mover is None or selected is None or selected is pair.valid or not mover.is_dubious(pair, selected, now)

    @property
    def is_in_doubt(self) -> bool:
        """Whether the selected pair was lost, and nothing is known to work in its place."""
        if self.mover is None or not self.was_lost:
            return False
        pair = self.best_valid
        return pair is None or self.mover.is_in_doubt(pair)

    def suspect(self, used: Pair | None, now: float) -> None:
        """A consent check on the pair in use is late."""
        if self.mover is not None and used is not None and used is self.selected:
            self.mover.suspect(used, now)

    def start_named(self, named: CandidatePair, now: float) -> None:
        """Nominate the pair that the application names.

        Raises:
            LocalProtocolError: it is not valid, or another one was nominated and that is final.
        """
        pair = next((pair for pair in self.valid_pairs() if _is_named(pair, named)), None)
        if pair is None:
            raise LocalProtocolError(f"nominate(): {named} is not valid")
        if self.mover is None and (self.selected is not None or self.has_failed or self._is_nominating()):
            raise LocalProtocolError("nominate(): a pair was nominated, and not both agents offer renomination (RFC 8445 8.1.1)")
        for other in self.pairs:
            if other.nominating:
                other.nominating = False
                self.pairing.list.untrigger(other)
        self.start(pair, now)
        self.consider(now)

    def keeps(self, socket: SocketId) -> bool:
        """Whether a socket is wanted still, though the selected pair does not use it (RFC 8445 8.3)."""
        mover = self.mover
        if mover is None:
            return False
        local = self.pairing.local_on(socket)
        if local is None or local.candidate.type is not CandidateType.RELAYED:
            return True
        of_socket = [pair for pair in self.pairs if pair.local.socket == socket]
        is_tried = self._session.nomination.standby and any(pair.state in UNFINISHED for pair in of_socket)
        return is_tried or any(mover.keeps(pair) for pair in of_socket)

    # ------------------------------------------------------------- the peer's nominations

    def count_nomination(self, pair: Pair, number: int, request: TransactionId | None, now: float) -> None:
        """Nominate ``pair`` once its check has succeeded (RFC 8445 7.3.1.5).

        The peer means the one of the highest number, and of those without numbers the latest. Earlier ones stay until
        that one is proven: it may be what somebody has replayed.
        """
        if number:
            pair.nominate_on_success = max(pair.nominate_on_success, number << _NUMBERED)
        else:
            self._nominations += 1
            pair.nominate_on_success = self._nominations
            self._weigh(pair, request, now)

    def _weigh(self, pair: Pair, request: TransactionId | None, now: float) -> None:
        """Note a nomination of another pair than the selected one; a retransmission is none."""
        contender = self._contender
        if self.selected is None or pair.valid is self.selected:
            self._contender = None
        elif contender is None or contender.pair is not pair:
            self._contender = _Contender(pair, request, now)
        elif request != contender.request and now >= contender.since + INSISTENCE:
            contender.is_meant = True

    def is_stale(self, number: int) -> bool:
        """Whether a nomination of this number was followed already, or one with a higher number: perhaps it was replayed."""
        return number != 0 and number << _NUMBERED <= self._latest

    @property
    def number(self) -> int:
        """By which number the selected pair was nominated; 0: by none."""
        return self._latest >> _NUMBERED

    @property
    def _latest(self) -> int:
        """The nomination that was followed last. What was numbered in another role counts no more."""
        return self._latest_in(self._session.role)

    def _latest_in(self, role: IceRole) -> int:
        return self._followed if self._followed_in is role else 0

    # ------------------------------------------------------------- the end of both

    def remap(self, valid: Pair) -> None:
        """The selected pair has another mapped address: a NAT forgot the one before, and the path is the same."""
        self.selected = valid
        valid.nominated = True
        self._session.tell(PairNominated(valid))

    def splice(self, pair: Pair, valid: Pair) -> None:
        """The peer has opened another connection in place of the one that was cut, and a check over it was answered."""
        self.is_cut = False
        before = self.selected
        if before is None or before is valid:
            return
        before.nominated = False
        for other in self.pairs:
            other.nominated = other is pair
        self.remap(valid)

    def check_failed(self, by_peer: bool, by_us: bool, *, number: int, is_answered: bool, now: float) -> None:
        """A nominating check that fails takes the checklist with it (RFC 8445 7.2.5.3.4, 7.3.1.5).

        Unless another nomination may still succeed. ``number`` is that of ours.
        """
        if self.mover is not None:
            if by_us and not is_answered:
                self.mover.unconfirmed(number)
        elif (by_peer or by_us) and self.selected is None:
            others = (other for other in self.pairs if other.nominate_on_success)
            self.has_failed = self.has_failed or all(other.state is _FAILED for other in others)
        self.consider(now)

    def take_answer(self, pair: Pair, valid: Pair, number: int | None, role: IceRole, now: float) -> None:
        """A check was answered that was sent in ``role``; ``number`` is that of our nomination in it, ``None`` if it was none.

        The nomination counts also where our role has changed since: the answer says that the peer has taken it. Not if the
        peer has nominated in its new role, for that is later.
        """
        if pair.nominate_on_success:
            self.nominate(pair, valid, pair.nominate_on_success, now)
        elif number is not None and (number or self.selected is None) and not self._is_overtaken(role):
            self.nominate(pair, valid, number << _NUMBERED, now, role=role)
        self.consider(now)

    def _is_overtaken(self, role: IceRole) -> bool:
        present = self._session.role
        return role is not present and self._followed_in is present

    def nominate(self, pair: Pair, valid: Pair, order: int, now: float, *, role: IceRole | None = None) -> None:
        """Conclude the component with a valid pair (RFC 8445 8.1.2), unless a later nomination was followed before.

        ``role`` is ours, in which it was nominated, where that may be another one than now.
        """
        pair.nominating, pair.nominate_on_success = False, 0
        chosen, role = self.selected, role or self._session.role
        latest = self._latest_in(role)
        if chosen is not None and chosen is not valid and not self._may_replace(chosen, pair, valid, order, latest):
            return
        self._contender = None
        self._followed, self._followed_in = max(latest, order), role
        if self.mover is not None:
            self.mover.selected(order >> _NUMBERED, is_new=chosen is not valid, now=now)
        if chosen is valid:
            return
        if chosen is not None:
            chosen.nominated = False
        self.selected = valid
        self.pairing.is_concluded = self.mover is None
        for other in tuple(self.pairs):
            other.nominated = other is pair
            if self.mover is None and other is not pair and not other.nominate_on_success:
                self._conclude_without(other)
        valid.nominated = True
        self._session.tell(PairNominated(valid))

    def _conclude_without(self, pair: Pair) -> None:
        """Check no more a pair that was not nominated; one that works stays, for the peer may yet nominate it."""
        self._checks.forget(pair)
        if pair.state is _SUCCEEDED:
            self.pairing.list.untrigger(pair)
        else:
            self.pairing.list.remove(pair)

    def _may_replace(self, chosen: Pair, pair: Pair, valid: Pair, order: int, latest: int) -> bool:
        """Whether a nomination of ``valid``, which the checks of ``pair`` have made, may replace the selected pair.

        ``latest`` is that of the one that was followed last.

        A partner before RFC 8445 nominates every pair that works, in any order, and both ends use the one of
        highest priority (RFC 8445 8.1.1), unless it insists on another. Any other nominates once, so a later one is
        deliberate; and of numbered ones the highest counts.
        """
        if self.is_ice2 or order >> _NUMBERED or latest >> _NUMBERED:
            return order > latest
        contender = self._contender
        is_meant = contender is not None and contender.pair is pair and contender.is_meant
        return is_meant or valid.priority > chosen.priority


class _Contender:
    """What the peer nominates beside the selected pair, since when, and whether it means it."""

    __slots__ = ("is_meant", "pair", "request", "since")

    def __init__(self, pair: Pair, request: TransactionId | None, now: float) -> None:
        self.pair = pair
        self.request = request
        self.since = now
        self.is_meant = False


def _is_named(pair: Pair, named: CandidatePair) -> bool:
    """Whether a pair, or the valid one that its checks have made, has the candidates of ``named``."""
    return any((one.local.candidate, one.remote) == (named.local, named.remote) for one in (pair, pair.valid or pair))
