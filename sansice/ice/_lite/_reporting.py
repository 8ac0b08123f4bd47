"""What a lite agent has counted, as W3C's statistics have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sansice.ice._pair import PairState
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

from ._component import LitePair
from ._session import LiteSession
from ._stream import Generation, Stream


def report(session: LiteSession) -> IceReport:
    """All that there is: a lite agent has no pairs but valid ones."""
    for stream in session.streams:
        for ledger in stream.ledgers:
            ledger.settle()
    return IceReport(
        dropped=Counter(session.stats.dropped),
        transports=tuple(
            _transport(session, stream, index) for stream in session.streams for index in range(len(stream.ledgers))
        ),
        pairs=tuple(
            _pair(pair, stream.index, generation.number)
            for stream in session.streams
            for generation in _generations(stream)
            for pair in generation.pairs
        ),
        candidates=tuple(
            candidate
            for stream in session.streams
            for generation in _generations(stream)
            for candidate in _candidates(session, stream.index, generation)
        ),
    )


def _generations(stream: Stream) -> tuple[Generation, ...]:
    return tuple(reversed(tuple(stream.generations)))


def _transport(session: LiteSession, stream: Stream, index: int) -> TransportStats:
    carrier = stream.carrier
    pair = None if carrier is None or not carrier.is_selected else carrier.components[index].pair
    return transport_stats(
        stream.ledgers[index],
        stream=stream.index,
        component=index + 1,
        role=session.role,
        ufrag=stream.current.credentials.ufrag,
        state=stream.state,
        selected=None if pair is None else pair.tally,
        selections=stream.selections[index],
    )


def _pair(pair: LitePair, stream: int, generation: int) -> CandidatePairStats:
    place = {"stream": stream, "component": pair.host.component, "generation": generation}
    return pair_stats(
        pair.tally,
        transport=transport_id(stream, pair.host.component),
        local=candidate_id(pair.host.candidate.address, **place, socket=pair.host.socket),
        remote=candidate_id(pair.address, **place, socket=None),
        state=PairState.SUCCEEDED,
        nominated=True,
        priority=pair.priority,
    )


def _candidates(session: LiteSession, stream: int, generation: Generation) -> Iterator[CandidateStats]:
    ours, theirs = generation.credentials.ufrag, None if generation.remote is None else generation.remote.ufrag
    for host in session.hosts.of(stream):
        address = host.candidate.address
        yield candidate_stats(
            host.candidate, address, stream=stream, generation=generation.number, ufrag=ours, socket=host.socket
        )
    for component in generation.components:
        remotes = dict(component.remotes)
        if component.pair is not None:
            remotes.setdefault(component.pair.address, component.pair.remote)
        for address, remote in remotes.items():
            yield candidate_stats(remote, address, stream=stream, generation=generation.number, ufrag=theirs)
