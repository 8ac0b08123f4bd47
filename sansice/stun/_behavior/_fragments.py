"""The fragment test (RFC 5780 3.5): does a datagram get through that is too long for one packet?"""

from __future__ import annotations

from sansice.machine import Address

from ._events import FragmentsDiscovered
from ._nat_behavior import FragmentHandling
from ._nat_words import BehaviorTest
from ._questions import Outcome, Port, Question, Reply
from ._running import Moves, unavailable

_UNHEARD = (Outcome.SILENT, Outcome.UNREACHABLE, Outcome.LOST)


class FragmentsTest:
    """A long question that has a long answer, and where that is not heard of, a long one that has a short answer."""

    __slots__ = ("_answered_shortly", "_padding", "_primary", "over")

    def __init__(self, primary: Address, mapped: Address, padding: int) -> None:
        self.over: bool = False
        self._primary = primary
        self._padding = padding
        # PADDING with RESPONSE-PORT is to be refused with 400 (RFC 5780 6.1): an answer in one packet.
        self._answered_shortly = Question(Port.FIRST, primary, padding=padding, response_port=mapped.port)

    def begin(self) -> Moves:
        """Fragments in both directions (RFC 5780 7.6)."""
        return (Question(Port.FIRST, self._primary, padding=self._padding),)

    def take(self, question: Question, reply: Reply) -> Moves:
        """Any answer shows that the question got through."""
        if question is self._answered_shortly:
            heard = reply.outcome not in _UNHEARD
            return self._found(FragmentHandling(outgoing=heard, incoming=False if heard else None))
        if reply.outcome is Outcome.SILENT:
            return (self._answered_shortly,)
        if reply.outcome in _UNHEARD:
            self.over = True
            return unavailable(BehaviorTest.FRAGMENTS, reply.complaint(question))
        return self._found(FragmentHandling(outgoing=True, incoming=True if reply.padded else None))

    def _found(self, fragments: FragmentHandling) -> Moves:
        self.over = True
        return (FragmentsDiscovered(fragments),)
