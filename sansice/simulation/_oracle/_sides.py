"""The agents of a scene: their sockets, their candidates, and to whom they send (RFC 8445 5.1, 6.1.2, 7.3.1)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import NamedTuple

from sansice.ice import CandidatePolicy, CandidateType, IceServer, usable_addresses
from sansice.machine import Transport
from sansice.simulation._scene._check import is_private
from sansice.simulation._scene._parts import AgentSpec, ProxySpec, StunServerSpec
from sansice.simulation._scene._relays import TURN_PORT, TURNS_PORT, TurnServerSpec, first_of_family
from sansice.simulation._scene._scene import Scene
from sansice.simulation._world._packets import Fate
from sansice.stun import ServerUri

from ._geography import Geography
from ._values import Arrival, Chances, Endpoint, Socket
from ._walk import Walk

# RFC 8445 5.1.2.2
_TYPE_PREFERENCE = {
    CandidateType.HOST: 126,
    CandidateType.PEER_REFLEXIVE: 110,
    CandidateType.SERVER_REFLEXIVE: 100,
    CandidateType.RELAYED: 0,
}
_HIGHEST_LOCAL_PREFERENCE = 65535  # RFC 8445 5.1.2.1
REFUSED = Fate.CLOSED_PORT  # "port unreachable"
PACE = 0.05  # s from one question to the next: Ta, RFC 8445 14.2
GATHERING_TIMEOUT = 3.0  # s that a silent server is waited for
_FALLBACK_DELAY = 0.7  # s after which the last way to a TURN server is tried, though a better one is but silent

# Two NATs that map by destination and let anyone in show an agent new addresses for ever: a chase. None of them works, for an
# answer leaves from yet another one. Agents take note of fewer; what works is among the first here, and the rest no news.
MAX_PEER_REFLEXIVE = 48

# How an agent likes relays by the protocol to their servers: a fourth of all local preferences for each.
_RANKS = {Transport.UDP: 0, Transport.DTLS: 1, Transport.TCP: 2, Transport.TLS: 3}
_RANK_WIDTH = 2**16 // len(_RANKS)
# Round trips until a server has answered: one for a mapped address; a challenge, a connection and its hellos for a relay.
_ROUND_TRIPS = {Transport.UDP: 2, Transport.DTLS: 4, Transport.TCP: 3, Transport.TLS: 4}


def priority(type: CandidateType, local_preference: int) -> int:
    """Of a candidate of component 1 (RFC 8445 5.1.2.1)."""
    return 2**24 * _TYPE_PREFERENCE[type] + 2**8 * local_preference + 255


class Base(NamedTuple):
    """What checks are sent from.

    Attributes:
        type: of its candidate.
        preference: its local preference.
        priority: by which its pairs are ordered.
    """

    type: CandidateType
    preference: int
    priority: int


class Side:
    """What one agent has and knows.

    Attributes:
        spec: of the agent.
        gathered_at: about when all its servers have answered, or are given up, seconds.
        sockets: one an address, in the order of preference.
        bases: of these and of relayed addresses, those that checks are sent from.
        reflexive: what servers said about each socket, with the priority of each such candidate.
        targets: where each base sends checks: what the peer told, and where checks came from.
        known: the remote candidates by address, each with its type and priority.
        room: how many peer-reflexive ones may still be added.
    """

    __slots__ = ("_count", "bases", "gathered_at", "known", "reflexive", "room", "sockets", "spec", "targets")

    def __init__(self, spec: AgentSpec, geography: Geography, chances: Chances) -> None:
        self.spec = spec
        self.gathered_at = spec.start
        places = geography.addresses[spec.host]
        port = f"port of {spec.name}"
        self.sockets = [
            Socket(spec.host, places[address], Endpoint(address, (f"{port} at {address}", 0)))
            for address in by_preference(usable_addresses(places))
        ]
        self.bases: dict[Socket, Base] = {}
        self._count = len(_ways(spec))
        self.reflexive: dict[Socket, dict[Endpoint, int]] = {socket: {} for socket in self.sockets}
        self.targets: dict[Socket, dict[Endpoint, None]] = {}
        self.known: dict[Endpoint, tuple[CandidateType, int]] = {}
        self.room = 0 if chances.crowded else MAX_PEER_REFLEXIVE
        if spec.policy is CandidatePolicy.ALL:
            for index, socket in enumerate(self.sockets):
                preference = _HIGHEST_LOCAL_PREFERENCE - index
                self._add_base(socket, CandidateType.HOST, preference, priority(CandidateType.HOST, preference))

    def _add_base(self, socket: Socket, type: CandidateType, preference: int, its_priority: int) -> None:
        self.bases[socket] = Base(type, preference, its_priority)
        self.targets[socket] = {}

    def add_reflexive(self, index: int, number: int, mapped: Endpoint) -> None:
        """A server told how it sees a socket."""
        socket, policy = self.sockets[index], self.spec.policy
        is_own = mapped == socket.local
        if mapped.is_ipv6 != socket.local.is_ipv6 or policy is CandidatePolicy.RELAY:
            return
        if is_own and (policy is CandidatePolicy.ALL or is_private(mapped.host)):
            return
        preference = _HIGHEST_LOCAL_PREFERENCE - index * self._count - number
        its_priority = priority(CandidateType.SERVER_REFLEXIVE, preference)
        self.reflexive[socket].setdefault(mapped, its_priority)
        if socket not in self.bases:  # its own address is not told, and is what is sent from all the same
            self._add_base(socket, CandidateType.HOST, _HIGHEST_LOCAL_PREFERENCE - index, its_priority)

    def add_relayed(self, index: int, number: int, transport: Transport, server: TurnServerSpec) -> None:
        """A server relays: at one address of each family that it has."""
        for is_ipv6 in (False, True):
            address = first_of_family(server.addresses, ipv6=is_ipv6)
            if address is None:
                continue
            port = (f"relay of {self.spec.name} at {self.sockets[index].local.host} by {number}", int(is_ipv6))
            preference = _HIGHEST_LOCAL_PREFERENCE - _RANKS[transport] * _RANK_WIDTH - 2 * (index * self._count + number)
            preference -= not is_ipv6
            its_priority = priority(CandidateType.RELAYED, preference)
            self._add_base(
                Socket(server.name, server.behind, Endpoint(address, port)), CandidateType.RELAYED, preference, its_priority
            )

    def candidates(self) -> Iterator[tuple[Endpoint, CandidateType, int]]:
        """What the agent tells its peer."""
        for socket, base in self.bases.items():
            if base.type is CandidateType.RELAYED or self.spec.policy is CandidatePolicy.ALL:
                yield socket.local, base.type, base.priority
        for reflexive in self.reflexive.values():
            for endpoint, its_priority in reflexive.items():
                yield endpoint, CandidateType.SERVER_REFLEXIVE, its_priority

    def type_of(self, socket: Socket, mapped: Endpoint) -> CandidateType:
        """Which of its candidates an agent finds that a check from ``socket`` came from (RFC 8445 7.2.5.3.1)."""
        if mapped == socket.local:
            return self.bases[socket].type
        known = self.reflexive.get(socket, {})
        return CandidateType.SERVER_REFLEXIVE if mapped in known else CandidateType.PEER_REFLEXIVE

    def is_open(self, socket: Socket, source: Endpoint) -> bool:
        """Whether what comes from ``source`` gets through: a relay lets in the hosts of all known candidates (RFC 8656 9)."""
        if self.bases[socket].type is not CandidateType.RELAYED:
            return True
        return any(remote.host == source.host for remote in self.known)

    def be_told(self, peer: Side) -> None:
        """Pair the peer's candidates with all sockets."""
        for endpoint, type, its_priority in peer.candidates():
            if self.known.setdefault(endpoint, (type, its_priority))[1] < its_priority:
                self.known[endpoint] = (type, its_priority)
            for socket in self.bases:
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


