"""Everything about an agent that may be tuned, with the RFCs' values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import attrs

from sansice.stun import Schedule

from ._candidate import CandidateType

_ACCEPTANCE_WAITS: Mapping[CandidateType, float] = MappingProxyType(
    {
        # On a LAN all pairs answer within this; it lets IPv6 win over an IPv4 that answered first.
        CandidateType.HOST: 0.1,
        # One lost probe while the NATs open, 0.5 s, and a round trip.
        CandidateType.SERVER_REFLEXIVE: 0.8,
        CandidateType.PEER_REFLEXIVE: 0.8,
        # A direct path may need two retransmissions; a relay costs somebody money for the whole call.
        CandidateType.RELAYED: 2.0,
    }
)

_SCHEDULE = Schedule()
MIN_PATH_MTU, MAX_PATH_MTU = 576, 65535  # RFC 1122 3.3.3: what each IPv4 host can take; what an IP packet can have


def _with_defaults(waits: Mapping[CandidateType, float]) -> Mapping[CandidateType, float]:
    return MappingProxyType({**_ACCEPTANCE_WAITS, **waits})


@attrs.frozen
class IceConfig:
    """Timers in seconds, and bounds on what a peer can make grow.

    Attributes:
        ta: pacing of new transactions; both agents use the larger of the two (RFC 8445 14.2).
        max_ta: the most that a peer may ask for: it could ask for years.
        schedule: retransmission of checks; its RTO is the least one used (RFC 8445 14.3).
        max_check_rto: the most that the formula of RFC 8445 14.3 may yield. The formula grows with the
            square of the number of pairs and would wait minutes for a lost check.
        gathering_timeout: what a silent STUN server may delay `GatheringCompleted`.
        pac_timeout: patience before the first failure (RFC 8863 4).
        consent: whether consent is checked (RFC 7675); without it keepalives are sent.
        consent_interval: base of the randomised period, at least 5 (RFC 7675 5.1).
        consent_timeout: consent ends so long after the last answer (RFC 7675 5.1).
        disconnected_after: state ``DISCONNECTED`` after so long without an answer, but not before two checks in a row
            are late by the round trips of the path.
        keepalive_interval: Tr, at least 15 (RFC 8445 11).
        acceptance_waits: by candidate type: how long after the first valid pair a controlling agent
            waits for a pair of higher priority before it nominates one with a candidate of this type. A type
            that is left out keeps its default.
        blocked_wait: how long it waits, at most, before it nominates a pair with a relay of its own where the network seems to
            let out no UDP: servers were asked over UDP, and for 0.6 s none has answered, so that the relay was reached over
            TCP or TLS. A peer in the same network answers before a relay does, and what else the relay leads to has its turns
            of the pacing (14.2) within this.
        free_delay: unselected candidates are released so long after completion (RFC 8445 8.3).
        assume_end_of_candidates: whether the end of patience also ends the wait for a peer that never says that it
            has no more candidates (RFC 8863 5); without it such an agent waits for ever.
        path_mtu: the largest IP packet that is expected to arrive whole; `IceAgent.data_mtu` follows from it.
        max_pairs: pairs in all checklists (RFC 8445 6.1.2.5).
        max_remote_candidates: remote candidates accepted, peer-reflexive ones apart (RFC 8445 19.5.1).
        max_peer_reflexive: remote peer-reflexive candidates; an address costs an attacker nothing who
            knows the password.
        resolve_names: whether remote candidates that have a name are looked up; without it they are ignored, as RFC 8839
            5.1 has it of agents that know no extension for them.
        max_names: names of remote candidates that are looked up at a time: a peer could have anything asked of the DNS.
        name_timeout: what a silent name server may delay them.
        shared_credentials: whether the peer may have this agent's very own ufrag and password, as it is with libp2p's
            WebRTC-direct. Otherwise such a description is refused: it is the agent's own, which signalling has sent back.
        max_early_checks: sources remembered whose checks came before the remote description.
        max_host_addresses: host candidates; each costs a socket.
        update_interval: between two times that `IceAgent.update_addresses` opens sockets. The first new addresses are taken up at
            once; those that come sooner after it wait, and the latest list counts. So an interface that comes and goes a
            hundred times a second costs four openings of sockets and four rounds of questions to servers.
        tcp_connect_timeout: how long a connection to a candidate for TCP may take: four SYNs, of which the last has a second
            and more for its answer. There are 5 at a time to one address (RFC 6544 12), and others wait for these.
        tcp_first_check_timeout: how long an accepted connection may live without an authenticated check.
        max_tcp_strangers: accepted connections without one: a flood makes the oldest go, for a peer proves itself with its first
            round trip.
        max_tcp_unsent: bytes that may wait for a peer to read from TCP; beyond them what is sent is discarded, as UDP would.
    """

    ta: float = 0.05
    max_ta: float = 1.0
    schedule: Schedule = _SCHEDULE
    max_check_rto: float = 1.0
    gathering_timeout: float = 3.0
    pac_timeout: float = 39.5
    consent: bool = True
    consent_interval: float = 5.0
    consent_timeout: float = 30.0
    disconnected_after: float = 8.0
    keepalive_interval: float = 15.0
    acceptance_waits: Mapping[CandidateType, float] = attrs.field(default=_ACCEPTANCE_WAITS, converter=_with_defaults)
    blocked_wait: float = 0.1
    free_delay: float = 3.0
    assume_end_of_candidates: bool = False
    path_mtu: int = 1280  # what IPv6 promises (RFC 8200 5), and tunnels over IPv4 keep
    max_pairs: int = 100
    max_remote_candidates: int = 100
    max_peer_reflexive: int = 16
    resolve_names: bool = True
    max_names: int = 16
    name_timeout: float = 5.0
    shared_credentials: bool = False
    max_early_checks: int = 16
    max_host_addresses: int = 32
    update_interval: float = 0.25
    tcp_connect_timeout: float = 10.0
    tcp_first_check_timeout: float = 5.0
    max_tcp_strangers: int = 32
    max_tcp_unsent: int = 262_144

    def __attrs_post_init__(self) -> None:
        for name in _DURATIONS:
            if not 0 <= getattr(self, name) < math.inf and not (name in _ENDLESS and getattr(self, name) == math.inf):
                raise ValueError(f"{name}: {getattr(self, name)!r} is not a number of seconds")
        for name in _BOUNDS:
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)!r} is below 1")
        for type, wait in self.acceptance_waits.items():
            if not 0 <= wait < math.inf:
                raise ValueError(f"acceptance_waits: {wait!r} for {type.value} is not a number of seconds")
        if self.ta < 0.005:
            raise ValueError("ta: below 0.005 s (RFC 8445 14.2)")
        if self.schedule.rto < 0.5:
            raise ValueError("schedule: an RTO below 0.5 s (RFC 8445 14.3)")
        if not MIN_PATH_MTU <= self.path_mtu <= MAX_PATH_MTU:
            raise ValueError(f"path_mtu: {self.path_mtu!r} is outside {MIN_PATH_MTU}..{MAX_PATH_MTU}")
        if self.consent_interval < 5:
            raise ValueError("consent_interval: below 5 s, which 0.8 makes less than 4 s (RFC 7675 5.1)")
        if self.keepalive_interval < 15:
            raise ValueError("keepalive_interval: below 15 s (RFC 8445 11)")


_DURATIONS = (
    "ta",
    "max_ta",
    "max_check_rto",
    "gathering_timeout",
    "pac_timeout",
    "name_timeout",
    "consent_interval",
    "consent_timeout",
    "disconnected_after",
    "keepalive_interval",
    "blocked_wait",
    "free_delay",
    "update_interval",
    "tcp_connect_timeout",
    "tcp_first_check_timeout",
)
_ENDLESS = ("disconnected_after", "free_delay")  # infinity switches these off
_BOUNDS = (
    "max_pairs",
    "max_remote_candidates",
    "max_peer_reflexive",
    "max_names",
    "max_early_checks",
    "max_host_addresses",
    "max_tcp_strangers",
    "max_tcp_unsent",
)

DEFAULT_CONFIG = IceConfig()
