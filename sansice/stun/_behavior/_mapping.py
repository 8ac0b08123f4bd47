"""The mapping test (RFC 5780 4.3): does the outer address stay the same when another destination is asked?"""

from __future__ import annotations

from sansice.machine import Address

from ._events import MappingDiscovered
from ._nat_words import BehaviorTest, MappingBehavior
from ._questions import Outcome, Port, Question, Reply, Server
from ._running import Moves, unavailable


class MappingTest:
    """Three questions from one socket: to the primary address, to the other address, to the other address and port."""

    __slots__ = ("_local", "_seen", "_server", "over")

    def __init__(self, server: Server) -> None:
        self.over: bool = False
        self._server = server
        self._local = Address("", 0)
        self._seen: list[Address] = []  # mapped addresses, in the order of the tests

    def begin(self) -> Moves:
        """Test I. It is asked anew, as the mapping that an earlier test had may be gone by now."""
        return (self._question(self._server.primary),)

    def take(self, question: Question, reply: Reply) -> Moves:
        """Compare what the addresses of the server saw."""
        if reply.outcome is not Outcome.ANSWERED or reply.mapped is None or reply.local is None:
            self.over = True
            return unavailable(BehaviorTest.MAPPING, reply.complaint(question))
        mapped = reply.mapped
        self._seen.append(mapped)
        if len(self._seen) == 1:
            self._local = reply.local
            if mapped == reply.local:
                return self._found(MappingBehavior.NONE)
            return (self._question(self._server.other_host),)
        if len(self._seen) == 2:
            if mapped == self._seen[0]:
                return self._found(MappingBehavior.ENDPOINT_INDEPENDENT)
            return (self._question(self._server.alternate),)
        same = mapped == self._seen[1]
        return self._found(MappingBehavior.ADDRESS_DEPENDENT if same else MappingBehavior.ADDRESS_AND_PORT_DEPENDENT)

    def _question(self, destination: Address) -> Question:
        return Question(Port.FIRST, destination, classic=self._server.classic)

    def _found(self, mapping: MappingBehavior) -> Moves:
        self.over = True
        return (MappingDiscovered(mapping, self._local, self._seen[0]),)