def by_preference(addresses: list[str]) -> list[str]:
    """The families take turns, IPv6 first, and all the longer the more of it there is (RFC 8421 4)."""
    families = {is_ipv6: [address for address in addresses if (":" in address) is is_ipv6] for is_ipv6 in (True, False)}
    if not families[False]:
        return addresses
    run = len(addresses) // len(families[False])
    mixed: list[str] = []
    while families[True] or families[False]:
        mixed += families[True][:run] + families[False][:1]
        families = {True: families[True][run:], False: families[False][1:]}
    return mixed


def can_pair(base: Endpoint, remote: Endpoint) -> bool:
    """One family, and link-local IPv6 with its like only (RFC 8445 6.1.2.2)."""
    return base.is_ipv6 == remote.is_ipv6 and (not base.is_ipv6 or _is_link_local(base) == _is_link_local(remote))


def _is_link_local(endpoint: Endpoint) -> bool:
    return ipaddress.ip_address(endpoint.host).is_link_local


def gather(side: Side, scene: Scene, walk: Walk) -> None:
    """Ask the servers through each socket (RFC 8445 5.1.1.2)."""
    asked, longest, round_trip = 0, 0.0, 2 * scene.internet.latency
    for index, socket in enumerate(side.sockets):
        allocating: list[Endpoint] = []
        for server in servers_of(side.spec, scene):
            waited = 0.0
            for way in server:
                addresses = _addresses(scene, way, socket)
                if way.uri.is_turn and way.transport is Transport.UDP:  # from one socket a server gives one allocation
                    addresses = [address for address in addresses if address not in allocating]  # (RFC 8656 2.2)
                    allocating += addresses[:1]
                answers = [_ask(scene, walk, socket, address, way) for address in addresses]
                asked += bool(answers)
                # The next address of a server is tried when one refuses, not when one is silent: that takes too long.
                answer = next((answer for answer in answers if answer is not REFUSED), REFUSED)
                if isinstance(answer, Endpoint):
                    if way.transport is Transport.UDP:
                        side.add_reflexive(index, way.number, answer)
                    if way.relay is not None:
                        side.add_relayed(index, way.number, way.transport, way.relay)
                    waited = min(waited, _FALLBACK_DELAY) + round_trip * way.round_trips
                    break  # one allocation of a server is enough
                if answers:
                    waited = GATHERING_TIMEOUT if answer is None else max(waited, round_trip)
            longest = max(longest, waited)
    if asked:
        side.gathered_at += longest if longest == GATHERING_TIMEOUT else PACE * (asked - 1) + longest


