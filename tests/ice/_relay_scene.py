"""Two agents and a relay of ours, in the simulation."""

from sansice.ice import CandidateGathered, CandidateType, GatheringState, IceAgent, IceServer, IceState
from sansice.machine import Address, Transport
from sansice.simulation import Network
from sansice.stun import Listener, ServerAuthentication, StaticUsers
from sansice.turn import PeerPolicy, TurnLimits, TurnServer, TurnServerConfig

REALM, USER, PASSWORD, DOMAIN = "example.org", "user", "secret", "turn.example.org"
SERVER, SERVER6 = "198.51.100.53", "2001:db8:53::53"
PEERS = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
UDP, TCP, TLS, DTLS = Transport
PORTS = {UDP: 3478, TCP: 3478, TLS: 5349, DTLS: 5349}


def url(transport=UDP, host=SERVER):
    scheme = "turns" if transport.is_secure else "turn"
    return f"{scheme}:{host}:{PORTS[transport]}?transport={'tcp' if transport.is_stream else 'udp'}"


def relay(*transports, host=SERVER, password=PASSWORD):
    """An `IceServer` for one transport or several."""
    return IceServer([url(transport, host) for transport in transports or (UDP,)], USER, password, DOMAIN)


class World:
    """A server, and two agents each behind a NAT of its own that lets nothing unasked in and maps for each destination anew."""

    def __init__(self, *, seed=1, nat="symmetric", peers=PEERS, limits=None, turn=None, latency=0.02, **network):
        self.net = Network(seed=seed, latency=latency, **network)
        self.host = self.net.host("server", SERVER, SERVER6)
        self.host.certificate = (DOMAIN,)
        authentication = ServerAuthentication(
            realm=REALM, lookup_key=StaticUsers({USER: PASSWORD}, REALM), entropy=self.host.entropy
        )
        self.server = TurnServer(
            authentication=authentication,
            config=turn or TurnServerConfig(),
            limits=limits or TurnLimits(),
            peer_policy=PeerPolicy(allow=peers),
            entropy=self.host.entropy,
        )
        self.server_node = self.host.run(self.server)
        places = [
            Listener(transport, Address(address, port)) for transport, port in PORTS.items() for address in (SERVER, SERVER6)
        ]
        self.server_node.call(self.server.start, places)
        self.nat_a, self.nat_b = (self.net.nat(address, preset=nat) for address in ("203.0.113.1", "203.0.113.2"))
        self.agents, self.nodes, self.hosts = [], [], []

    def add(self, *addresses, behind="auto", controlling=None, include_loopback=None, **options):
        """One more agent, gathering."""
        number = len(self.agents)
        name = "ab"[number]
        nat = (self.nat_a, self.nat_b)[number] if behind == "auto" else behind
        host = self.net.host(name, *(addresses or (f"10.0.{number}.2",)), behind=nat)
        controlling = not number if controlling is None else controlling
        agent = IceAgent(controlling=controlling, entropy=host.entropy, **options)
        node = host.run(agent)
        node.call(agent.gather, host.addresses, include_loopback=include_loopback)
        self.agents.append(agent)
        self.nodes.append(node)
        self.hosts.append(host)
        return agent, node

    def run(self, seconds=None, *, until=None):
        return self.net.run(until=self.net.now + seconds if seconds is not None else until)

    def gather(self, within=20.0):
        """Let all of them gather to the end."""
        done = lambda: all(agent.gathering_state is GatheringState.COMPLETE for agent in self.agents)  # noqa: E731
        return self.net.run(until=self.net.now + within, when=done)

    def exchange(self):
        a, b = self.agents
        self.nodes[0].call(a.set_remote, b.local_description)
        self.nodes[1].call(b.set_remote, a.local_description)

    def connect(self, within=60.0):
        """Gather, tell each other, and let time pass until both have selected."""
        self.gather()
        self.exchange()
        done = lambda: all(agent.state is IceState.COMPLETED for agent in self.agents)  # noqa: E731
        self.net.run(until=self.net.now + within, when=done)
        return done()

    def echo(self, size=100):
        """Whether data goes both ways, once."""
        self.run(0.5)
        for number, (agent, node) in enumerate(zip(self.agents, self.nodes, strict=True)):
            node.call(agent.send, bytes([0x80 + number]) * size)
        self.run(1.0)
        heard = [[event.data for _, event in node.events if hasattr(event, "data")][-1:] for node in self.nodes]
        return heard == [[b"\x81" * size], [b"\x80" * size]]


def kinds(agent):
    return [one.type.value for one in agent.local_candidates]


def relayed(agent):
    return [one for one in agent.local_candidates if one.type is CandidateType.RELAYED]


def told(node, kind):
    return [event for _, event in node.events if isinstance(event, kind)]


def told_candidates(node):
    return [event.candidate for event in told(node, CandidateGathered)]
