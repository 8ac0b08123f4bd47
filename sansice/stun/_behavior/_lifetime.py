"""The lifetime test (RFC 5780 4.6): after how much silence is a mapping gone?"""

from __future__ import annotations

from sansice.machine import Address

from ._config import BehaviorConfig
from ._events import LifetimeDiscovered, LifetimeNarrowed
from ._nat_words import BehaviorTest
from ._questions import Outcome, Port, Question, Reply
from ._running import Moves, unavailable


class LifetimeTest:
    """A socket makes a mapping and falls silent; another asks the server, by RESPONSE-PORT, to answer to that mapping.

    The silences are doubled until the mapping does not survive one, then halved in between. A question about a dead mapping
    is repeated over the whole schedule, so a loss makes no mapping look dead.
    """

    __slots__ = ("_alive", "_config", "_expired", "_limit", "_mapped", "_primary", "_since", "_tried", "over")

    def __init__(self, primary: Address, limit: float, config: BehaviorConfig) -> None:
        self.over: bool = False
        self._primary = primary
        self._limit = limit
        self._config = config
        self._mapped: dict[Port, Address] = {}
        self._since = 0.0  # when the silent one was last heard of
        self._alive = 0.0
        self._expired: float | None = None
        self._tried = -1  # silences; the first question by RESPONSE-PORT, after none, shows whether the server can do it

    def begin(self) -> Moves:
        """Make both mappings."""
        return (self._wake, Question(Port.CONTROL, self._primary))

    def take(self, question: Question, reply: Reply) -> Moves:
        """Make the mapping, ask for an answer to it after a silence, and again."""
        if question.response_port is not None:
            return self._judge(question, reply)
        if reply.outcome is not Outcome.ANSWERED or reply.mapped is None:
            return self._fail(reply.complaint(question))
        self._mapped[question.port] = reply.mapped
        if question.port is Port.SILENT:
            self._since = reply.ended
        if len(self._mapped) < 2:
            return ()
        if self._mapped[Port.SILENT].host != self._mapped[Port.CONTROL].host:
            return self._fail("the NAT gives two sockets two addresses, and RESPONSE-PORT changes only the port")
        silence = 0.0 if self._tried < 0 else self._next_silence()
        return (Question(Port.CONTROL, self._primary, response_port=self._mapped[Port.SILENT].port, delay=silence),)

    @property
    def _wake(self) -> Question:
        return Question(Port.SILENT, self._primary)

    def _judge(self, question: Question, reply: Reply) -> Moves:
        """Only an answer at the silent socket shows that its mapping lives (RFC 5780 4.6)."""
        if reply.outcome not in (Outcome.ANSWERED, Outcome.SILENT):
            return self._fail(reply.complaint(question))
        alive = reply.outcome is Outcome.ANSWERED and reply.arrived is Port.SILENT
        self._tried += 1
        if self._tried == 0:
            if reply.outcome is Outcome.SILENT:
                return self._fail("an answer that was sent to another port by RESPONSE-PORT did not arrive")
            return (self._wake,) if alive else self._fail("the server ignores RESPONSE-PORT")
        # As it was, not as it was planned: the machine may have slept.
        silence = reply.asked - self._since
        if alive:
            self._alive = max(self._alive, silence)
            if self._expired is not None and self._expired <= self._alive:
                self._expired = None  # the NAT has changed its mind (RFC 5780 4.6): look further up
        else:
            self._expired = silence if self._expired is None else min(self._expired, silence)
        narrowed = LifetimeNarrowed(self._alive, self._expired)
        if not self._is_decided():
            return (narrowed, self._wake)
        self.over = True
        return (narrowed, LifetimeDiscovered(self._alive, self._expired))

    def _is_decided(self) -> bool:
        if self._tried >= self._config.max_silences:
            return True
        if self._expired is None:
            return self._alive >= self._limit
        return self._expired - self._alive <= self._config.lifetime_precision

    def _next_silence(self) -> float:
        if self._expired is not None:
            return (self._alive + self._expired) / 2
        return min(max(self._config.lifetime_first, 2 * self._alive), self._limit)

    def _fail(self, reason: str) -> Moves:
        self.over = True
        return unavailable(BehaviorTest.LIFETIME, reason)
