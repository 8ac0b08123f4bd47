"""What W3C's ``getStats()`` tells of ICE: values of pairs, candidates and transports (webrtc-stats 8.17 to 8.19)."""

from __future__ import annotations

import json
import math
from collections import Counter
from enum import Enum
from typing import ClassVar, TypeAlias

import attrs

from sansice.ice._candidate import Candidate, CandidateAddress, CandidateType, TcpType
from sansice.ice._events import IceState, ServerAnswered
from sansice.ice._pair import PairState
from sansice.ice._role import IceRole
from sansice.machine import DropReason, SocketId, Transport

from ._tally import CheckFailure, Ledger, Tally


@attrs.frozen(kw_only=True)
class CandidateStats:
    """``RTCIceCandidateStats``: a candidate of this agent's, or one of the peer's.

    Attributes:
        id: the same for the same candidate, and never another's, whatever generations follow.
        transport_id: of the `TransportStats` that it is of.
        is_remote: whether it is the peer's.
        address, port: as `Candidate`, a name where it has one; ``None`` of a candidate of the peer's whose address only its
            checks have revealed, because it may be one that the peer conceals. `IceAgent.path_of` has what data is sent to.
        protocol, candidate_type, priority, foundation, related_address, related_port, tcp_type: as `Candidate`.
        username_fragment: of the generation that it is of.
        url: of the server that told it; ``None`` of those that no server did, and of the peer's.
        relay_protocol: how that server is reached, of relayed ones.
    """

    type: ClassVar[str] = "candidate"
    id: str
    transport_id: str
    is_remote: bool
    address: str | None
    port: int | None
    protocol: Transport
    candidate_type: CandidateType
    priority: int
    foundation: str
    related_address: str | None = None
    related_port: int | None = None
    username_fragment: str | None = None
    tcp_type: TcpType | None = None
    url: str | None = None
    relay_protocol: Transport | None = None


@attrs.frozen(kw_only=True)
class CandidatePairStats:
    """``RTCIceCandidatePairStats``: a pair of the checklists, or of a lite agent.

    A pair whose checks have shown another local candidate (RFC 8445 7.2.5.3.2) is the same pair, with that candidate. Counters
    never go back while it has this id. Times are monotonic seconds of the agent's clock.

    Attributes:
        id: of this pair alone, whatever generations follow.
        transport_id: of the `TransportStats` that it is of.
        local_candidate_id, remote_candidate_id: of `CandidateStats`.
        state: of its checks.
        nominated: whether it is the one to use.
        priority: by RFC 8445 6.1.2.3, in the role of this moment; not in W3C's any more.
        packets_sent, packets_received, bytes_sent, bytes_received: the application's data.
        last_packet_sent_timestamp, last_packet_received_timestamp: when the last of it; ``None`` before the first.
        total_round_trip_time: seconds, of all answers that were measured.
        current_round_trip_time: seconds, of the latest of these.
        round_trip_time_measurements: how many these are: of a request that was sent again nobody knows when the answer left.
        requests_sent, requests_received, responses_sent, responses_received: checks; what is received may be for consent.
        consent_requests_sent: of RFC 7675, beside the others.
        packets_discarded_on_send: data that had no room in the stream to a relay; it is not among what was sent.
        last_failure: why its last check failed; not in W3C's.
    """

    type: ClassVar[str] = "candidate-pair"
    id: str
    transport_id: str
    local_candidate_id: str
    remote_candidate_id: str
    state: PairState
    nominated: bool
    priority: int
    packets_sent: int = 0
    packets_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    last_packet_sent_timestamp: float | None = None
    last_packet_received_timestamp: float | None = None
    total_round_trip_time: float = 0.0
    current_round_trip_time: float | None = None
    round_trip_time_measurements: int = 0
    requests_sent: int = 0
    requests_received: int = 0
    responses_sent: int = 0
    responses_received: int = 0
    consent_requests_sent: int = 0
    packets_discarded_on_send: int = 0
    last_failure: CheckFailure | None = None


