"""Renomination at work: pairs kept at hand, and the move from the one in use to a better or living one.

As draft-thatcher-ice-renomination has it, where both agents offered it. Both keep pairs alive; the controlling one moves.
The rules by which it chooses are in `_renomination`, or the policy's own. Whatever they say, a pair is moved to only where it
works now: with the pair in use, others that share its network die, though each of them was valid once. So all are in doubt
when that one falls silent or is taken away, until they are answered again.
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
        "_doubted_at",
        "_dug_up",
        "_dug_up_at",
        "_is_unconfirmed",
        "_kept",
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
        self._asked_at: dict[Pair, float] = {}  # when valid pairs were checked at our own wish
        self._doubted: dict[Pair, float] = {}  # since when a pair is not to be nominated before it was answered again
        self._doubted_at = -math.inf  # since when all are in doubt
        self._kept: tuple[Pair, ...] = ()
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

    def _may_be_tried(self, pair: Pair) -> bool:
        """Whether a checklist's pair is valid, and no nomination of it was in vain since its last answer."""
        valid = pair.valid
        return valid is not None and valid.answered_at > self._doubted.get(pair, -math.inf)

    def _is_sure(self, pair: Pair) -> bool:
        """Whether a pair that may be tried was answered since the network was last in doubt."""
        return self._may_be_tried(pair) and pair.valid is not None and pair.valid.answered_at >= self._doubted_at

    def _give_up_late(self, now: float, *, at_once: bool) -> bool:
        """Give up a nomination that has been on its way for too long. ``False``: there is one, and its time is not over.

        ``at_once``: data wait for it. Then the time of a pair that is in doubt is over as soon as another one works.
        Its check goes on: answered late it counts, unless another nomination was answered before.
        """
        for pair in self._conclusion.pairs:
            if pair.nominating:
                has_other = at_once and not self._is_sure(pair) and any(map(self._is_sure, self._conclusion.pairs))
                if now < self._tried_until and not has_other:
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

    # ------------------------------------------------------------- the pair in use was lost

    def lose(self, lost: Pair, now: float) -> None:
        """The pair in use is no more: check what else there is at once, for all of it is in doubt.

        What leads elsewhere comes first: the peer's end of the path may be what has died.
        """
        self._suspected_at = self._verdict_at = math.inf
        self._doubted_at = now
        for pair in sorted(self._conclusion.valid_pairs(), key=lambda pair: pair.remote_address.host == lost.remote_address.host):
            self._check_anew(pair, now)

    def first(self, now: float) -> list[Pair] | None:
        """The pairs of which one may be nominated while none is selected: of those that are valid, such as work.

        While none is known to work the best one is tried, for its nomination is a check as well. ``None``: a nomination is on its
        way.
        """
        if not self._give_up_late(now, at_once=True):
            return None
        pairs = [pair for pair in self._conclusion.pairs if pair.valid is None or self._may_be_tried(pair)]
        return [pair for pair in pairs if pair.valid is None or self._is_sure(pair)] if any(map(self._is_sure, pairs)) else pairs

    @property
    def best_valid(self) -> Pair | None:
        """The pair for data while none is selected: one that works, if any does."""
        valid = self._conclusion.valid_pairs()
        return next((pair for pair in valid if self._is_sure(pair)), next(iter(valid), None))

    def is_in_doubt(self, valid: Pair) -> bool:
        """Whether a valid pair was not answered since the network was last in doubt."""
        return valid.answered_at < self._doubted_at

    def is_dubious(self, pair: Pair, used: Pair, now: float) -> bool:
        """Whether a valid pair seems to be dead, while the one in use seems to work."""
        if self._is_suspected(used):
            return False
        valid, asked_at = pair.valid or pair, self._asked_at.get(pair, -math.inf)
        return not self._is_sure(pair) or valid.answered_at < asked_at <= now - valid.patience

    # ------------------------------------------------------------- the pair in use

    def suspect(self, used: Pair, now: float) -> None:
        """An answer is late: check all pairs at once, and judge when they have had their time.

        These are connectivity checks, paced and retransmitted, which RFC 7675 5.1 allows beside those for consent.
        """
        if self._is_suspected(used):
            return
        self._suspected_at = self._doubted_at = now
        self._verdict_at = now + used.patience + THIRD_TRANSMISSION
        for pair in self._conclusion.valid_pairs():
            self._check_anew(pair, now)
        self._conclusion.consider(now)

    def _is_suspected(self, used: Pair) -> bool:
        """Whether an answer is late, and none has come since."""
        if used.answered_at > self._suspected_at:
            self._suspected_at = self._verdict_at = math.inf
        return self._suspected_at < math.inf

    def act(self, used: Pair, now: float) -> float:
        """Do what is due, and say when to be called again. ``used`` is the selected pair."""
        others = [pair for pair in self._conclusion.valid_pairs() if pair.valid is not used]
        at = self.keep(others, now)
        if self._session.role is _CONTROLLING and self.number < MAX_NOMINATION:
            at = min(at, self._move(used, others, now))
        return at

    def _move(self, used: Pair, others: Sequence[Pair], now: float) -> float:
        if not self._give_up_late(now, at_once=self._is_suspected(used) and now >= self._verdict_at):
            return self._tried_until
        target, at = self._target(used, [pair for pair in others if self._may_be_tried(pair)], now)
        if target is None:
            return at
        self._conclusion.start(target, now)
        return self._tried_until

    def _target(self, used: Pair, others: Sequence[Pair], now: float) -> tuple[Pair | None, float]:
        """Which pair to nominate now, or until when to wait."""
        valid = {pair.valid: pair for pair in others if pair.valid is not None}
        if self._is_suspected(used):
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
            sure = [one for one, pair in valid.items() if self._is_sure(pair)]
            chosen, at = ask(policy.choose, [*sure, used], used, now)
            if chosen is used:
                return None, math.inf
            return (None, at) if chosen is None else (valid[chosen], at)
        better = find_better(valid, used, policy)
        if not better:
            return None, math.inf
        if now < self._settled_at:
            return None, self._settled_at
        # What was answered as lately as the pair in use may have been is trusted like that one; else it is checked first.
        trusted_since = now - self._session.config.consent_interval
        for one in better:
            if self._is_sure(valid[one]) and one.answered_at >= trusted_since:
                return valid[one], now
            self._check(valid[one], now)
        return None, math.inf

    def _doubt(self, used: Pair, now: float) -> None:
        self._doubted.update((pair, now) for pair in self._conclusion.valid_pairs() if pair.valid is used)

    # ------------------------------------------------------------- the pairs at hand

    def keeps(self, pair: Pair) -> bool:
        """Whether a pair of the checklist is kept beside the one in use."""
        return pair in self._kept

    def keep(self, others: Sequence[Pair], now: float) -> float:
        """Keep what works beside the pair in use, and look for what works again. Returns when to be called again."""
        return min(self._keep(others, now), self._dig_up(now))

    def _keep(self, others: Sequence[Pair], now: float) -> float:
        """Check the pairs that are kept at the pace of keepalives, which keeps their NAT bindings and the consent to use them."""
        valid = {pair.valid: pair for pair in others if pair.valid is not None}
        self._kept = tuple([valid[one] for one in find_kept(list(valid), self._policy)])
        self._asked_at = {pair: at for pair, at in self._asked_at.items() if pair.valid is not None}
        self._doubted = {pair: at for pair, at in self._doubted.items() if pair.valid is not None}
        earliest = math.inf
        for pair in self._kept:
            pace = self._pace(pair)
            due = max(self._asked_at.get(pair, -math.inf), (pair.valid or pair).answered_at) + pace
            if due <= now:
                self._check(pair, now)
                due = now + pace
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

    def _pace(self, pair: Pair) -> float:
        config = self._session.config
        is_to_be_compared = self._policy.prefer_rtt and not is_measured(pair.valid or pair)
        return config.consent_interval if is_to_be_compared else config.keepalive_interval

    def _check(self, pair: Pair, now: float) -> None:
        """Have a valid pair checked, unless it is being checked."""
        running = self._checks.running.values()
        if not any(one.pair is pair and (pair.nominating or not one.nominating) for one in running):
            self._asked_at[pair] = now
            self._conclusion.pairing.list.trigger(pair)

    def _check_anew(self, pair: Pair, now: float) -> None:
        """Have a valid pair checked now: a check that was not answered at once is repeated more and more seldom."""
        if now >= self._asked_at.get(pair, -math.inf) + THIRD_TRANSMISSION:
            self._checks.forget_ordinary(pair)
        self._check(pair, now)
