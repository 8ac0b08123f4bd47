"""What the full agent has counted, as W3C's statistics have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from sansice.ice._candidate import CandidateType
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

from ._checker import Checker
from ._component import Component
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
        yield _pair(pair, pair.valid or pair, stream, checker.generation)


def _pair(pair: Pair, shown: Pair, stream: int, generation: int) -> CandidatePairStats:
    """``shown`` is the valid pair where there is one: it has the local candidate that the peer sees."""
    local = shown.local
    place = {"stream": stream, "component": local.candidate.component, "generation": generation}
    return pair_stats(
        pair.tally,
        transport=transport_id(stream, local.candidate.component),
        local=candidate_id(local.candidate.address, **place, socket=local.socket),
        remote=candidate_id(shown.remote_address, **place, socket=None),
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
                stream=stream,
                generation=checker.generation,
                ufrag=checker.credentials.ufrag,
                socket=local.socket,
                server=_server_of(session, local),
            )
        for address, remote in conclusion.pairing.remotes.items():
            yield candidate_stats(remote, address, stream=stream, generation=checker.generation, ufrag=remote_ufrag)


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
