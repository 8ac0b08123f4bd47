"""Why nothing connects, most likely first: rules about `Facts`, each of which is proven by a scene in which it is the cause.

The rules are in the order of likelihood where several hold: what somebody has said, as a server that refuses a password, comes
before what silence suggests; what ended a connection before what would have kept it from beginning; and what this end can see of
itself before what it can guess of the other.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from enum import Enum
from typing import Self

import attrs

from sansice.ice._candidate import Candidate, CandidateType
from sansice.ice._events import GatheringState, IceState, ServerFailed
from sansice.ice._policy import CandidatePolicy
from sansice.ice._role import IceRole
from sansice.machine import Address, DropReason
from sansice.stun import ServerUri

from ._facts import Facts, is_public
from ._tally import CheckFailure, Ending

_MANY = 20  # checks: a peer that nominates has done so by then, unless it tries as many pairs
_TELLS_HOSTS = (CandidatePolicy.ALL, CandidatePolicy.CONCEAL_HOST)
_HOST, _REFLEXIVE, _RELAYED = CandidateType.HOST, CandidateType.SERVER_REFLEXIVE, CandidateType.RELAYED


class Cause(Enum):
    """Why nothing connects, or does no more.

    Attributes:
        value: a word for programs.
        text: what it is, for a person.
        advice: what to do about it.
    """

    text: str
    advice: str

    def __new__(cls, value: str, text: str, advice: str) -> Self:
        member = object.__new__(cls)
        member._value_ = value
        member.text = text
        member.advice = advice
        return member

    CONSENT_REVOKED = (
        "consent-revoked",
        "the peer said that it wants nothing more (RFC 7675 5.2)",
        "it has ended the session: begin a new one, if it wants that",
    )
    STOOD_STILL = (
        "stood-still",
        "this computer slept, or the program did something else for so long, that consent ran out meanwhile",
        "restart ICE after waking up, and do long work in another thread",
    )
    ADDRESS_LOST = (
        "address-lost",
        "the socket in use was lost: its network interface or address is gone",
        "restart ICE with the addresses that there are now, or have both ends renominate",
    )
    PATH_DIED = (
        "path-died",
        "the path worked, and the peer is silent now: it is gone, or a network on the way has changed",
        "restart ICE; if that finds no path, the peer is gone",
    )
    NOT_GATHERED = (
        "not-gathered",
        "nobody has called gather()",
        "call it with the machine's addresses",
    )
    SOCKETS_REFUSED = (
        "sockets-refused",
        "no socket could be opened on the addresses of this machine",
        "see what the system said: a range of ports that is used up, or a program that may not open sockets",
    )
    NO_ADDRESS = (
        "no-address",
        "this machine has no usable network address",
        "connect it to a network, look at the interface filter, or include loopback for tests on one machine",
    )
    SERVER_REFUSES_LOGIN = (
        "server-refuses-login",
        "a TURN server refuses the user name and password",
        "check them, and that they have not expired; temporary ones must be fetched anew for each session",
    )
    SERVER_FULL = (
        "server-full",
        "a TURN server has no relay to give: a quota is used up",
        "close sessions that are not needed, raise the quota, or add another server",
    )
    SERVER_NAME_UNKNOWN = (
        "server-name-unknown",
        "the name of a server leads nowhere",
        "check how it is written, and that this machine can look up names",
    )
    RELAY_FORBIDS_PEER = (
        "relay-forbids-peer",
        "the TURN server may not relay to the peer's addresses",
        "allow them in the server's peer policy, if they are meant to be reached; private ones usually are not",
    )
    UDP_BLOCKED = (
        "udp-blocked",
        "UDP leaves, but no server has answered: a firewall blocks UDP",
        "add a TURN server over TLS at port 443 (turns:...:443?transport=tcp), which looks like any web server",
    )
    POLICY_HIDES_ALL = (
        "policy-hides-all",
        "the policy hides all candidates that there are",
        "add a TURN server that works, or allow more with policy='all'",
    )
    RESTART_UNANSWERED = (
        "restart-unanswered",
        "ICE was restarted here, and the peer's new description has not come",
        "tell the peer the new local description, and this agent its answer",
    )
    PEER_UNKNOWN = (
        "peer-unknown",
        "the peer's description is not known",
        "call set_remote() with what the peer's agent told",
    )
    CANDIDATES_UNUSABLE = (
        "candidates-unusable",
        "none of the candidates that the peer told can be used: TCP, names that lead nowhere, port 0",
        "have the peer tell UDP candidates with addresses",
    )
    NAMES_NOT_FOUND = (
        "names-not-found",
        "the peer conceals its addresses by names, and nobody on the same link answers for them with one address of use, or they "
        "are of the wrong form",
        "both must be on one network that lets multicast DNS through (UDP port 5353): otherwise give both a STUN or TURN server. "
        "Where there are answers, somebody names loopback, several addresses, or what is no host's",
    )
    PEER_HAS_NO_CANDIDATES = (
        "peer-has-no-candidates",
        "the peer says that it has no candidate at all",
        "look at the peer: its explanation says why it found none",
    )
    TRICKLE_UNFINISHED = (
        "trickle-unfinished",
        "the peer has not said that it has no more candidates, so this agent goes on waiting for one that works",
        "pass on every candidate that the peer tells and the end of them, or set IceConfig.assume_end_of_candidates",
    )
    NO_COMMON_FAMILY = (
        "no-common-family",
        "one end has only IPv4 and the other only IPv6",
        "add a TURN server that relays to both families",
    )
    WRONG_PASSWORD = (
        "wrong-password",
        "checks or answers have another user name or password: the descriptions that the ends have are not of one session",
        "see that each end has the other's latest description, and that a restart was told to both",
    )
    ROLE_CONFLICT = (
        "role-conflict",
        "the peer does not let the conflict about the roles be settled",
        "have one end control and the other not; its ICE implementation may be broken",
    )
    NOT_NOMINATED = (
        "not-nominated",
        "a pair works, and the peer, which controls, nominates none",
        "look at the peer: it waits for something, or believes that this end controls",
    )
    NOMINATION_FAILED = (
        "nomination-failed",
        "a pair worked, and its nomination was refused or not answered any more",
        "look at the peer, and restart ICE",
    )
    ANSWERS_FROM_ELSEWHERE = (
        "answers-from-elsewhere",
        "the peer answers from another address than it was asked at",
        "have the peer's program bind its sockets to one address each, not to 0.0.0.0 or ::, and look at its routes",
    )
    ANSWERS_LOST = (
        "answers-lost",
        "the peer's checks arrive here, and what goes out to it is lost",
        "look for a firewall on this side that lets in UDP and does not let it out, or a way back that leads elsewhere",
    )
    NOBODY_LISTENS = (
        "nobody-listens",
        "the peer's computer says that nobody listens there (ICMP): its program has ended, or it is another computer",
        "see that the peer's program runs, and that its description is the latest",
    )
    TCP_REFUSED = (
        "tcp-refused",
        "TCP connection refused: nobody listens at the peer's address, or a firewall says so",
        "see that the peer's program runs and listens, that its description is the latest, and that TCP may come in where it is",
    )
    TCP_TIMED_OUT = (
        "tcp-timed-out",
        "TCP connection timed out: the peer's address does not answer, or a firewall drops what goes there",
        "let TCP in where the peer is, or out where this end is; or add a TURN server over TLS at port 443",
    )
    TCP_ELSEWHERE = (
        "tcp-elsewhere",
        "something else listens at the peer's address, which does not speak ICE over TCP (RFC 6544)",
        "see that the peer's description is the latest, and that no proxy stands in the way",
    )
    NO_SERVERS = (
        "no-servers",
        "this agent has only addresses of a private network, and was given no server that knows its public one",
        "give it a STUN server, and a TURN server for those whom STUN does not help",
    )
    PEER_ONLY_PRIVATE = (
        "peer-only-private",
        "the peer has told only addresses of a private network: it has no server, or reaches none",
        "give the peer a STUN or TURN server that it can reach, over TLS at port 443 if it must be",
    )
    SAME_NAT = (
        "same-nat",
        "both ends are behind one NAT, which does not turn packets round, and they do not see each other inside",
        "add a TURN server, or have the network inside let them see each other",
    )
    NATS_NEED_RELAY = (
        "nats-need-relay",
        "both ends reach servers and not each other: their NATs or firewalls let nobody in who comes from another port",
        "add a TURN server, at one end at least",
    )
    PEER_SILENT = (
        "peer-silent",
        "no check is answered and none arrives: the peer's program does not run, does not know of this end, or is behind a "
        "firewall",
        "see that the peer was told this end's description, and that UDP may come in where it is",
    )


@attrs.frozen
class Finding:
    """A cause that the facts speak for.

    Attributes:
        cause: which one.
        evidence: what speaks for it; "" where nothing can be added.
    """

    cause: Cause
    evidence: str = ""

    def __str__(self) -> str:
        evidence = f" ({self.evidence})" if self.evidence else ""
        return f"{self.cause.text}{evidence}; {self.cause.advice}"


Rule = Callable[[Facts], "str | None"]  # the evidence; None: it is not the cause


def find_causes(facts: Facts) -> tuple[Finding, ...]:
    """What may be the cause, the most likely first; nothing while everything is connected, closed, or still being tried."""
    if not facts.troubled or facts.state is IceState.CLOSED:
        return ()
    found = ((cause, rule(facts)) for cause, rule in _RULES)
    return tuple(Finding(cause, evidence) for cause, evidence in found if evidence is not None)


# ------------------------------------------------------------------- what has been connected


def _ended(ending: Ending) -> Rule:
    def rule(facts: Facts) -> str | None:
        return _if(any(stream.ending is ending and stream.state is IceState.FAILED for stream in facts.streams))

    return rule


def _address_lost(facts: Facts) -> str | None:
    texts = [stream.lost_socket for stream in facts.troubled if stream.lost_socket]
    return texts[0] if texts else None


def _path_died(facts: Facts) -> str | None:
    is_quiet = any(stream.state is IceState.DISCONNECTED for stream in facts.streams)
    return _if(is_quiet or _ended(Ending.SILENCE)(facts) is not None)


def _is_new(facts: Facts) -> bool:
    """Whether nothing has been connected since the last restart."""
    return all(stream.ending is None and not stream.lost_socket for stream in facts.troubled) and not any(
        stream.state is IceState.DISCONNECTED for stream in facts.streams
    )


# ------------------------------------------------------------------- this end


def _not_gathered(facts: Facts) -> str | None:
    return _if(facts.gathering is GatheringState.NEW and not facts.local)


def _sockets_refused(facts: Facts) -> str | None:
    return facts.socket_error if _has_nothing(facts) and facts.socket_error else None


def _no_address(facts: Facts) -> str | None:
    return _if(_has_nothing(facts) and not facts.socket_error)


def _has_nothing(facts: Facts) -> bool:
    is_gathered = facts.gathering is GatheringState.COMPLETE and not facts.servers
    return is_gathered and not facts.local and (facts.policy in _TELLS_HOSTS or not facts.has_servers)


def _policy_hides_all(facts: Facts) -> str | None:
    is_hiding = facts.policy not in _TELLS_HOSTS and facts.gathering is GatheringState.COMPLETE
    return f"policy={facts.policy.value!r}" if is_hiding and not facts.local else None


# ------------------------------------------------------------------- servers


_LOGIN_CODES = (401, 403, 431, 438, 441)  # RFC 8489 9.2, RFC 8656 7.3
_QUOTA_CODES = (486, 508)  # RFC 8656 7.3


def _server_says(*codes: int) -> Rule:
    def rule(facts: Facts) -> str | None:
        relays = any(one.relayed for one in facts.answered)
        said = [one for one in facts.failed if one.code in codes]
        return _quote(said[0]) if said and not relays and _leads_nowhere(facts) else None

    return rule


def _server_name_unknown(facts: Facts) -> str | None:
    unknown = [one for one in facts.failed if not one.local and one.code is None]
    return _quote(unknown[0]) if unknown and not facts.answered and _leads_nowhere(facts) else None


def _leads_nowhere(facts: Facts) -> bool:
    """Whether what servers have to say matters: nothing works, or there is nothing to tell the peer."""
    is_empty = facts.gathering is GatheringState.COMPLETE and not facts.local
    return _is_new(facts) and (is_empty or (facts.is_over and not _works(facts)))


def _relay_forbids_peer(facts: Facts) -> str | None:
    refused = [pair for pair in facts.pairs if pair.failure is CheckFailure.FORBIDDEN]
    if not refused or not facts.is_over or _works(facts):
        return None
    return f"{refused[0].source.host} to {refused[0].destination.host}"


def _udp_blocked(facts: Facts) -> str | None:
    asked = [one for one in facts.failed if one.is_silent and _is_udp(one)]
    heard = any(pair.heard or pair.answered for pair in facts.pairs)
    over_udp = any(not one.transport.is_stream for one in facts.answered)
    return _quote(asked[0]) if asked and not heard and not over_udp and _leads_nowhere(facts) else None


def _is_udp(failed: ServerFailed) -> bool:
    transport = ServerUri.parse(failed.url).transport
    return transport in (None, "udp")


def _quote(failed: ServerFailed) -> str:
    code = "" if failed.code is None else f"{failed.code} "
    return f"{failed.url}: {code}{failed.text}"


# ------------------------------------------------------------------- what the ends were told


def _restart_unanswered(facts: Facts) -> str | None:
    return _if(any(stream.is_restarting for stream in facts.troubled))


def _peer_unknown(facts: Facts) -> str | None:
    has_gathered = facts.gathering is GatheringState.COMPLETE
    return _if(has_gathered and any(not stream.is_known and not stream.is_restarting for stream in facts.troubled))


def _candidates_unusable(facts: Facts) -> str | None:
    count = facts.count(DropReason.UNUSABLE_CANDIDATE)
    return f"{count} of them" if count and _has_silent_peer(facts) and not _lost_names(facts) else None


def _names_not_found(facts: Facts) -> str | None:
    """What was found did not work, or there was nothing else."""
    lost = _lost_names(facts)
    return lost[0] if lost and (_has_silent_peer(facts) or _unanswered(facts)) else None


def _lost_names(facts: Facts) -> list[str]:
    return [name for component in facts.missing for name in component.lost_names]


def _peer_has_no_candidates(facts: Facts) -> str | None:
    is_told = any(stream.is_complete for stream in facts.troubled)
    return _if(is_told and not facts.count(DropReason.UNUSABLE_CANDIDATE) and _has_silent_peer(facts))


def _has_silent_peer(facts: Facts) -> bool:
    """Whether a component is to be connected, and the peer has no usable candidate for it."""
    if facts.is_lite and not any(stream.peer_is_lite for stream in facts.troubled):
        return False  # it needs none of the peer's
    return any(
        stream.is_known and not stream.has_names and any(not one.remote and not one.checks for one in stream.missing)
        for stream in facts.troubled
    )


def _trickle_unfinished(facts: Facts) -> str | None:
    waiting = [
        stream
        for stream in facts.troubled
        if stream.state is IceState.CHECKING and stream.is_known and not stream.is_complete and not stream.is_patient
    ]
    return _if(bool(waiting) and not facts.is_lite and facts.is_over and not _works(facts))


def _no_common_family(facts: Facts) -> str | None:
    for component in facts.missing:
        ours, theirs = _families(component.local), _families(component.remote)
        if ours and theirs and not set(ours) & set(theirs) and facts.gathering is GatheringState.COMPLETE:
            return f"{'/'.join(ours)} here, {'/'.join(theirs)} there"
    return None


def _families(candidates: tuple[Candidate, ...]) -> list[str]:
    literals = [candidate.address for candidate in candidates if isinstance(candidate.address, Address)]
    return [name for name, is_ipv6 in (("IPv4", False), ("IPv6", True)) if any(one.is_ipv6 is is_ipv6 for one in literals)]


# ------------------------------------------------------------------- checks


def _works(facts: Facts) -> bool:
    """Whether the path of every component that has nothing in use works."""
    return bool(facts.missing) and all(component.is_valid for component in facts.missing)


def _is_tried(facts: Facts) -> bool:
    """Whether checks were sent in vain, of a peer that is known; a lite agent's are the peer's."""
    if not _is_new(facts) or not facts.is_over or _works(facts):
        return False
    if facts.is_lite:
        return any(stream.is_known and not stream.peer_is_lite for stream in facts.troubled)
    return any(pair.sent for pair in facts.pairs)


def _heard(facts: Facts) -> int:
    return sum(component.checks for component in facts.missing)


def _unanswered(facts: Facts) -> bool:
    """Whether a component got nothing at all from the peer."""
    return _is_tried(facts) and any(
        not component.checks and not any(pair.answered or pair.heard for pair in component.pairs) for component in facts.missing
    )


def _wrong_password(facts: Facts) -> str | None:
    """A refusal of a password has no integrity itself (RFC 8489 9.1.3), so both ends see messages that they cannot verify."""
    count = facts.count(DropReason.BAD_INTEGRITY, DropReason.BAD_USERNAME)
    is_answered = facts.is_lite or any(pair.answered for pair in facts.pairs)
    is_told = any(stream.is_known for stream in facts.troubled)
    return f"{count} messages" if count and is_told and _is_new(facts) and not (_heard(facts) and is_answered) else None


def _role_conflict(facts: Facts) -> str | None:
    is_stuck = any(pair.failure is CheckFailure.CONFLICT for pair in facts.pairs)
    return _if(is_stuck and _is_tried(facts))


def _not_nominated(facts: Facts) -> str | None:
    if facts.is_lite:
        waits = any(stream.is_known and not stream.peer_is_lite for stream in facts.troubled)
        return _if(waits and _heard(facts) >= _MANY and _is_new(facts))
    return _if(facts.role is IceRole.CONTROLLED and _is_new(facts) and _works(facts) and _nomination_failed(facts) is None)


def _nomination_failed(facts: Facts) -> str | None:
    return _if(_is_new(facts) and any(stream.nomination_failed for stream in facts.troubled))


def _answers_from_elsewhere(facts: Facts) -> str | None:
    odd = [pair for pair in facts.pairs if pair.failure is CheckFailure.WRONG_SOURCE]
    return f"asked at {odd[0].path[1]}" if odd and _is_tried(facts) else None


def _answers_lost(facts: Facts) -> str | None:
    heard = sum(pair.heard for pair in facts.pairs)
    nothing = not any(pair.answered for pair in facts.pairs)
    return f"{heard} checks of the peer's" if heard and nothing and not facts.is_lite and _is_tried(facts) else None


def _nobody_listens(facts: Facts) -> str | None:
    """ICMP from an address of the peer's own; what a NAT says of its outside means nothing."""
    dead = [pair for pair in facts.pairs if pair.failure is CheckFailure.UNREACHABLE and pair.remote is _HOST]
    near = [pair for pair in dead if is_public(pair.destination) or _is_one_network(pair.source, pair.destination)]
    return str(near[0].path[1]) if near and _unanswered(facts) else None


