"""Renomination at work: pairs kept at hand, and the move from the one in use to a better or living one.

As draft-thatcher-ice-renomination has it, where both agents offered it. Both keep pairs alive; the controlling one moves.
The rules by which it chooses are in `_renomination`, or the policy's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sansice.ice._nomination import MAX_NOMINATION, Nomination
from sansice.ice._pair import UNFINISHED, Pair, PairEvent, PairState
from sansice.ice._role import IceRole

from ._checks import Checks
from ._nomination import ask
from ._renomination import find_better, find_kept, find_refuge, is_measured
from ._session import Session

if TYPE_CHECKING:
    from ._conclusion import Conclusion

_CONTROLLING = IceRole.CONTROLLING
_FAILED = PairState.FAILED
# Seconds from the first transmission of a check to its third, by the RTO of 0.5 s that doubles (RFC 8489 6.2.1). With one
# datagram in ten lost all three are once in a thousand times.
THIRD_TRANSMISSION = 1.5


class Mover:
    """What a component with renomination does once a pair is selected.

    Attributes:
        number: of our latest nomination.
    """

    __slots__ = (
        "_asked_at",
        "_checks",
        "_conclusion",
        "_doubted",
        "_dug_up",
        "_dug_up_at",
        "_is_unconfirmed",
        "_session",
        "_settled_at",
        "_suspected_at",
        "_tried_until",
        "_verdict_at",
        "number",
    )

    def __init__(self, session: Session, checks: Checks, conclusion: Conclusion) -> None:
        self.number = 0
        self._session = session
        self._checks = checks
        self._conclusion = conclusion
        self._asked_at: dict[Pair, float] = {}  # pairs that are kept, and when they were checked
        self._doubted: dict[Pair, float] = {}  # since when a pair is not to be nominated before it was answered again
        self._dug_up: Pair | None = None
        self._dug_up_at = -math.inf
        self._is_unconfirmed = False
        self._settled_at = -math.inf
        self._suspected_at = math.inf
        self._tried_until = math.inf
        self._verdict_at = math.inf

    @property
    def _policy(self) -> Nomination:
        return self._session.nomination

    def next_number(self) -> int:
        """Of a nomination that is about to be sent. The highest one counts, so each has one of its own."""
        self.number += 1
        return self.number

    # ------------------------------------------------------------- what becomes of nominations

    def begun(self, pair: Pair, now: float) -> None:
        """A nomination of ``pair`` starts: for a while nothing else is tried."""
        self._tried_until = now + pair.patience + THIRD_TRANSMISSION

    def selected(self, number: int, *, is_new: bool, now: float) -> None:
        """A nomination was followed, whoever's it was. A pair that it brought stands for a while."""
        if number >= self.number:
            self._is_unconfirmed = False
        if is_new:
            self._settled_at = now + self._policy.settle
            self._suspected_at = self._verdict_at = math.inf

    def unconfirmed(self, number: int) -> None:
        """A nomination failed without an answer, and perhaps the peer follows it all the same, unless a later one came."""
        self._is_unconfirmed = self._is_unconfirmed or number == self.number

    def is_eligible(self, pair: Pair) -> bool:
        """Whether a checklist's pair is valid, and was answered since it was last in doubt."""
        valid = pair.valid
        return valid is not None and valid.answered_at > self._doubted.get(pair, -math.inf)

    def give_up_late(self, now: float) -> bool:
        """Give up a nomination that has been on its way for too long. ``False``: there is one, and its time is not over.

        Its check goes on: answered late it counts, unless another nomination was answered before.
        """
        for pair in self._conclusion.pairs:
            if pair.nominating:
                if now < self._tried_until:
                    return False
                pair.nominating = False
                self._conclusion.pairing.list.untrigger(pair)
                self._doubted[pair] = now
                self._is_unconfirmed = True
        return True

    @property
    def tried_until(self) -> float:
        """Until when nothing is tried but the nomination on its way."""
        return self._tried_until

    # ------------------------------------------------------------- the pair in use

    def suspect(self, used: Pair, now: float) -> None:
        """An answer is late: check all pairs at once, and judge when they have had their time.

        These are connectivity checks, paced and retransmitted, which RFC 7675 5.1 allows beside those for consent.
        """
        if self._suspected_at < math.inf:
            return
        self._suspected_at = now
        self._verdict_at = now + used.patience + THIRD_TRANSMISSION
        for pair in self._conclusion.valid_pairs():
            self._check(pair, now)
        self._conclusion.consider(now)

    def act(self, used: Pair, now: float) -> float:
        """Do what is due, and say when to be called again. ``used`` is the selected pair."""
        others = [pair for pair in self._conclusion.valid_pairs() if pair.valid is not used]
        at = min(self._keep(others, now), self._dig_up(now))
        if self._session.role is _CONTROLLING and self.number < MAX_NOMINATION:
            at = min(at, self._move(used, others, now))
        return at

    def _move(self, used: Pair, others: Sequence[Pair], now: float) -> float:
        if not self.give_up_late(now):
            return self._tried_until
        target, at = self._target(used, [pair for pair in others if self.is_eligible(pair)], now)
        if target is None:
            return at
        self._conclusion.start(target, now)
        return self._tried_until

    def _target(self, used: Pair, others: Sequence[Pair], now: float) -> tuple[Pair | None, float]:
        """Which pair to nominate now, or until when to wait."""
        valid = {pair.valid: pair for pair in others if pair.valid is not None}
        if used.answered_at > self._suspected_at:
            self._suspected_at = self._verdict_at = math.inf
        if self._suspected_at < math.inf:
            if now < self._verdict_at:
                return None, self._verdict_at
            refuge = find_refuge(valid, self._suspected_at)
            if refuge is not None:
                self._doubt(used, now)
                return valid[refuge], now
            return None, math.inf
        chosen, at = self._better(used, valid, now)
        if chosen is None and self._is_unconfirmed:
            chosen = self._conclusion.source_of(used)
        return chosen, at

    def _better(self, used: Pair, valid: dict[Pair, Pair], now: float) -> tuple[Pair | None, float]:
        policy = self._policy
        if policy.choose is not None:
            chosen, at = ask(policy.choose, [*valid, used], used, now)
            if chosen is used:
                return None, math.inf
            return (None, at) if chosen is None else (valid[chosen], at)
        better = find_better(valid, used, policy)
        if better is None:
            return None, math.inf
        return (valid[better], now) if now >= self._settled_at else (None, self._settled_at)

    def _doubt(self, used: Pair, now: float) -> None:
        self._doubted.update((pair, now) for pair in self._conclusion.valid_pairs() if pair.valid is used)

    # ------------------------------------------------------------- the pairs at hand

    def keeps(self, pair: Pair) -> bool:
        """Whether a pair of the checklist is kept beside the one in use."""
        return pair in self._asked_at

    def _keep(self, others: Sequence[Pair], now: float) -> float:
        """Check the pairs that are kept at the pace of keepalives, which keeps their NAT bindings and the consent to use them."""
        valid = {pair.valid: pair for pair in others if pair.valid is not None}
        kept = [valid[one] for one in find_kept(list(valid), self._policy)]
        self._asked_at = {pair: self._asked_at.get(pair, -math.inf) for pair in kept}
        self._doubted = {pair: at for pair, at in self._doubted.items() if pair.valid is not None}
        earliest = math.inf
        for pair in kept:
            due = self._due(pair)
            if due <= now:
                self._check(pair, now)
                due = self._due(pair)
            earliest = min(earliest, due)
        return earliest

    def _dig_up(self, now: float) -> float:
        """Try a failed pair once more, one at a time at the pace of keepalives: what died may live again.

        Those that worked once come first, then those that were tried the longest time ago. Where consent was lost, no
        pair is used again (RFC 7675 5.1).
        """
        if self._dug_up is None or self._dug_up.state not in UNFINISHED:
            self._forget_left()
            self._dug_up = None
        failed = [pair for pair in self._conclusion.pairs if pair.state is _FAILED and self._may_live(pair)]
        if not failed:
            return math.inf
        due = self._dug_up_at + self._session.config.keepalive_interval
        if self._dug_up is not None:
            return math.inf  # its end calls again
        if now < due:
            return due
        self._dug_up_at = now
        self._dug_up = min(failed, key=lambda pair: (not pair.tally.responses_received, pair.tally.requests_sent, -pair.priority))
        self._dug_up.move(PairEvent.REPEAT)
        self._conclusion.pairing.list.trigger(self._dug_up)
        return math.inf

    def _forget_left(self) -> None:
        """Give up peer-reflexive addresses that never answered, or were silent the second time: a peer that roams leaves many."""
        for pair in tuple(self._conclusion.pairs):
            if pair is self._dug_up or not pair.tally.responses_received:
                self._conclusion.pairing.forget_silent(pair)

    def _may_live(self, pair: Pair) -> bool:
        return not pair.is_spent and self._conclusion.pairing.local_on(pair.local.socket) is not None

    def _due(self, pair: Pair) -> float:
        config, valid = self._session.config, pair.valid or pair
        pace = config.keepalive_interval
        if self._policy.prefer_rtt and not is_measured(valid):
            pace = config.consent_interval  # to be compared soon
        return max(self._asked_at[pair], valid.answered_at) + pace

    def _check(self, pair: Pair, now: float) -> None:
        """Have a valid pair checked, unless it is being checked."""
        if pair in self._asked_at:
            self._asked_at[pair] = now
        if not any(one.pair is pair for one in self._checks.running.values()):
            self._conclusion.pairing.list.trigger(pair)
