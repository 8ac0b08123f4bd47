"""What is counted of a pair and of a component, in the words of W3C's statistics."""

from __future__ import annotations

import math

from sansice._enums import IdentityEnum
from sansice.ice._rtt import PairRtt

STANDSTILL = 3.0  # seconds by which a timer is late only where the computer slept, or the program did something else for long


class CheckFailure(IdentityEnum):
    """Why the last check of a pair failed."""

    SILENCE = "no answer"
    REFUSAL = "answered with an error"
    UNREACHABLE = "an ICMP error: nothing is reached there"
    FORBIDDEN = "the relay may not send there"
    WRONG_SOURCE = "answered from another address"
    BAD_ANSWER = "answered with an address that cannot be"
    CONFLICT = "the peer goes on about the role"
    TCP_REFUSED = "TCP connection refused"
    TCP_TIMED_OUT = "TCP connection timed out"
    TCP_FAILED = "TCP connection failed"
    TCP_CLOSED = "TCP connection closed before an answer"
    NOT_ICE = "what listens there does not speak ICE"


class Ending(IdentityEnum):
    """How the consent to use a pair ended."""

    SILENCE = "the peer did not answer"
    REVOKED = "the peer said so"
    LATE = "this program stood still meanwhile"

    @classmethod
    def of(cls, *, due: float, now: float) -> Ending:
        """It ran out at ``due``, which is seen ``now``."""
        return cls.LATE if now > due + STANDSTILL else cls.SILENCE


class Carried:
    """Data of the application's that went one way or the other.

    Not an attrs class: it is counted up with every datagram, and each component has one.

    Attributes:
        packets_sent, bytes_sent, packets_received, bytes_received: how much.
        last_sent, last_received: when the last of it, in monotonic seconds; minus infinity before the first.
        discarded: what was to be sent, and was not, because a stream to a relay had no room.
    """

    __slots__ = (
        "bytes_received",
        "bytes_sent",
        "discarded",
        "last_received",
        "last_sent",
        "packets_received",
        "packets_sent",
    )

    def __init__(self) -> None:
        self.packets_sent: int = 0
        self.bytes_sent: int = 0
        self.discarded: int = 0
        self.packets_received: int = 0
        self.bytes_received: int = 0
        self.last_sent: float = -math.inf
        self.last_received: float = -math.inf

    def add(self, later: Carried, earlier: Carried) -> None:
        """Add what ``later`` has and ``earlier`` had not yet."""
        if later.packets_sent + later.discarded > earlier.packets_sent + earlier.discarded:
            self.last_sent = later.last_sent
        if later.packets_received > earlier.packets_received:
            self.last_received = later.last_received
        self.packets_sent += later.packets_sent - earlier.packets_sent
        self.bytes_sent += later.bytes_sent - earlier.bytes_sent
        self.discarded += later.discarded - earlier.discarded
        self.packets_received += later.packets_received - earlier.packets_received
        self.bytes_received += later.bytes_received - earlier.bytes_received

    def receive(self, size: int, now: float) -> None:
        """One datagram came."""
        self.packets_received += 1
        self.bytes_received += size
        self.last_received = now


class Tally:
    """What happened on a pair. The pairs that its checks make valid have the same one: they are the same path.

    Attributes:
        number: of the pair, never another's in this agent.
        requests_sent, responses_received: checks that began, without what was sent again; and answers to checks of both kinds.
        consent_requests_sent: checks for consent, which are not counted with the others.
        requests_received, responses_sent: the peer's checks, of both kinds, and the answers to them.
        rtt: from the first answer on.
        failure: why the last check failed, unless one has succeeded since.
        carried: data; ``None`` while there was none. See `Ledger`.
    """

    __slots__ = (
        "carried",
        "consent_requests_sent",
        "failure",
        "number",
        "requests_received",
        "requests_sent",
        "responses_received",
        "responses_sent",
        "rtt",
    )

    def __init__(self, number: int) -> None:
        self.number: int = number
        self.requests_sent: int = 0
        self.consent_requests_sent: int = 0
        self.responses_received: int = 0
        self.requests_received: int = 0
        self.responses_sent: int = 0
        self.rtt: PairRtt | None = None
        self.failure: CheckFailure | None = None
        self.carried: Carried | None = None

    def carry(self) -> Carried:
        """Where its data is counted."""
        if self.carried is None:
            self.carried = Carried()
        return self.carried


class Ledger:
    """Who has carried what a component has sent and received.

    Datagrams are counted once, for the component; what the pair in use has carried is worked out when another takes its place,
    and when somebody asks. So a datagram costs no more than the two counters of its direction.

    Attributes:
        total: over the pairs in use.
        strays: what came over other pairs, as it may before a selection and after one; ``None`` while nothing did.
    """

    __slots__ = ("_settled", "_tally", "strays", "total")

    def __init__(self) -> None:
        self.total: Carried = Carried()
        self.strays: Carried | None = None
        self._tally: Tally | None = None
        self._settled: Carried | None = None

    @property
    def all_received(self) -> tuple[Carried, ...]:
        """Where what was received is counted."""
        return (self.total,) if self.strays is None else (self.total, self.strays)

    def use(self, tally: Tally | None) -> None:
        """Another pair is in use from now on, or none."""
        if tally is not self._tally:
            self.settle()
            self._tally = tally

    def settle(self) -> None:
        """Credit the pair in use with what it has carried since this was done last."""
        total, settled = self.total, self._settled
        if total.packets_sent == total.packets_received == total.discarded == 0:
            return
        if settled is None:
            settled = self._settled = Carried()
        if self._tally is not None:
            self._tally.carry().add(total, settled)
        settled.add(total, settled)

    def stray(self, tally: Tally | None, size: int, now: float) -> None:
        """A datagram came over a pair that is not in use, or over none that is known any more."""
        if self.strays is None:
            self.strays = Carried()
        for carried in (self.strays, None if tally is None else tally.carry()):
            if carried is not None:
                carried.receive(size, now)
