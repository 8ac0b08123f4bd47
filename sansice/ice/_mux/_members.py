"""The agents on a mux, and the sockets that each of them takes for its own."""

from __future__ import annotations

import math
from typing import NamedTuple

from sansice.ice._telling._tally import Carried
from sansice.machine import Address, SocketId
from sansice.stun import Listener

from ._events import AgentId
from ._inside import AnyAgent, carried_of


class SharedSocket:
    """A socket that all agents share; or a listener, whose connections are an agent's each, once it is known whose.

    Attributes:
        id: its name to the driver.
        listener: as given to `IceMux.start`.
        local: what it is bound to, once it is open.
        lanes: the agents' places at it, by their names.
        routes: whose data comes from an address; of UDP only.
        rivals: who else has claimed such an address: one for each at most, and none where nobody has it.
    """

    __slots__ = ("id", "lanes", "listener", "local", "rivals", "routes")

    def __init__(self, socket: SocketId, listener: Listener) -> None:
        self.id = socket
        self.listener = listener
        self.local: Address | None = None
        self.lanes: dict[SocketId, Lane] = {}
        self.routes: dict[Address, Lane] = {}
        self.rivals: dict[Address, Rival] = {}


class Lane:
    """A stream's place at a shared socket: to the agent it is a socket of its own.

    Attributes:
        id: its name to the agent.
        shared: the socket behind it.
        member: whose it is.
        name, agent: the same of that one, for every packet is looked up by them.
        stream: of which stream.
        sources: the peer's addresses that have been proven there, in that order.
        usual: of these, the one that data comes from, with
        carried: where the agent counts it: such data need not be shown to the agent. ``None`` where it has to be.
    """

    __slots__ = ("agent", "carried", "id", "member", "name", "shared", "sources", "stream", "usual")

    def __init__(self, socket: SocketId, shared: SharedSocket, member: Member, stream: int) -> None:
        self.id = socket
        self.shared = shared
        self.member = member
        self.name = member.id
        self.agent = member.agent
        self.stream = stream
        self.usual: Address | None = None
        self.carried: Carried | None = None
        self.sources: tuple[Address, ...] = ()  # most have one, for which a dictionary takes four times the room

    def learn(self, source: Address, limit: int) -> None:
        """The peer has proven that it is at ``source``: what comes from there is this agent's from now on.

        Whose it was before, has it no more: a NAT has given the port to another client.
        """
        routes, rivals = self.shared.routes, self.shared.rivals
        rivals.pop(source, None)
        former = routes.get(source)
        if former is not None:
            former.sources = tuple([one for one in former.sources if one != source])
        routes[source] = self
        self.sources = (*self.sources, source)
        if len(self.sources) > limit:
            path = self.member.agent.path_of(self.stream)
            used = None if path is None else path[1]
            oldest = next(one for one in self.sources if one != used)
            self.sources = tuple([one for one in self.sources if one != oldest])
            del routes[oldest]
            rivals.pop(oldest, None)

    def settle(self, source: Address) -> None:
        """The agent has taken data from ``source``, and takes more of it, until something else happens to the agent."""
        carried = carried_of(self.agent, self.id, source)
        if carried is not None:
            self.usual = next((one for one in self.sources if one == source), None)
            self.carried = carried

    def close(self, limit: int) -> None:
        """Nothing is routed here any more; what another has claimed is his."""
        routes, rivals = self.shared.routes, self.shared.rivals
        if rivals:
            for source in [one for one, rival in rivals.items() if rival.lane is self]:
                del rivals[source]
        sources, self.sources = self.sources, ()
        for source in sources:
            del routes[source]
            heir = rivals.pop(source, None)
            if heir is not None:
                heir.lane.learn(source, limit)
        del self.shared.lanes[self.id]


class Rival(NamedTuple):
    """Somebody whose peer claims to be at an address that is another's.

    Attributes:
        lane: his place.
        was_first: the address was his, and was taken over because he had been silent.
    """

    lane: Lane
    was_first: bool


class Member:
    """An agent on a mux.

    Attributes:
        id: its name to the application.
        agent: itself.
        ufrags: of each stream those that checks for it have.
        is_renewing: it has restarted, and answers for two generations.
        lanes: its places at the shared sockets, in the order of opening.
        due: for when its timer is set.
        is_over: it is closed, and only says farewell to its relays.
    """

    __slots__ = ("agent", "due", "id", "is_over", "is_renewing", "lanes", "ufrags")

    def __init__(self, number: AgentId, agent: AnyAgent, ufrags: tuple[tuple[bytes, ...], ...]) -> None:
        self.id = number
        self.agent = agent
        self.ufrags = ufrags
        self.is_renewing = False
        self.lanes: tuple[Lane, ...] = ()
        self.due = math.inf
        self.is_over = False

    def lane_at(self, shared: SharedSocket, ufrag: bytes) -> Lane | None:
        """Where checks for a ufrag go that come to a shared socket."""
        lanes = self.lanes
        if len(self.ufrags) == len(lanes) == 1:  # most have one stream, at one socket
            return lanes[0] if lanes[0].shared is shared else None
        for lane in lanes:
            if lane.shared is shared and ufrag in self.ufrags[lane.stream]:
                return lane
        return None