class Way(NamedTuple):
    """How a server may be asked.

    Attributes:
        number: its place among the ways of all servers.
        uri: as the agent was given it.
        transport: to the server.
        relay: the TURN server that is meant.
        proxy: what lets streams through to it.
    """

    number: int
    uri: ServerUri
    transport: Transport
    relay: TurnServerSpec | None
    proxy: ProxySpec | None

    @property
    def round_trips(self) -> int:
        """Until the server has answered."""
        return 1 if self.relay is None else _ROUND_TRIPS[self.transport] + 2 * (self.proxy is not None)


def servers_of(spec: AgentSpec, scene: Scene) -> list[list[Way]]:
    """Whom an agent asks: URLs of one TURN server with the same credentials are ways to one allocation, the best one first."""
    proxy = next((proxy for proxy in scene.proxies if proxy.name == spec.proxy), None)
    servers: dict[object, list[Way]] = {}
    for number, (uri, transport) in enumerate(_ways(spec)):
        relay = scene.turn_server_of(str(uri))
        if uri.is_turn and relay is None:
            continue
        if not uri.is_turn and spec.policy is CandidatePolicy.RELAY:
            continue
        server = uri if relay is None else (uri.host, relay.username, relay.password)
        way = Way(number, uri, transport, relay, proxy if transport.is_stream else None)
        servers.setdefault(server, []).append(way)
    return [sorted(ways, key=lambda way: _RANKS[way.transport]) for ways in servers.values()]


