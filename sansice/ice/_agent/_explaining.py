"""What the full agent knows of how it came to where it is."""

from __future__ import annotations

import attrs

from sansice.ice._candidate import CandidateAddress
from sansice.ice._events import IceState
from sansice.ice._gathering._gatherer import Gatherer
from sansice.ice._pair import Pair
from sansice.ice._telling._explanation import Explanation
from sansice.ice._telling._facts import ComponentFacts, Facts, PairFact, StreamFacts
from sansice.machine import DropReason

from ._component import Component
from ._conclusion import Conclusion
from ._pairing import Pairing, is_named
from ._session import Session
from ._stream import Stream


def explain(session: Session, gatherer: Gatherer, streams: tuple[Stream, ...]) -> Explanation:
    """Of all streams."""
    servers = () if session.servers is None else session.servers.values()
    return Explanation(
        Facts(
            state=session.state,
            role=session.role,
            gathering=gatherer.state,
            is_lite=False,
            policy=gatherer.policy,
            streams=tuple(_stream(session, stream, gatherer) for stream in streams),
            servers=tuple(attrs.evolve(one, local=gatherer.name_of(one.local)) for one in servers),
            has_servers=gatherer.has_servers,
            socket_error=gatherer.socket_error,
            dropped=dict[DropReason, int](session.stats.dropped),
        )
    )


def _stream(session: Session, stream: Stream, gatherer: Gatherer) -> StreamFacts:
    checker, lost = stream.checker, stream.lost_socket
    return StreamFacts(
        index=stream.index,
        state=session.states[stream.index],
        components=tuple(_component(stream.components[one.component - 1], one, gatherer) for one in stream.wanted),
        is_known=checker.remote is not None,
        peer_is_lite=checker.remote is not None and checker.remote.lite,
        is_complete=stream.remote_complete or session.config.assume_end_of_candidates,
        is_patient=not stream.patience_over and session.states[stream.index] is not IceState.FAILED,
        has_names=checker.waits_for_names,
        is_restarting=stream.awaits_answer,
        nomination_failed=any(conclusion.has_failed for conclusion in checker.conclusions),
        ending=stream.ending,
        lost_socket="" if lost is None else lost.text or lost.kind.value,
    )


def _component(component: Component, conclusion: Conclusion, gatherer: Gatherer) -> ComponentFacts:
    pairing = conclusion.pairing
    pairs = tuple(_pair(pair, pairing, gatherer) for pair in conclusion.pairs)
    selected = conclusion.selected
    if selected is None and component.is_of_former:
        selected = component.used
    return ComponentFacts(
        number=component.number,
        local=tuple(local.candidate for local in pairing.locals),
        remote=tuple(pairing.remotes.values()),
        pairs=pairs,
        checks=sum(pair.heard for pair in pairs),
        selected=None if selected is None else _pair(selected, pairing, gatherer),
        lost_names=() if pairing.names is None else tuple(one.address[0] for one in pairing.names.lost),
    )


def _pair(pair: Pair, pairing: Pairing, gatherer: Gatherer) -> PairFact:
    shown, tally = pair.valid or pair, pair.tally
    base, remote = shown.local.base, shown.remote_address
    path = gatherer.shown(base), _destination(shown, pairing)
    return PairFact(
        local=shown.local.candidate.type,
        remote=shown.remote.type,
        source=base,
        destination=remote,
        state=pair.state,
        sent=tally.requests_sent + tally.consent_requests_sent,
        answered=tally.responses_received,
        heard=tally.requests_received,
        nominated=pair.nominated or shown.nominated,
        failure=tally.failure,
        shown=None if path == (base, remote) else path,
    )


def _destination(shown: Pair, pairing: Pairing) -> CandidateAddress:
    """Where a pair leads, unless the peer conceals that."""
    is_told = pairing.names is None or (not is_named(shown.remote) and pairing.has_told(shown.remote_address))
    return shown.remote_address if is_told else shown.remote.address
