"""At work: firewalls, proxies and servers in a data centre."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sansice.machine import Address
from sansice.simulation._nat._firewall_kind import Direction, FirewallKind, Rule, Verdict
from sansice.simulation._nat._forwards import Forward
from sansice.simulation._scene._parts import AgentSpec, Expectation, FirewallSpec, HostSpec, NameSpec, NatSpec, ProxySpec
from sansice.simulation._scene._relays import TurnServerSpec
from sansice.simulation._scene._scene import Scene

from ._cast import ASK_STUN, STUN, couple

_RELAY = "a relay over TCP or TLS at port 443 will connect it"

_TURN = TurnServerSpec("turn", "192.0.2.10", tls_port=443)
# As providers of relays hand them out: one server, for every kind of network.
_ALL_URLS = ("turn:192.0.2.10?transport=udp", "turn:192.0.2.10?transport=tcp", "turns:192.0.2.10:443?transport=tcp")

_ONLY_PROXY = FirewallKind(
    rules=(Rule(Verdict.ALLOW, "tcp", direction=Direction.OUT, inside="10.1.0.10/32"),), outbound=Verdict.DROP
)


def offices() -> Iterator[Scene]:
    """The scenes of this module."""
    yield _office(
        name="office-udp-blocked",
        about="A company that lets out any connection over TCP and no UDP at all. STUN gets no answer, no check passes, and "
        "nobody is told why: packets simply vanish.",
        firewall=FirewallSpec("firewall", "udp-blocked", behind="office"),
        expect=Expectation(connected=False, later=_RELAY),
    )
    yield _office(
        name="office-web-only",
        about="A company that lets out names, and connections to ports 80 and 443. The office next door can make any "
        "connection over TCP, and this one cannot: where a relay listens decides.",
        firewall=FirewallSpec("firewall", "web-only", behind="office"),
        expect=Expectation(connected=False, later=_RELAY),
    )
    yield _office(
        name="office-proxy",
        about="A bank where nothing leaves but through the proxy, which connects to port 443 of whatever host a browser "
        "names. To a program that does not know of the proxy there is no Internet.",
        firewall=FirewallSpec("firewall", kind=_ONLY_PROXY, behind="office"),
        proxies=(ProxySpec("proxy", "10.1.0.10", ports=(443,), behind="firewall"),),
        expect=Expectation(connected=False, later="a relay over TLS through the proxy will connect it"),
    )
    yield _relayed_office(
        name="office-udp-blocked-relay",
        about="The company that lets out no UDP, and an agent that knows all URLs of one relay. UDP is asked first; a little "
        "later, without having heard anything, TCP, which gets through.",
        firewall=FirewallSpec("firewall", "udp-blocked", behind="office"),
    )
    yield _relayed_office(
        name="office-web-only-relay",
        about="The company that lets out the web and nothing else. Of all URLs of the relay TLS at port 443 is the last resort, "
        "and asked less than a second after the first, so that nobody notices that it was one.",
        firewall=FirewallSpec("firewall", "web-only", behind="office"),
    )
    yield _relayed_office(
        name="office-proxy-relay",
        about="The bank again, and an agent that was told of the proxy and how to log in. The relay's name is the proxy's to "
        "look up; TLS is spoken with the relay, inside, and the proxy sees nothing but a connection to port 443.",
        firewall=FirewallSpec("firewall", kind=_ONLY_PROXY, behind="office"),
        proxies=(ProxySpec("proxy", "10.1.0.10", ports=(443,), username="alice", password="horse", behind="firewall"),),
        names=(NameSpec("turn.example.org", "192.0.2.10"),),
        urls=(_ALL_URLS[0], "turns:turn.example.org:443?transport=tcp"),
        proxy="proxy",
    )
    yield Scene(
        name="office-udp-blocked-tcp",
        about="The same company, and at the other end a media server that also takes TCP connections: ICE goes over one of those "
        "(RFC 6544), without any relay. UDP would have come first, and is tried all the same.",
        nats=(NatSpec("office", "203.0.113.1"),),
        firewalls=(FirewallSpec("firewall", "udp-blocked", behind="office"),),
        hosts=(HostSpec("alice", "10.1.0.20", behind="firewall"), HostSpec("server", "203.0.113.80")),
        agents=(AgentSpec("alice", controlling=True, tcp=("active",)), AgentSpec("server", tcp=("passive",))),
        expect=Expectation(pair_types="prflx-host"),
    )
    yield Scene(
        name="server-one-to-one",
        about="A server in a cloud that has a private address of its own and a public one of the provider's, translated one "
        "to one and open to everybody. It learns the public one from STUN, as a caller at home does.",
        nats=(
            NatSpec(
                "cloud", "203.0.113.80", "one-to-one", forwards=(Forward(Address("203.0.113.80", 0), Address("172.31.0.5", 0)),)
            ),
            NatSpec("home", "198.51.100.1"),
        ),
        hosts=(HostSpec("server", "172.31.0.5", behind="cloud"), HostSpec("alice", "192.168.1.2", behind="home")),
        servers=(STUN,),
        agents=couple("alice", "server"),
        expect=Expectation(pair_types="srflx-srflx"),
    )
    yield Scene(
        name="server-public",
        about="A media server with a public address and nothing in front of it, and a caller behind a symmetric NAT. It needs "
        "no STUN server: the first check that arrives tells it where the caller is.",
        nats=(NatSpec("office", "198.51.100.1", "symmetric"),),
        hosts=(HostSpec("server", "203.0.113.80"), HostSpec("alice", "192.168.1.2", behind="office")),
        servers=(STUN,),
        agents=(AgentSpec("alice", controlling=True, ice_servers=ASK_STUN), AgentSpec("server")),
        expect=Expectation(pair_types="prflx-host"),
    )
    yield Scene(
        name="server-lite",
        about="The same server with a lite agent, as most media servers have one: it only answers, and the caller's agent "
        "does all the work, from behind the same symmetric NAT.",
        nats=(NatSpec("office", "198.51.100.1", "symmetric"),),
        hosts=(HostSpec("server", "203.0.113.80"), HostSpec("alice", "192.168.1.2", behind="office")),
        servers=(STUN,),
        agents=(AgentSpec("alice", controlling=True, ice_servers=ASK_STUN), AgentSpec("server", lite=True)),
        expect=Expectation(pair_types="prflx-host"),
    )
    yield Scene(
        name="gateways-lite",
        about="Two gateways of telephone companies, each with public addresses of both families and a lite agent. Nobody checks "
        "anything: both choose the pair by rule, and the one that calls tells what it chose.",
        hosts=(HostSpec("east", ("203.0.113.80", "2001:db8:e::80")), HostSpec("west", ("198.51.100.80", "2001:db8:f::80"))),
        agents=(AgentSpec("east", lite=True, controlling=True), AgentSpec("west", lite=True)),
        expect=Expectation(pair_types="host-host"),
    )
    yield Scene(
        name="ipv6-firewalls",
        about="Two homes with IPv6 and no translation, each behind a box that lets in nothing but answers (RFC 6092). The "
        "addresses are public, and yet holes must be punched.",
        firewalls=(FirewallSpec("home A"), FirewallSpec("home B")),
        hosts=(
            HostSpec("alice", "2001:db8:a::2", behind="home A"),
            HostSpec("bob", "2001:db8:b::2", behind="home B"),
        ),
        agents=couple(ice_servers=()),
        expect=Expectation(pair_types="host-host"),
    )


def _relayed_office(*, urls: tuple[str, ...] = _ALL_URLS, proxy: str = "", **more: Any) -> Scene:
    """The same call, with a relay, and candidates told as they come: whoever waits for all of them waits for what is blocked."""
    agents = (
        AgentSpec("alice", controlling=True, ice_servers=(ASK_STUN, *urls), trickle=True, proxy=proxy),
        AgentSpec("bob", ice_servers=ASK_STUN, trickle=True),
    )
    return _office(agents=agents, turn_servers=(_TURN,), expect=Expectation(pair_types=("relay-srflx", "relay-prflx")), **more)


def _office(**more: Any) -> Scene:
    """A call from behind an office's firewall and NAT to somebody at home."""
    firewall = more.pop("firewall")
    more.setdefault("agents", couple())
    return Scene(
        nats=(NatSpec("office", "203.0.113.1"), NatSpec("home B", "198.51.100.1", "full-cone")),
        firewalls=(firewall,),
        hosts=(HostSpec("alice", "10.1.0.20", behind="firewall"), HostSpec("bob", "192.168.178.20", behind="home B")),
        servers=(STUN,),
        **more,
    )
