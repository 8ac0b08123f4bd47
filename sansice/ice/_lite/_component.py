"""One component of one generation of a lite agent: whose checks came, and which pair was nominated (RFC 8445 7.3.2)."""

from __future__ import annotations

import math

from sansice._enums import IdentityEnum
from sansice.ice._candidate import Candidate
from sansice.ice._config import IceConfig
from sansice.ice._pair import CandidatePair, PairState
from sansice.ice._telling._tally import Tally
from sansice.machine import Address, SocketId

from ._hosts import Host

# A partner before RFC 8445 may nominate each pair as it checks it (aggressive nomination). So long after its first
# nomination it may still come to better ones: a hundred pairs at the usual 50 ms, and as long again for what was lost.
AGGRESSIVE_PHASE = 10.0
# Afterwards it means to move if it nominates another pair again after so long, and the old one no more. Browsers nominate
# the pair in use with each check, at most 2.5 s apart; so what somebody has recorded and repeats moves nothing.
CONFIRMATION = 3.0
# Selections of one component: so many at once, and one more a second. Each is an event, and a peer can ask for thousands.
MAX_MOVES = 16
_LONGEST_PERIOD = 1.2  # times the base one, between two consent checks (RFC 7675 5.1)


def quiet_after(config: IceConfig) -> float:
    """From when on a peer counts as disconnected, seconds: not before two of its checks in a row can have been lost."""
    return max(config.disconnected_after, 2 * _LONGEST_PERIOD * config.consent_interval)


class LitePair:
    """A valid pair: the socket that a nomination came to, and where it came from.

    Attributes:
        address: of ``remote``.
        heard_at: when the last authenticated check came over it.
        sent_at: when anything last went out on it; the answer that made it valid does.
        is_cut: its TCP connection was closed, and the peer is to open another one.
        tally: what is counted; it has a number once the pair is valid.
    """

    __slots__ = ("address", "heard_at", "host", "is_cut", "priority", "remote", "sent_at", "tally")

    def __init__(self, host: Host, remote: Candidate, address: Address, priority: int, now: float) -> None:
        self.host = host
        self.remote = remote
        self.address = address
        self.priority = priority
        self.heard_at = now
        self.sent_at = now
        self.is_cut = False
        self.tally = Tally(0)

    def hear(self, *, now: float) -> None:
        """An authenticated check came over it, and was answered."""
        self.heard_at = now
        self.tally.requests_received += 1
        self.tally.responses_sent += 1

    def is_on(self, socket: SocketId, source: Address) -> bool:
        """Whether it is this path."""
        return source == self.address and socket == self.host.socket

    def snapshot(self) -> CandidatePair:
        """What the application may see. A nomination is all that a lite agent knows of a pair, so it is valid too."""
        return CandidatePair(self.host.candidate, self.remote, self.priority, PairState.SUCCEEDED, True)


class Verdict(IdentityEnum):
    """What becomes of a nomination."""

    KEEP = "the pair is in use already"
    FOLLOW = "the pair is used from now on"
    WAIT = "the pair in use is better, or the peer has to say it again"
    REFUSE = "a peer that follows RFC 8445 nominates one pair, and another is in use"
    LIMIT = "too many in too short a time"


_KEEP, _FOLLOW, _WAIT, _REFUSE, _LIMIT = Verdict


class Component:
    """What was told and heard of one component.

    Attributes:
        number: 1..256.
        checks: how many authenticated ones came.
        remotes: the peer's candidates by address, as signalled.
        sources: addresses of which an authenticated check has come, the latest last; data is taken from them.
        pair: the nominated pair, which is valid too.
    """

    __slots__ = ("_contender", "_first_at", "_moves", "_numbered", "checks", "number", "pair", "remotes", "sources")

    def __init__(self, number: int) -> None:
        self.number = number
        self.checks = 0
        self.remotes: dict[Address, Candidate] = {}
        self.sources: dict[Address, None] = {}
        self.pair: LitePair | None = None
        self._contender: tuple[SocketId, Address, float] | None = None
        self._first_at = math.inf
        self._moves = 0
        self._numbered = 0  # the highest nomination, where the peer numbers them

    def hear(self, socket: SocketId, source: Address, limit: int, *, now: float) -> None:
        """An authenticated check came from ``source``.

        Beyond ``limit`` the source is forgotten that has been silent for longest, but never the one in use: who knows the
        password and floods displaces only its own.
        """
        pair = self.pair
        self.checks += 1
        if pair is not None and pair.is_on(socket, source):
            pair.hear(now=now)
        self.sources.pop(source, None)
        self.sources[source] = None
        if len(self.sources) > limit + len(self.remotes):
            used = None if pair is None else pair.address
            del self.sources[next(one for one in self.sources if one != used)]

    def judge(self, pair: LitePair, number: int, config: IceConfig, *, is_ice2: bool, is_repeated: bool, now: float) -> Verdict:
        """What becomes of a nomination (RFC 8445 7.3.2, 8.1.1).

        Args:
            pair: that it would make.
            number: the nomination's (draft-thatcher-ice-renomination), 0 where it has none.
            config: how long a pair may be silent before any other is better.
            is_ice2: whether the peer promises to nominate one pair only (RFC 8445 10).
            is_repeated: whether it is a retransmission, which confirms nothing.
            now: monotonic seconds.
        """
        chosen = self.pair
        if chosen is not None and chosen.is_on(pair.host.socket, pair.address):
            self._numbered = max(self._numbered, number)
            self._contender = None
            return _KEEP
        if chosen is None or chosen.is_cut:
            verdict = _FOLLOW
        elif number or self._numbered:
            verdict = _FOLLOW if number > self._numbered else _WAIT
        elif now >= chosen.heard_at + min(quiet_after(config), config.consent_timeout):
            verdict = _FOLLOW
        elif is_ice2:
            return _REFUSE
        elif now < self._first_at + AGGRESSIVE_PHASE and pair.priority > chosen.priority:
            verdict = _FOLLOW
        else:
            is_confirmed = not is_repeated and self._is_confirmed(pair.host.socket, pair.address, now)
            verdict = _FOLLOW if is_confirmed else _WAIT
        if verdict is _FOLLOW:
            if self._moves >= MAX_MOVES + max(0.0, now - self._first_at):
                return _LIMIT
            self._numbered = max(self._numbered, number)
        return verdict

    def _is_confirmed(self, socket: SocketId, source: Address, now: float) -> bool:
        contender = self._contender
        if contender is None or contender[:2] != (socket, source):
            self._contender = (socket, source, now)
            return False
        return now >= contender[2] + CONFIRMATION

    def select(self, pair: LitePair, *, now: float) -> None:
        """Use a pair from now on."""
        self._contender = None
        self._first_at = min(self._first_at, now)
        self._moves += 1
        self.pair = pair