def _tcp_failed(*failures: CheckFailure) -> Rule:
    """What connections say; where they are refused, this end at least reaches somebody."""

    def rule(facts: Facts) -> str | None:
        failed = [pair for pair in facts.pairs if pair.failure in failures]
        return str(failed[0].path[1]) if failed and _unanswered(facts) else None

    return rule


def _is_one_network(one: Address, other: Address) -> bool:
    """Whether two private addresses look like neighbours: the most common prefix of home networks and of IPv6."""
    size = 64 if one.is_ipv6 else 24
    return ipaddress.ip_address(other.host) in ipaddress.ip_network(f"{one.host.partition('%')[0]}/{size}", strict=False)


def _no_servers(facts: Facts) -> str | None:
    is_private = bool(facts.local) and not any(is_public(candidate.address) for candidate in facts.local)
    return _if(not facts.is_lite and not facts.has_servers and is_private and _unanswered(facts) and not _are_neighbours(facts))


def _peer_only_private(facts: Facts) -> str | None:
    is_private = bool(facts.remote) and not any(is_public(candidate.address) for candidate in facts.remote)
    return _if(not facts.is_lite and is_private and _unanswered(facts) and not _are_neighbours(facts))


def _are_neighbours(facts: Facts) -> bool:
    return any(
        _is_one_network(pair.source, pair.destination)
        for pair in facts.pairs
        if not is_public(pair.source) and not is_public(pair.destination)
    )


