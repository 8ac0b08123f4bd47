"""The agents of a scene: their sockets, their candidates, and to whom they send (RFC 8445 5.1, 6.1.2, 7.3.1)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from sansice.ice import CandidateType, IceServer, usable_addresses
from sansice.simulation._scene._parts import AgentSpec, StunServerSpec
from sansice.simulation._scene._relays import TurnServerSpec
from sansice.simulation._scene._scene import Scene
from sansice.simulation._world._packets import Fate
from sansice.stun import ServerUri

from ._geography import Geography
from ._values import Arrival, Chances, Endpoint, Socket
from ._walk import Walk

# RFC 8445 5.1.2.2
_TYPE_PREFERENCE = {CandidateType.HOST: 126, CandidateType.PEER_REFLEXIVE: 110, CandidateType.SERVER_REFLEXIVE: 100}
_HIGHEST_LOCAL_PREFERENCE = 65535  # RFC 8445 5.1.2.1
_STUN_PORT = 3478  # RFC 8489 8.1
REFUSED = Fate.CLOSED_PORT  # "port unreachable"
PACE = 0.05  # s from one question to the next: Ta, RFC 8445 14.2
GATHERING_TIMEOUT = 3.0  # s that a silent server is waited for

# Two NATs that map by destination and let anyone in show an agent new addresses for ever: a chase. None of them works, for an
# answer leaves from yet another one. Agents take note of fewer; what works is among the first here, and the rest no news.
MAX_PEER_REFLEXIVE = 48


def priority(type: CandidateType, local_preference: int) -> int:
    """Of a candidate of component 1 (RFC 8445 5.1.2.1)."""
    return 2**24 * _TYPE_PREFERENCE[type] + 2**8 * local_preference + 255


class Side:
    """What one agent has and knows.

    Attributes:
        spec: of the agent.
        gathered_at: about when all its servers have answered, or are given up, seconds.
        sockets: one an address, in the order of preference.
        reflexive: what servers said about each socket, with the priority of each such candidate.
        targets: where each socket sends checks: what the peer told, and where checks came from.
        known: the remote candidates by address, each with its type and priority.
        room: how many peer-reflexive ones may still be added.
    """

    __slots__ = ("gathered_at", "known", "reflexive", "room", "sockets", "spec", "targets")

    def __init__(self, spec: AgentSpec, geography: Geography, chances: Chances) -> None:
        self.spec = spec
        self.gathered_at = spec.start
        places = geography.addresses[spec.host]
        port = f"port of {spec.name}"
        self.sockets = [
            Socket(spec.host, places[address], Endpoint(address, (f"{port} at {address}", 0)))
            for address in usable_addresses(places)
        ]
        self.reflexive: dict[Socket, dict[Endpoint, int]] = {socket: {} for socket in self.sockets}
        self.targets: dict[Socket, dict[Endpoint, None]] = {socket: {} for socket in self.sockets}
        self.known: dict[Endpoint, tuple[CandidateType, int]] = {}
        self.room = 0 if chances.crowded else MAX_PEER_REFLEXIVE

    def preference(self, socket: Socket) -> int:
        """The local preference of a socket's host candidate: the first address is liked best."""
        return _HIGHEST_LOCAL_PREFERENCE - self.sockets.index(socket)

    def candidates(self) -> Iterator[tuple[Endpoint, CandidateType, int]]:
        """What the agent tells its peer."""
        for socket in self.sockets:
            yield socket.local, CandidateType.HOST, priority(CandidateType.HOST, self.preference(socket))
        for reflexive in self.reflexive.values():
            for endpoint, its_priority in reflexive.items():
                yield endpoint, CandidateType.SERVER_REFLEXIVE, its_priority

    def type_of(self, socket: Socket, mapped: Endpoint) -> CandidateType:
        """Which of its candidates an agent finds that a check from ``socket`` came from (RFC 8445 7.2.5.3.1)."""
        if mapped == socket.local:
            return CandidateType.HOST
        return CandidateType.SERVER_REFLEXIVE if mapped in self.reflexive[socket] else CandidateType.PEER_REFLEXIVE

    def be_told(self, peer: Side) -> None:
        """Pair the peer's candidates with all sockets."""
        for endpoint, type, its_priority in peer.candidates():
            if self.known.setdefault(endpoint, (type, its_priority))[1] < its_priority:
                self.known[endpoint] = (type, its_priority)
            for socket in self.sockets:
                if can_pair(socket.local, endpoint):
                    self.targets[socket][endpoint] = None

    def learn(self, socket: Socket, source: Endpoint, peer_preference: int) -> bool:
        """A check of the peer's came from ``source``: whether a new check is due, which answers it."""
        if not can_pair(socket.local, source):
            return False
        if source not in self.known:
            if not self.room:
                return False
            self.room -= 1
            type = CandidateType.PEER_REFLEXIVE
            self.known[source] = (type, priority(type, peer_preference))  # RFC 8445 7.1.1
        if source in self.targets[socket]:
            return False
        self.targets[socket][source] = None
        return True


