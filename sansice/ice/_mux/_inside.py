"""What a mux has to know of an agent that no application needs, and so no public property says.

Both kinds of agent are read here and nowhere else in the mux; nothing is changed.
"""

from __future__ import annotations

from typing import TypeAlias

from sansice.ice._agent._agent import IceAgent
from sansice.ice._agent._pacer import Pacer
from sansice.ice._events import IceState
from sansice.ice._lite._agent import LiteAgent
from sansice.ice._lite._component import quiet_after
from sansice.ice._telling._tally import Carried
from sansice.machine import Address, Ids, SocketId
from sansice.stun import TransactionId

AnyAgent: TypeAlias = IceAgent | LiteAgent


def ids_of(agent: AnyAgent) -> Ids:
    """The counter that its sockets are numbered by."""
    return agent._session.ids if isinstance(agent, IceAgent) else agent._session.hosts._ids


def pacer_of(agent: IceAgent) -> Pacer | None:
    """Whom it shares its pace with."""
    return agent._turns._pacer


def stream_of(agent: AnyAgent, socket: SocketId) -> int | None:
    """Which stream a socket is for that the agent has asked for; ``None`` where it does not want it any more."""
    place = agent._sockets.get(socket) if isinstance(agent, IceAgent) else agent._session.hosts._opening.get(socket)
    return None if place is None else place.stream


def ufrags_of(agent: AnyAgent) -> tuple[tuple[bytes, ...], ...]:
    """Of each stream, the ufrags that checks may be for: the present generation's first, then those a restart has left alive."""
    if agent.state is IceState.CLOSED:
        return ()
    if isinstance(agent, IceAgent):
        known = [[one.credentials for one in (stream.checker, *stream.previous)] for stream in agent._streams]
    else:
        known = [[one.credentials for one in stream.generations] for stream in agent._session.streams]
    return tuple([tuple(dict.fromkeys([one.ufrag.encode() for one in of_stream])) for of_stream in known])


def remote_ufrag_of(agent: AnyAgent, stream: int) -> bytes | None:
    """The peer's of the present generation, once it is known; also of an agent that is closed."""
    remote = (
        agent._streams[stream].checker.remote if isinstance(agent, IceAgent) else agent._session.streams[stream].current.remote
    )
    return None if remote is None else remote.ufrag.encode()


def is_trusted(agent: AnyAgent, socket: SocketId, source: Address) -> bool:
    """Whether a full agent takes data from there, because a check of its own was answered from there."""
    component = agent._sockets.get(socket) if isinstance(agent, IceAgent) else None
    return component is not None and component.is_trusted(source)


def has_heard(agent: AnyAgent, stream: int, transaction_id: bytes) -> bool:
    """Whether a lite agent has had that check before: it is retransmitted, or replayed by somebody who has seen it.

    A full agent remembers none, for it believes its own checks only.
    """
    if isinstance(agent, IceAgent):
        return False
    return any(TransactionId(transaction_id) in one.heard for one in agent._session.streams[stream].generations)


def holds(agent: AnyAgent, socket: SocketId, stream: int, source: Address, now: float) -> bool:
    """Whether the peer is at ``source`` by what it has shown of late: it is sent to there, and is not disconnected.

    A lite agent's peer is where its last check came from, too: it has moved, and is still to nominate. As long as there is no
    pair it is wherever its checks have come from. What a lite peer has said shows nothing, and neither does the silence of a
    peer that is never asked for consent.
    """
    if isinstance(agent, IceAgent):
        place = agent._sockets.get(socket)
        is_sent_there = place is not None and place.is_alive and place.path == (socket, source)
        return is_sent_there and agent._session.config.consent
    config, one = agent._session.config, agent._session.streams[stream]
    since = now - min(quiet_after(config), config.consent_timeout)
    if one.state is IceState.FAILED:
        return False
    for generation in one.generations:
        component, remote = generation.components[0], generation.remote  # one component a stream, see `IceMux.add`
        if remote is None or remote.lite:
            continue
        pair, sources = component.pair, component.sources
        if pair is not None and pair.is_on(socket, source) and pair.heard_at > since:
            return True
        if generation.heard_at > since and (source in sources if pair is None else source == next(reversed(sources), None)):
            return True
    return False


def carried_of(agent: AnyAgent, socket: SocketId, source: Address) -> Carried | None:
    """Where an agent counts data that comes from the peer's end of the pair in use; ``None`` if ``source`` is not that."""
    if agent.state in (IceState.CLOSED, IceState.FAILED):
        return None
    if isinstance(agent, IceAgent):
        component = agent._sockets.get(socket)
        return component.carried if component is not None and component.source_on(socket) == source else None
    host = agent._session.hosts.open.get(socket)
    stream = None if host is None else agent._session.streams[host.stream]
    pair = None if stream is None or stream.carrier is None else stream.carrier.components[0].pair
    if stream is None or pair is None or not pair.is_on(socket, source) or not stream.is_trusted(1, source):
        return None
    stream.ledgers[0].use(pair.tally)
    return stream.ledgers[0].total