def _same_nat(facts: Facts) -> str | None:
    ours, theirs = _outside(facts.local), _outside(facts.remote)
    shared = [host for host in ours if host in theirs]
    return shared[0] if shared and not _has_relays(facts) and _unanswered(facts) else None


def _outside(candidates: tuple[Candidate, ...]) -> list[str]:
    """The addresses that servers see."""
    return [one.address[0] for one in candidates if one.type is _REFLEXIVE]


def _has_relays(facts: Facts) -> bool:
    return any(candidate.type is _RELAYED for candidate in (*facts.local, *facts.remote))


def _nats_need_relay(facts: Facts) -> str | None:
    """STUN works, so UDP does; and the peer is behind a NAT too, or it would be reached."""
    has_nat = bool(_outside(facts.local)) or (bool(_outside(facts.remote)) and not facts.has_servers)
    is_open = any(candidate.type is _HOST and is_public(candidate.address) for candidate in facts.remote)
    return _if(has_nat and not _has_relays(facts) and not is_open and _unanswered(facts))


def _peer_silent(facts: Facts) -> str | None:
    is_awaited = facts.is_over and _is_new(facts) and any(one.is_awaiting and not one.checks for one in facts.missing)
    return _if(_unanswered(facts) or is_awaited)


def _if(holds: bool) -> str | None:
    return "" if holds else None