def _ways(spec: AgentSpec) -> list[tuple[ServerUri, Transport]]:
    """Each server once by each transport that is tried; who was told of a proxy tries streams where a URL leaves that open."""
    ways: dict[tuple[ServerUri, Transport], None] = {}
    for url in dict.fromkeys(url for server in spec.ice_servers for url in IceServer(server).urls):
        uri = ServerUri.parse(url)
        ways[uri, transport_of(uri)] = None
        if spec.proxy and uri.is_turn and uri.transport is None:
            ways[uri, Transport.TLS if uri.is_secure else Transport.TCP] = None
    return list(ways)


def transport_of(uri: ServerUri) -> Transport:
    """How a server of this URI is reached."""
    if uri.scheme == "turns":
        return Transport.DTLS if uri.transport == "udp" else Transport.TLS
    return Transport.TCP if uri.transport == "tcp" else Transport.UDP


def _ask(scene: Scene, walk: Walk, socket: Socket, server: Endpoint, way: Way) -> Endpoint | Fate | None:
    """What a server says it sees, `REFUSED`, or nothing."""
    if way.proxy is not None:
        return server if _reaches_by_proxy(walk, socket, server, way.proxy) else None
    if way.transport.is_stream:
        return server if walk.reaches_by_stream(socket, server) else None
    if way.transport is Transport.DTLS:  # through a socket of its own
        socket = socket._replace(local=Endpoint(socket.local.host, (f"{socket.local.port} to {server.host}", 0)))
    out = walk.send(socket, server)
    if not isinstance(out, Arrival):
        return None
    servers: tuple[StunServerSpec | TurnServerSpec, ...] = (*scene.servers, *scene.turn_servers)
    listening = {
        (spec.name, Endpoint(address, port)): spec.behind
        for spec in servers
        for address in spec.addresses
        for port in (spec.port, *((spec.tls_port,) if isinstance(spec, TurnServerSpec) else ()))
    }
    place = listening.get((out.host, out.local))
    if place is None:
        return REFUSED
    back = walk.send(Socket(out.host, place, out.local), out.source)
    return out.source if back == Arrival(socket.host, socket.local, server) else None


def _reaches_by_proxy(walk: Walk, socket: Socket, server: Endpoint, proxy: ProxySpec) -> bool:
    """Whether a proxy lets a host through to a server: by two connections, the second one to a port that it connects to."""
    if server.port not in proxy.ports or not walk.reaches_by_stream(socket, Endpoint(proxy.addresses[0], proxy.port)):
        return False
    own = (Endpoint(address, (f"port of {proxy.name}", 0)) for address in proxy.addresses)
    return any(
        walk.reaches_by_stream(Socket(proxy.name, proxy.behind, one), server) for one in own if one.is_ipv6 == server.is_ipv6
    )


def _addresses(scene: Scene, way: Way, socket: Socket) -> list[Endpoint]:
    """The addresses at which a socket asks a server, in the order in which they are tried (RFC 8489 8.1).

    Through a proxy, which looks a name up, whoever reaches the proxy's first address has those of both families, IPv4 first, of
    which it tries one.
    """
    zone = {spec.name.rstrip(".").lower(): spec.addresses for spec in scene.names}
    hosts = zone.get(way.uri.host.rstrip(".").lower(), (way.uri.host,))
    port = way.uri.port or (TURNS_PORT if way.uri.is_secure else TURN_PORT)
    if way.proxy is None:
        return [Endpoint(host, port) for host in hosts if (":" in host) == socket.local.is_ipv6]
    if (":" in way.proxy.addresses[0]) != socket.local.is_ipv6:
        return []
    return [Endpoint(host, port) for host in sorted(hosts, key=lambda host: ":" in host)[:1]]