@attrs.frozen(kw_only=True)
class TransportStats:
    """``RTCTransportStats``: a component of a stream, over all its generations.

    Attributes:
        id: of this component.
        stream, component: which one.
        ice_role: of the agent.
        ice_local_username_fragment: of the present generation.
        ice_state: of the stream.
        selected_candidate_pair_id: the pair that is selected; after a restart the one before, until there is another.
        selected_candidate_pair_changes: how often that was another one, or none any more.
        packets_sent, packets_received, bytes_sent, bytes_received: the application's data, over whatever pairs.
    """

    type: ClassVar[str] = "transport"
    id: str
    stream: int
    component: int
    ice_role: IceRole
    ice_local_username_fragment: str
    ice_state: IceState
    selected_candidate_pair_id: str | None
    selected_candidate_pair_changes: int
    packets_sent: int
    packets_received: int
    bytes_sent: int
    bytes_received: int


Stats: TypeAlias = CandidatePairStats | CandidateStats | TransportStats


@attrs.frozen(kw_only=True)
class IceReport:
    """All that an agent has counted, as it was at one moment.

    Attributes:
        dropped: what arrived and was dropped, by reason.
        transports: one for each component of each stream, in order.
        pairs: by transport and by decreasing priority, those of earlier generations first.
        candidates: this agent's and the peer's, by transport.
    """

    dropped: Counter[DropReason]
    transports: tuple[TransportStats, ...]
    pairs: tuple[CandidatePairStats, ...]
    candidates: tuple[CandidateStats, ...]

    @property
    def datagrams_sent(self) -> int:
        """Of the application's data, of all components."""
        return sum(transport.packets_sent for transport in self.transports)

    @property
    def bytes_sent(self) -> int:
        """Of the application's data, of all components."""
        return sum(transport.bytes_sent for transport in self.transports)

    @property
    def datagrams_received(self) -> int:
        """Of the application's data, of all components."""
        return sum(transport.packets_received for transport in self.transports)

    @property
    def bytes_received(self) -> int:
        """Of the application's data, of all components."""
        return sum(transport.bytes_received for transport in self.transports)

    @property
    def selected_pairs(self) -> tuple[CandidatePairStats, ...]:
        """The pairs that are selected, in the order of the components."""
        by_id = {pair.id: pair for pair in self.pairs}
        chosen = (transport.selected_candidate_pair_id for transport in self.transports)
        return tuple(by_id[id] for id in chosen if id in by_id)

    @property
    def _all(self) -> tuple[Stats, ...]:
        return (*self.transports, *self.pairs, *self.candidates)

    def __getitem__(self, id: str) -> Stats:
        """What has this id.

        Raises:
            KeyError: nothing has.
        """
        for one in self._all:
            if one.id == id:
                return one
        raise KeyError(id)

    def to_json(self) -> str:
        """One JSON object: ``stats``, by id, each with the members that W3C names, and ``dropped``, by reason.

        Members that have no value are left out.
        """
        told = {one.id: _members(one) for one in self._all}
        return json.dumps({"stats": told, "dropped": {reason.value: count for reason, count in self.dropped.items()}})


def _members(stats: Stats) -> dict[str, object]:
    kind = stats.type
    if isinstance(stats, CandidateStats):
        kind = "remote-candidate" if stats.is_remote else "local-candidate"
    members: dict[str, object] = {"id": stats.id, "type": kind}
    for field in attrs.fields(type(stats)):
        value = getattr(stats, field.name)
        if value is not None:
            members[_camel(field.name)] = value.value if isinstance(value, Enum) else value
    return members


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


# ----------------------------------------------------------------- what both kinds of agents make of what they count