_RULES: tuple[tuple[Cause, Rule], ...] = (
    (Cause.CONSENT_REVOKED, _ended(Ending.REVOKED)),
    (Cause.STOOD_STILL, _ended(Ending.LATE)),
    (Cause.ADDRESS_LOST, _address_lost),
    (Cause.PATH_DIED, _path_died),
    (Cause.NOT_GATHERED, _not_gathered),
    (Cause.SOCKETS_REFUSED, _sockets_refused),
    (Cause.NO_ADDRESS, _no_address),
    (Cause.SERVER_REFUSES_LOGIN, _server_says(*_LOGIN_CODES)),
    (Cause.SERVER_FULL, _server_says(*_QUOTA_CODES)),
    (Cause.RELAY_FORBIDS_PEER, _relay_forbids_peer),
    (Cause.WRONG_PASSWORD, _wrong_password),
    (Cause.NO_COMMON_FAMILY, _no_common_family),
    (Cause.SERVER_NAME_UNKNOWN, _server_name_unknown),
    (Cause.UDP_BLOCKED, _udp_blocked),
    (Cause.POLICY_HIDES_ALL, _policy_hides_all),
    (Cause.RESTART_UNANSWERED, _restart_unanswered),
    (Cause.PEER_UNKNOWN, _peer_unknown),
    (Cause.CANDIDATES_UNUSABLE, _candidates_unusable),
    (Cause.NAMES_NOT_FOUND, _names_not_found),
    (Cause.PEER_HAS_NO_CANDIDATES, _peer_has_no_candidates),
    (Cause.TRICKLE_UNFINISHED, _trickle_unfinished),
    (Cause.ROLE_CONFLICT, _role_conflict),
    (Cause.NOMINATION_FAILED, _nomination_failed),
    (Cause.NOT_NOMINATED, _not_nominated),
    (Cause.ANSWERS_FROM_ELSEWHERE, _answers_from_elsewhere),
    (Cause.ANSWERS_LOST, _answers_lost),
    (Cause.SAME_NAT, _same_nat),
    (Cause.NOBODY_LISTENS, _nobody_listens),
    (Cause.TCP_ELSEWHERE, _tcp_failed(CheckFailure.NOT_ICE)),
    (Cause.TCP_REFUSED, _tcp_failed(CheckFailure.TCP_REFUSED)),
    (Cause.TCP_TIMED_OUT, _tcp_failed(CheckFailure.TCP_TIMED_OUT)),
    (Cause.NO_SERVERS, _no_servers),
    (Cause.PEER_ONLY_PRIVATE, _peer_only_private),
    (Cause.NATS_NEED_RELAY, _nats_need_relay),
    (Cause.PEER_SILENT, _peer_silent),
)
