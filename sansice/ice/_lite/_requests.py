"""The peer's checks, as a lite agent takes them (RFC 8445 7.3, 7.3.2)."""

from __future__ import annotations

from sansice.ice._binding import Refusal, Refused, encode_refusal, encode_success, read_check
from sansice.ice._candidate import MAX_PRIORITY, Candidate, CandidateType, TcpType
from sansice.machine import Address, DecodeError, DropReason, Transport
from sansice.stun import ICE_CONTROLLED, ICE_CONTROLLING, USERNAME, Message

from ._choice import priority_of
from ._component import LitePair, Verdict
from ._hosts import Host
from ._session import OVER, LiteSession
from ._stream import EarlyCheck, Generation, Novelty, Stream

_REFUSALS = frozenset({Verdict.REFUSE, Verdict.LIMIT})


def handle_request(session: LiteSession, host: Host, source: Address, request: Message, *, now: float) -> None:
    """Answer a Binding request, and follow the nomination that it may be."""
    stream = session.streams[host.stream]
    if stream.state in OVER:  # and silent, so that the peer notices too
        session.stats.drop(DropReason.CLOSED)
        return
    try:
        generation = stream.of_username(request.get(USERNAME))
        check = read_check(request, generation.credentials.ufrag, generation.key)
        is_controlled = request.get(ICE_CONTROLLED) is not None
        _ = request.get(ICE_CONTROLLING)  # malformed, it is no check
    except DecodeError as error:
        session.stats.drop(error.reason)
        return
    if isinstance(check, Refused):
        session.stats.drop(check.reason)
        key = generation.key if check.authenticated else None
        session.emit_send(host, source, encode_refusal(request, check.refusal, key, check.unknown), now=now)
        return
    remote = generation.remote
    if remote is not None and check.remote_ufrag != remote.ufrag and generation.is_complete:
        # A browser that offers a restart checks with its new ufrag at once, and addresses the old one of ours, for it knows no
        # other yet. Were it answered, it would use the pair of that check, and stay there when it knows better.
        session.stats.drop(DropReason.BAD_USERNAME)
        return
    if is_controlled and (remote is None or not remote.lite):
        # Whoever checks is full, and controls (RFC 8445 6.1.1). So no tiebreaker is compared: a full agent that believes
        # otherwise is told to switch, whatever its number (RFC 8445 7.3.1.1). Our own role is the description's to say: with
        # a lite peer it is the one that this agent was made for, whoever has sent checks before.
        session.emit_send(host, source, encode_refusal(request, Refusal.ROLE_CONFLICT, generation.key), now=now)
        return
    is_new = generation.is_new(request.transaction_id)
    nominates = (
        (check.use_candidate or (is_new and _is_spliced(generation, host)))
        and generation is stream.current
        and (remote is None or not remote.lite)
    )
    novelty = generation.remember(request.transaction_id, host, source) if nominates else Novelty.FIRST
    if novelty is Novelty.REPLAYED:
        session.stats.drop(DropReason.REPLAYED)
        return
    if remote is None:
        if is_new:
            _remember_early(session, generation, EarlyCheck(host, source, check))
    elif check.remote_ufrag == remote.ufrag:  # RFC 8445 7.3.1.4: another one is another peer's
        if is_new:  # RFC 7675 5.1: each check that is asked for consent has an id of its own
            session.hear(generation, host, source, now=now)
        if nominates and _nominate(session, stream, EarlyCheck(host, source, check), novelty, now) in _REFUSALS:
            session.stats.drop(DropReason.LIMIT)  # who is refused must know (RFC 8445 7.3.1.5)
            session.emit_send(host, source, encode_refusal(request, Refusal.BAD_REQUEST, generation.key), now=now)
            return
    session.emit_send(host, source, encode_success(request, source, generation.key), now=now)


def _is_spliced(generation: Generation, host: Host) -> bool:
    """Whether any check takes the place of the nomination: of a connection that is no more (RFC 6544 11.1)."""
    pair = generation.components[host.component - 1].pair
    return pair is not None and pair.is_cut


def take_early(session: LiteSession, stream: Stream, *, now: float) -> None:
    """A full peer is known now: follow what its checks said before."""
    generation = stream.current
    early, generation.early = generation.early, []
    for one in early:
        generation.components[one.host.component - 1].sources.pop(one.source, None)
    for one in early:
        if generation.is_of(one.check.remote_ufrag) and one.host.socket in session.hosts.open:
            session.hear(generation, one.host, one.source, now=now)
            if one.check.use_candidate:
                _nominate(session, stream, one, Novelty.FIRST, now)


def _remember_early(session: LiteSession, generation: Generation, early: EarlyCheck) -> None:
    """Keep a check for the time when the peer is known; one from each source, the latest nomination last."""
    for index, other in enumerate(generation.early):
        if (other.host, other.source) == (early.host, early.source):
            if early.check.use_candidate or not other.check.use_candidate:
                del generation.early[index]
                generation.early.append(early)
            return
    if len(generation.early) >= session.config.max_early_checks:
        session.stats.drop(DropReason.LIMIT)
        return
    generation.early.append(early)
    generation.components[early.host.component - 1].sources[early.source] = None


def _nominate(session: LiteSession, stream: Stream, nomination: EarlyCheck, novelty: Novelty, now: float) -> Verdict:
    """The pair of where a nomination came to and where it came from, and what becomes of it (RFC 8445 7.3.2)."""
    host, source, remote = nomination.host, nomination.source, stream.current.remote
    component = stream.current.components[host.component - 1]
    candidate = component.remotes.get(source) or Candidate(
        foundation="prflx",
        component=component.number,
        transport=host.transport,
        priority=min(max(1, nomination.check.priority), MAX_PRIORITY),  # RFC 8445 7.3.2: arbitrary
        address=Address(*source),
        type=CandidateType.PEER_REFLEXIVE,
        tcp_type=None if host.transport is Transport.UDP else TcpType.ACTIVE,
    )
    pair = LitePair(host, candidate, source, priority_of(host.candidate, candidate, session.role), now)
    is_ice2 = remote is not None and "ice2" in remote.options
    is_repeated = novelty is Novelty.REPEATED
    verdict = component.judge(
        pair, nomination.check.nomination, session.config, is_ice2=is_ice2, is_repeated=is_repeated, now=now
    )
    if verdict is Verdict.FOLLOW:
        session.validate(stream, component, pair, now=now)
        session.conclude_if_complete(stream, select=True, now=now)
    return verdict
