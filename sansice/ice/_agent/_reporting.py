"""What the full agent has counted, as W3C's statistics have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from sansice.ice._candidate import Candidate, CandidateAddress, CandidateType
from sansice.ice._events import ServerAnswered
from sansice.ice._pair import LocalCandidate, Pair
from sansice.ice._telling._report import (
    CandidatePairStats,
    CandidateStats,
    IceReport,
    TransportStats,
    candidate_id,
    candidate_stats,
    pair_stats,
    transport_id,
    transport_stats,
)
from sansice.machine import Address

from ._checker import Checker
from ._component import Component
from ._pairing import Pairing, is_named
from ._session import Session
from ._stream import Stream


def report(session: Session, streams: Sequence[Stream]) -> IceReport:
    """All that there is."""
    for stream in streams:
        for component in stream.components:
            component.ledger.settle()
    return IceReport(
        dropped=Counter(session.stats.dropped),
        transports=tuple(_transport(session, stream, one) for stream in streams for one in stream.components),
        pairs=tuple(pair for stream in streams for checker in _generations(stream) for pair in _pairs(stream.index, checker)),
        candidates=tuple(
            candidate
            for stream in streams
            for checker in _generations(stream)
            for candidate in _candidates(session, stream.index, checker)
        ),
    )


def _generations(stream: Stream) -> tuple[Checker, ...]:
    return (*stream.previous, stream.checker)


def _transport(session: Session, stream: Stream, component: Component) -> TransportStats:
    return transport_stats(
        component.ledger,
        stream=stream.index,
        component=component.number,
        role=session.role,
        ufrag=stream.checker.credentials.ufrag,
        state=session.states[stream.index],
        selected=component.selected,
        selections=component.selections,
    )


def _pairs(stream: int, checker: Checker) -> Iterator[CandidatePairStats]:
    for pair in checker.list:
        pairing = checker.conclusions[pair.local.candidate.component - 1].pairing
        yield _pair(pairing, pair, pair.valid or pair, stream, checker.generation)


def _pair(pairing: Pairing, pair: Pair, shown: Pair, stream: int, generation: int) -> CandidatePairStats:
    """``shown`` is the valid pair where there is one: it has the local candidate that the peer sees."""
    local = shown.local
    place = {"stream": stream, "component": local.candidate.component, "generation": generation}
    return pair_stats(
        pair.tally,
        transport=transport_id(stream, local.candidate.component),
        local=candidate_id(local.candidate.address, **place, socket=local.socket),
        remote=candidate_id(_shown(pairing, shown.remote, shown.remote_address)[1], **place, socket=None),
        state=pair.state,
        nominated=pair.nominated or shown.nominated,
        priority=shown.priority,
    )


def _candidates(session: Session, stream: int, checker: Checker) -> Iterator[CandidateStats]:
    remote_ufrag = None if checker.remote is None else checker.remote.ufrag
    for conclusion in checker.conclusions:
        for local in conclusion.pairing.locals:
            yield candidate_stats(
                local.candidate,
                local.candidate.address,
                local.candidate.address,
                stream=stream,
                generation=checker.generation,
                ufrag=checker.credentials.ufrag,
                socket=local.socket,
                server=_server_of(session, local),
            )
        yield from _remotes(conclusion.pairing, stream, checker.generation, remote_ufrag)


def _remotes(pairing: Pairing, stream: int, generation: int, ufrag: str | None) -> Iterator[CandidateStats]:
    """The peer's candidates. Those that have a name are there whether it leads anywhere or not (mDNS draft 3.3.1)."""
    names = pairing.names
    known = [*pairing.remotes.items()]
    if names is not None:
        known += names.open.items()
        found = {(one.transport, one.address) for one in pairing.remotes.values()}
        for candidate in names.told:
            if (candidate.transport, candidate.address) not in found:
                yield candidate_stats(
                    candidate, candidate.address, candidate.address, stream=stream, generation=generation, ufrag=ufrag
                )
    for address, remote in known:
        shown, key = _shown(pairing, remote, address)
        yield candidate_stats(remote, shown, key, stream=stream, generation=generation, ufrag=ufrag)


def _shown(pairing: Pairing, remote: Candidate, address: Address) -> tuple[CandidateAddress | None, object]:
    """What statistics say of where a candidate of the peer's is, and what is of it alone.

    That is its name, if it has one; and of one that only its checks have revealed no address is told, unless the peer has told
    that itself, with whatever port (draft-ietf-mmusic-mdns-ice-candidates 3.3.1).
    """
    if is_named(remote):
        return remote.address, remote.address
    if remote.type is CandidateType.PEER_REFLEXIVE and not pairing.has_told(address):
        return None, remote.foundation
    return address, address


def _server_of(session: Session, local: LocalCandidate) -> ServerAnswered | None:
    """Who told a candidate. Several servers may have, and the first is named."""
    kind, address = local.candidate.type, local.candidate.address
    if kind is CandidateType.HOST or session.servers is None:
        return None
    for outcome in session.servers.values():
        if isinstance(outcome, ServerAnswered):
            told = outcome.relayed if kind is CandidateType.RELAYED else (outcome.mapped,)
            if address in told:
                return outcome
    return None
