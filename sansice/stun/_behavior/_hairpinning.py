"""The hairpinning test (RFC 5780 3.4): do two sockets behind the NAT reach each other by their outer addresses?"""

from __future__ import annotations

from sansice.machine import Address

from ._alternate import why_not
from ._events import HairpinningDiscovered
from ._nat_words import BehaviorTest
from ._questions import Outcome, Port, Question, Reply
from ._running import Moves, unavailable


class HairpinningTest:
    """Learn the outer addresses of two sockets, then send from each to the other's.

    Both send, as partners in a call do: where the NAT filters, each opens its own filter for the other.
    """

    __slots__ = ("_crossing", "_mapped", "_primary", "over")

    def __init__(self, primary: Address) -> None:
        self.over: bool = False
        self._primary = primary
        self._mapped: dict[Port, Address] = {}
        self._crossing = 0  # requests to ourselves that may still come back

    def begin(self) -> Moves:
        """Ask what the two sockets are mapped to."""
        return (Question(Port.FIRST, self._primary), Question(Port.SECOND, self._primary))

    def take(self, question: Question, reply: Reply) -> Moves:
        """First the two mapped addresses, then what becomes of two requests to ourselves."""
        if question.returns:
            return self._returned(question, reply)
        if reply.outcome is not Outcome.ANSWERED or reply.mapped is None:
            return self._fail(reply.complaint(question))
        if reply.mapped == reply.local:
            return self._fail("there is no NAT that could turn packets round")
        reason = why_not(reply.mapped, self._primary)
        if reason:
            return self._fail(f"the mapped address is suspicious: {reason}")
        self._mapped[question.port] = reply.mapped
        if len(self._mapped) < 2:
            return ()
        self._crossing = 2
        return (
            Question(Port.SECOND, self._mapped[Port.FIRST], returns=True),
            Question(Port.FIRST, self._mapped[Port.SECOND], returns=True),
        )

    def _returned(self, question: Question, reply: Reply) -> Moves:
        if reply.outcome is Outcome.LOST:
            return self._fail(reply.complaint(question))
        self._crossing -= 1
        came_back = reply.outcome is Outcome.RETURNED
        if self._crossing and not came_back:
            return ()
        self.over = True
        return (HairpinningDiscovered(came_back),)

    def _fail(self, reason: str) -> Moves:
        self.over = True
        return unavailable(BehaviorTest.HAIRPINNING, reason)
