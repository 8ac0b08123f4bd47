"""From valid pairs to the selected one: the end of a component's checks (RFC 8445 8.1)."""

from __future__ import annotations

import math
from collections.abc import Collection

from sansice.ice._pair import Pair, PairState
from sansice.ice._role import IceRole
from sansice.machine import Address

from ._checks import Checks
from ._nomination import best_valid, choose
from ._pairing import Pairing
from ._session import PairNominated, Session

_CONTROLLING = IceRole.CONTROLLING
_SUCCEEDED, _FAILED = PairState.SUCCEEDED, PairState.FAILED


class Conclusion:
    """One component of one generation, on its way to a selected pair.

    Attributes:
        pairing: its candidates.
        is_ice2: the peer nominates once (RFC 8445 10), so that a later nomination is deliberate.
        selected: the valid pair to use.
        has_failed: a nominating check failed, so that nothing can be selected any more (RFC 8445 7.2.5.3.4).
        first_valid_at: when the first pair became valid.
        trusted: where authenticated checks came from, or were answered from.
    """

    __slots__ = (
        "_checks",
        "_followed",
        "_nominations",
        "_session",
        "_timer",
        "first_valid_at",
        "has_failed",
        "is_ice2",
        "pairing",
        "selected",
        "trusted",
    )

    def __init__(self, session: Session, checks: Checks, pairing: Pairing, timer: int) -> None:
        self.pairing = pairing
        self.is_ice2 = False
        self.selected: Pair | None = None
        self.has_failed = False
        self.first_valid_at = math.inf
        self.trusted: set[Address] = set()
        self._session = session
        self._checks = checks
        self._timer = timer
        self._nominations = 0  # of the peer's
        self._followed = 0  # which of them selected

    @property
    def pairs(self) -> Collection[Pair]:
        """Of this component, by decreasing priority."""
        return self.pairing.pairs

    @property
    def best_valid(self) -> Pair | None:
        """The valid pair to use while none is selected."""
        pair = best_valid(self.pairs)
        return None if pair is None else pair.valid

    def consider(self, now: float) -> None:
        """Nominate, wait, or do nothing (RFC 8445 8.1.1); the policy is in `_nomination`."""
        session, timer = self._session, self._timer
        if session.role is not _CONTROLLING or self.selected is not None or self.has_failed:
            return
        if any(pair.nominating for pair in self.pairs) or self._is_nominating():
            return
        choice = choose(self.pairs, self.first_valid_at, session.config.acceptance_waits)
        if choice is None:
            session.timers.cancel(timer)
        elif choice.at > now:
            session.timers.set(timer, choice.at)
        else:
            session.timers.cancel(timer)
            choice.pair.nominating = True
            self.pairing.list.trigger(choice.pair)

    def _is_nominating(self) -> bool:
        """Whether a nomination is on its way, though perhaps by a role that we have no more."""
        return any(one.nominating and one.pair in self.pairs for one in self._checks.running.values())

    def count_nomination(self, pair: Pair) -> None:
        """Nominate ``pair`` once its check has succeeded (RFC 8445 7.3.1.5).

        The peer means the latest. Earlier ones stay until that one is proven: it may be what somebody has replayed.
        """
        self._nominations += 1
        pair.nominate_on_success = self._nominations

    def stop(self) -> None:
        """Nothing will be nominated any more."""
        self._session.timers.cancel(self._timer)

    def check_failed(self, was_nominated: bool) -> None:
        """A nominating check that fails takes the checklist with it (RFC 8445 7.2.5.3.4, 7.3.1.5).

        Unless another nomination may still succeed.
        """
        if was_nominated and self.selected is None:
            others = (other for other in self.pairs if other.nominate_on_success)
            self.has_failed = self.has_failed or all(other.state is _FAILED for other in others)

    def nominate(self, pair: Pair, valid: Pair) -> None:
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
        for other in tuple(self.pairs):
            other.nominated = other is pair
            if other is not pair and not other.nominate_on_success:
                self._conclude_without(other)
        valid.nominated = True
        self._session.news.append(PairNominated(valid))

    def _conclude_without(self, pair: Pair) -> None:
        """Check no more a pair that was not nominated; one that works stays, for the peer may yet nominate it."""
        self._checks.forget(pair)
        if pair.state is _SUCCEEDED:
            self.pairing.list.untrigger(pair)
        else:
            self.pairing.list.remove(pair)

    def _may_replace(self, chosen: Pair, valid: Pair, nomination: int) -> bool:
        """Whether a nomination of ``valid`` may replace the selected pair.

        A partner before RFC 8445 nominates every pair that works, in any order, and both ends use the one of
        highest priority (RFC 8445 8.1.1). Any other nominates once, so a later one is deliberate.
        """
        return nomination > self._followed if self.is_ice2 else valid.priority > chosen.priority
