"""The filtering test (RFC 5780 4.4): who gets in that was not asked?"""

from __future__ import annotations

from sansice.stun._values import ChangeRequest

from ._events import FilteringDiscovered
from ._nat_words import BehaviorTest, FilteringBehavior
from ._questions import Outcome, Port, Question, Reply, Server
from ._running import Moves, unavailable


class FilteringTest:
    """Two questions to the primary address, answered from the others.

    Tests II and III are asked at the same time, which RFC 5780 4.5 allows: neither sends to the address that the other is
    to be answered from. That nobody else has sent there before is for the owner to see to.
    """

    __slots__ = ("_by_address", "_by_anyone", "_second", "_server", "_third", "over")

    def __init__(self, server: Server) -> None:
        self.over: bool = False
        self._server = server
        self._second = self._question(ChangeRequest(change_ip=True, change_port=True))
        self._third = self._question(ChangeRequest(change_port=True))
        self._by_anyone: bool | None = None
        self._by_address: bool | None = None

    def begin(self) -> Moves:
        """Tests II and III."""
        return (self._second, self._third)

    def take(self, question: Question, reply: Reply) -> Moves:
        """An answer is a hole in the filter; silence, after the whole schedule, is the filter."""
        if reply.outcome is Outcome.ANSWERED and reply.source == question.destination:
            return self._fail("the server ignores CHANGE-REQUEST")
        if reply.outcome not in (Outcome.ANSWERED, Outcome.SILENT):
            return self._fail(reply.complaint(question))
        answered = reply.outcome is Outcome.ANSWERED
        if question is self._second:
            self._by_anyone = answered
        else:
            self._by_address = answered
        if self._by_anyone:
            return self._found(FilteringBehavior.ENDPOINT_INDEPENDENT)
        if self._by_anyone is None or self._by_address is None:
            return ()
        return self._found(
            FilteringBehavior.ADDRESS_DEPENDENT if self._by_address else FilteringBehavior.ADDRESS_AND_PORT_DEPENDENT
        )

    def _question(self, change: ChangeRequest) -> Question:
        server = self._server
        source = server.alternate if change.change_ip else server.other_port
        return Question(Port.FILTERING, server.primary, change=change, answered_from=source, classic=server.classic)

    def _found(self, filtering: FilteringBehavior) -> Moves:
        self.over = True
        return (FilteringDiscovered(filtering),)

    def _fail(self, reason: str) -> Moves:
        self.over = True
        return unavailable(BehaviorTest.FILTERING, reason)
