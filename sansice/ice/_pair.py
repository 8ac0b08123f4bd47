"""Candidate pairs and their states (RFC 8445 6.1.2.6)."""

from __future__ import annotations

import math
from types import MappingProxyType

import attrs

from sansice._enums import IdentityEnum
from sansice.machine import Address, LocalProtocolError, SocketId

from ._candidate import Candidate
from ._rtt import UNMEASURED_PATIENCE, PairRtt
from ._telling._tally import Tally


class PairState(IdentityEnum):
    """RFC 8445 6.1.2.6; the values are W3C's ``RTCStatsIceCandidatePairState``."""

    FROZEN = "frozen"
    WAITING = "waiting"
    IN_PROGRESS = "in-progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class PairEvent(IdentityEnum):
    """What moves a pair from state to state."""

    UNFREEZE = "unfrozen"
    CHECK = "check sent"
    REPEAT = "triggered, or repeated in the other role"
    SUCCEED = "check succeeded"
    FAIL = "check failed"


_S, _E = PairState, PairEvent
# Every transition there is. A late answer to a cancelled check finds its pair Waiting, or In-Progress
# with the next check, and still counts (RFC 8445 7.3.1.4); a nominating check repeats a Succeeded pair.
PAIR_TRANSITIONS = MappingProxyType(
    {
        _S.FROZEN: {_E.UNFREEZE: _S.WAITING, _E.REPEAT: _S.WAITING, _E.SUCCEED: _S.SUCCEEDED, _E.FAIL: _S.FAILED},
        _S.WAITING: {_E.CHECK: _S.IN_PROGRESS, _E.REPEAT: _S.WAITING, _E.SUCCEED: _S.SUCCEEDED, _E.FAIL: _S.FAILED},
        _S.IN_PROGRESS: {_E.REPEAT: _S.WAITING, _E.SUCCEED: _S.SUCCEEDED, _E.FAIL: _S.FAILED},
        _S.SUCCEEDED: {_E.CHECK: _S.SUCCEEDED, _E.REPEAT: _S.WAITING, _E.SUCCEED: _S.SUCCEEDED, _E.FAIL: _S.FAILED},
        _S.FAILED: {_E.REPEAT: _S.WAITING, _E.SUCCEED: _S.SUCCEEDED, _E.FAIL: _S.FAILED},
    }
)

UNFINISHED = frozenset({PairState.FROZEN, PairState.WAITING, PairState.IN_PROGRESS})
_NEVER = -math.inf  # one for all of them


@attrs.frozen
class CandidatePair:
    """A snapshot of a pair, for the application.

    Attributes:
        local, remote: its candidates.
        priority: by RFC 8445 6.1.2.3, in the role of this moment.
        state: of its check.
        nominated: whether it is the one to use.
    """

    local: Candidate
    remote: Candidate
    priority: int
    state: PairState
    nominated: bool

    def __str__(self) -> str:
        return f"{self.local} -> {self.remote}"


@attrs.frozen
class LocalCandidate:
    """A local candidate with what it takes to send from it.

    Attributes:
        socket: where to send.
        base: the address of that socket (RFC 8445 5.1.1.2).
        local_preference: needed again for the PRIORITY of checks (RFC 8445 7.1.1).
        stream: which stream it is for; of which component, the candidate says.
    """

    candidate: Candidate
    socket: SocketId
    base: Address
    local_preference: int
    stream: int = 0

    @property
    def address(self) -> Address:
        """Its transport address, also where the peer is told a name in place of it."""
        told = self.candidate.address
        return told if isinstance(told, Address) else self.base


class Pair:
    """A pair in a checklist or a valid list.

    Not an attrs class: one exists for every pair of addresses, and slots with defaults keep it small.
    """

    __slots__ = (
        "answered_at",
        "cancelled",
        "conflicts",
        "foundation",
        "is_refused",
        "is_spent",
        "local",
        "nominate_on_success",
        "nominated",
        "nominating",
        "priority",
        "remote",
        "remote_address",
        "state",
        "tally",
        "valid",
        "valid_since",
    )

    def __init__(
        self, local: LocalCandidate, remote: Candidate, remote_address: Address, priority: int, tally: Tally | None = None
    ) -> None:
        self.local = local
        self.remote = remote
        self.remote_address = remote_address
        self.priority = priority
        self.foundation = (local.candidate.foundation, remote.foundation)  # RFC 8445 6.1.2.6
        self.state = PairState.FROZEN
        self.valid: Pair | None = None
        """The valid pair that a check of this pair produced; often itself (RFC 8445 7.2.5.3.2)."""
        self.nominating = False
        """We control, and its next or running check carries USE-CANDIDATE."""
        self.nominate_on_success = 0
        """We are controlled, and the peer nominated it before its check succeeded (RFC 8445 7.3.1.5): the number of that
        nomination, counted from 1; else 0."""
        self.nominated = False
        self.is_refused = False
        """The application's policy refused that the peer nominates it, and that was told."""
        self.is_spent = False
        """Consent was lost: these credentials are never used on its path again (RFC 7675 5.1)."""
        self.answered_at = _NEVER
        self.valid_since = math.inf
        self.tally = tally or Tally(0)
        """What is counted: of a pair and of those that its checks make valid together."""
        self.conflicts = 0
        self.cancelled = 0

    def move(self, event: PairEvent) -> None:
        """Take the transition, which must be in the table."""
        try:
            self.state = PAIR_TRANSITIONS[self.state][event]
        except KeyError:
            raise LocalProtocolError(f"a {self.state.value} pair cannot be {event.value}") from None

    def answered(self, rtt: float | None, *, now: float) -> None:
        """A valid pair was answered; ``rtt`` is ``None`` where nobody knows which transmission it was that was."""
        self.answered_at = now
        self.valid_since = min(self.valid_since, now)
        tally = self.tally
        tally.responses_received += 1
        if tally.rtt is None:
            tally.rtt = PairRtt()
        if rtt is not None:
            tally.rtt.measure(rtt)

    @property
    def rtt(self) -> PairRtt | None:
        """How long its answers take, from the first one on."""
        return self.tally.rtt

    @property
    def patience(self) -> float:
        """For how long an answer on it is worth waiting for, in seconds."""
        return UNMEASURED_PATIENCE if self.rtt is None else self.rtt.patience

    def snapshot(self) -> CandidatePair:
        """What the application may see."""
        return CandidatePair(self.local.candidate, self.remote, self.priority, self.state, self.nominated)
