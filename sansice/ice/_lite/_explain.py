"""What a lite agent knows of how it came to where it is."""

from __future__ import annotations

from sansice.ice._candidate import CandidateType
from sansice.ice._events import IceState
from sansice.ice._pair import PairState
from sansice.ice._policy import CandidatePolicy
from sansice.ice._telling._explanation import Explanation
from sansice.ice._telling._facts import ComponentFacts, Facts, PairFact, StreamFacts
from sansice.machine import DropReason

from ._component import Component, LitePair
from ._session import LiteSession
from ._stream import Stream


def explain(session: LiteSession) -> Explanation:
    """Of all streams."""
    return Explanation(
        Facts(
            state=session.state,
            role=session.role,
            gathering=session.gathering,
            is_lite=True,
            policy=CandidatePolicy.ALL,
            streams=tuple(_stream(session, stream) for stream in session.streams),
            servers=(),
            has_servers=False,
            socket_error=session.hosts.error,
            dropped=dict[DropReason, int](session.stats.dropped),
        )
    )


def _stream(session: LiteSession, stream: Stream) -> StreamFacts:
    current, lost = stream.current, stream.lost_socket
    generation = stream.carrier or current
    return StreamFacts(
        index=stream.index,
        state=stream.state,
        components=tuple(_component(session, stream, component) for component in generation.components),
        is_known=current.remote is not None,
        peer_is_lite=current.remote is not None and current.remote.lite,
        is_complete=current.remote_complete,
        is_patient=stream.state is not IceState.FAILED,
        is_restarting=stream.previous is not None and current.remote is None,
        ending=stream.ending if stream.is_lost else None,
        lost_socket="" if lost is None else lost.text or lost.kind.value,
    )


def _component(session: LiteSession, stream: Stream, component: Component) -> ComponentFacts:
    pair = component.pair
    fact = None if pair is None else _pair(pair)
    hosts = [host for host in session.hosts.of(stream.index) if host.component == component.number]
    remotes = list(component.remotes.values())
    if pair is not None and pair.remote.type is CandidateType.PEER_REFLEXIVE:
        remotes.append(pair.remote)
    return ComponentFacts(
        number=component.number,
        local=tuple(host.candidate for host in hosts),
        remote=tuple(remotes),
        pairs=() if fact is None else (fact,),
        checks=component.checks,
        selected=fact if stream.carrier is not None else None,
    )


def _pair(pair: LitePair) -> PairFact:
    return PairFact(
        local=pair.host.candidate.type,
        remote=pair.remote.type,
        source=pair.host.base,
        destination=pair.address,
        state=PairState.SUCCEEDED,
        sent=0,
        answered=0,
        heard=pair.tally.requests_received,
        nominated=True,
        failure=None,
    )