def can_pair(base: Endpoint, remote: Endpoint) -> bool:
    """One family, and link-local IPv6 with its like only (RFC 8445 6.1.2.2)."""
    return base.is_ipv6 == remote.is_ipv6 and (not base.is_ipv6 or _is_link_local(base) == _is_link_local(remote))


def _is_link_local(endpoint: Endpoint) -> bool:
    return ipaddress.ip_address(endpoint.host).is_link_local


def gather(side: Side, scene: Scene, walk: Walk) -> None:
    """Ask the STUN servers through each socket (RFC 8445 5.1.1.2)."""
    urls = [url for server in side.spec.ice_servers for url in IceServer(server).urls]
    asked, silent = 0, False
    for index, socket in enumerate(side.sockets):
        for number, url in enumerate(urls):
            answers = [_ask(scene, walk, socket, server) for server in _servers(scene, url, socket.local.is_ipv6)]
            asked += bool(answers)
            # The next address of a server is tried when one refuses, not when one is silent: that takes too long.
            answer = next((answer for answer in answers if answer is not REFUSED), REFUSED)
            silent = silent or answer is None
            if isinstance(answer, Endpoint) and answer.is_ipv6 == socket.local.is_ipv6 and answer != socket.local:
                preference = _HIGHEST_LOCAL_PREFERENCE - index * len(urls) - number
                side.reflexive[socket].setdefault(answer, priority(CandidateType.SERVER_REFLEXIVE, preference))
    if asked:
        side.gathered_at += GATHERING_TIMEOUT if silent else PACE * (asked - 1) + 2 * scene.internet.latency


def _ask(scene: Scene, walk: Walk, socket: Socket, server: Endpoint) -> Endpoint | Fate | None:
    """What a server says it sees, `REFUSED`, or nothing."""
    out = walk.send(socket, server)
    if not isinstance(out, Arrival):
        return None
    servers: tuple[StunServerSpec | TurnServerSpec, ...] = (*scene.servers, *scene.turn_servers)
    listening = {(spec.name, Endpoint(address, spec.port)): spec.behind for spec in servers for address in spec.addresses}
    place = listening.get((out.host, out.local))
    if place is None:
        return REFUSED
    back = walk.send(Socket(out.host, place, out.local), out.source)
    return out.source if back == Arrival(socket.host, socket.local, server) else None


def _servers(scene: Scene, url: str, is_ipv6: bool) -> list[Endpoint]:
    """The addresses of a server in one family, in the order in which they are tried (RFC 8489 8.1)."""
    uri = ServerUri.parse(url)
    zone = {spec.name.rstrip(".").lower(): spec.addresses for spec in scene.names}
    hosts = zone.get(uri.host.rstrip(".").lower(), (uri.host,))
    return [Endpoint(host, uri.port or _STUN_PORT) for host in hosts if (":" in host) == is_ipv6]