def transport_stats(
    ledger: Ledger,
    *,
    stream: int,
    component: int,
    role: IceRole,
    ufrag: str,
    state: IceState,
    selected: Tally | None,
    selections: int,
) -> TransportStats:
    """What is known of one component."""
    received = ledger.all_received
    return TransportStats(
        id=transport_id(stream, component),
        stream=stream,
        component=component,
        ice_role=role,
        ice_local_username_fragment=ufrag,
        ice_state=state,
        selected_candidate_pair_id=None if selected is None else pair_id(selected),
        selected_candidate_pair_changes=selections,
        packets_sent=ledger.total.packets_sent,
        packets_received=sum(carried.packets_received for carried in received),
        bytes_sent=ledger.total.bytes_sent,
        bytes_received=sum(carried.bytes_received for carried in received),
    )


def candidate_stats(
    candidate: Candidate,
    address: CandidateAddress | None,
    key: object,
    *,
    stream: int,
    generation: int,
    ufrag: str | None,
    socket: SocketId | None = None,
    server: ServerAnswered | None = None,
) -> CandidateStats:
    """What is known of one candidate.

    ``address`` is what may be told, ``key`` what its id is made of; ``socket`` is that of one of ours, ``server`` who told it.
    """
    related = candidate.related_address
    return CandidateStats(
        id=candidate_id(key, stream=stream, component=candidate.component, generation=generation, socket=socket),
        transport_id=transport_id(stream, candidate.component),
        is_remote=socket is None,
        address=None if address is None else address[0],
        port=None if address is None else address.port,
        protocol=candidate.transport,
        candidate_type=candidate.type,
        priority=candidate.priority,
        foundation=candidate.foundation,
        related_address=None if related is None else related.host,
        related_port=None if related is None else related.port,
        username_fragment=ufrag,
        tcp_type=candidate.tcp_type,
        url=None if server is None else server.url,
        relay_protocol=server.transport if server is not None and candidate.type is CandidateType.RELAYED else None,
    )


def candidate_id(key: object, *, stream: int, component: int, generation: int, socket: SocketId | None) -> str:
    """Of a candidate: ``R`` of the peer's, ``L`` of one's own, which a socket belongs to. None has that of another generation."""
    where = f"{stream}.{component}.{generation}"
    return f"R{where}-{key}" if socket is None else f"L{where}-{socket}-{key}"


def transport_id(stream: int, component: int) -> str:
    """Of a component, for as long as the agent lives."""
    return f"T{stream}.{component}"


def pair_stats(
    tally: Tally,
    *,
    transport: str,
    local: str,
    remote: str,
    state: PairState,
    nominated: bool,
    priority: int,
) -> CandidatePairStats:
    """What is known of one pair."""
    rtt, carried = tally.rtt, tally.carried
    return CandidatePairStats(
        id=pair_id(tally),
        transport_id=transport,
        local_candidate_id=local,
        remote_candidate_id=remote,
        state=state,
        nominated=nominated,
        priority=priority,
        packets_sent=0 if carried is None else carried.packets_sent,
        packets_received=0 if carried is None else carried.packets_received,
        bytes_sent=0 if carried is None else carried.bytes_sent,
        bytes_received=0 if carried is None else carried.bytes_received,
        last_packet_sent_timestamp=None if carried is None else _known(carried.last_sent),
        last_packet_received_timestamp=None if carried is None else _known(carried.last_received),
        total_round_trip_time=0.0 if rtt is None else rtt.total,
        current_round_trip_time=None if rtt is None else rtt.current,
        round_trip_time_measurements=0 if rtt is None else rtt.measurements,
        requests_sent=tally.requests_sent,
        requests_received=tally.requests_received,
        responses_sent=tally.responses_sent,
        responses_received=tally.responses_received,
        consent_requests_sent=tally.consent_requests_sent,
        packets_discarded_on_send=0 if carried is None else carried.discarded,
        last_failure=tally.failure,
    )


def pair_id(tally: Tally) -> str:
    """Of a pair, for as long as it lives."""
    return f"P{tally.number}"


def _known(at: float) -> float | None:
    return at if at > -math.inf else None
