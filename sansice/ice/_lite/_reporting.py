"""What a lite agent has counted, as W3C's statistics have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from functools import partial

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
from sansice.machine import Address

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
            _pair(pair, generation.components[pair.host.component - 1].remotes, stream.index, generation.number)
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


def _pair(pair: LitePair, told: Collection[Address], stream: int, generation: int) -> CandidatePairStats:
    place = {"stream": stream, "component": pair.host.component, "generation": generation}
    return pair_stats(
        pair.tally,
        transport=transport_id(stream, pair.host.component),
        local=candidate_id(pair.host.candidate.address, **place, socket=pair.host.socket),
        remote=candidate_id(_shown(pair, told)[1], **place, socket=None),
        state=PairState.SUCCEEDED,
        nominated=True,
        priority=pair.priority,
    )


def _candidates(session: LiteSession, stream: int, generation: Generation) -> Iterator[CandidateStats]:
    ours, theirs = generation.credentials.ufrag, None if generation.remote is None else generation.remote.ufrag
    for host in session.hosts.of(stream):
        address = host.candidate.address
        yield candidate_stats(
            host.candidate, address, address, stream=stream, generation=generation.number, ufrag=ours, socket=host.socket
        )
    for component in generation.components:
        tell = partial(candidate_stats, stream=stream, generation=generation.number, ufrag=theirs)
        for address, remote in component.remotes.items():
            yield tell(remote, address, address)
        if component.pair is not None and component.pair.address not in component.remotes:
            yield tell(component.pair.remote, *_shown(component.pair, component.remotes))


def _shown(pair: LitePair, told: Collection[Address]) -> tuple[Address | None, object]:
    """What statistics say of where the peer is, and what is of that candidate alone: see `sansice.ice._agent._reporting`."""
    if any(pair.address.host == address.host for address in told):
        return pair.address, pair.address
    return None, f"prflx{pair.tally.number}"
