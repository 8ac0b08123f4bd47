"""Through a relay: where nothing else leads from one to the other."""

from __future__ import annotations

from collections.abc import Iterator

from sansice.simulation._scene._changes import At, InterfaceReaddressed, ServerRebooted
from sansice.simulation._scene._parts import Expectation, FirewallSpec, HostSpec, NatSpec
from sansice.simulation._scene._relays import RelayCallSpec, TurnServerSpec
from sansice.simulation._scene._scene import Scene
from sansice.simulation._world._link import Link

TURN = TurnServerSpec("turn", "192.0.2.10")

_HOME = NatSpec("home B", "198.51.100.1")
_BOB = HostSpec("bob", "192.168.178.20", behind="home B")
_OFFICE = HostSpec("alice", "10.1.0.10", behind="firewall")


def relays() -> Iterator[Scene]:
    """The scenes of this module."""
    yield Scene(
        name="relay-symmetric",
        about="Both ends behind NATs that give each destination another port, and let nobody else in: two offices, or two "
        "phones of strict providers. No check passes between them; a permission for the other's address, whatever its "
        "port, does.",
        nats=(NatSpec("office A", "203.0.113.1", "symmetric"), NatSpec("office B", "198.51.100.1", "symmetric")),
        hosts=(HostSpec("alice", "10.1.0.10", behind="office A"), HostSpec("bob", "10.2.0.10", behind="office B")),
        turn_servers=(TURN,),
        calls=(RelayCallSpec("alice", "bob"),),
        expect=Expectation(pair_types="relay-prflx"),
    )
    yield Scene(
        name="relay-udp-blocked",
        about="A company that lets out any connection over TCP and no UDP at all. Its end reaches the relay over TCP, and the "
        "relay sends datagrams to the home at the other end, which notices nothing.",
        nats=(NatSpec("office", "203.0.113.1"), _HOME),
        firewalls=(FirewallSpec("firewall", "udp-blocked", behind="office"),),
        hosts=(_OFFICE, _BOB),
        turn_servers=(TURN,),
        calls=(RelayCallSpec("alice", "bob", transport="tcp"),),
        expect=Expectation(pair_types="relay-srflx"),
    )
    yield Scene(
        name="relay-web-only",
        about="A company that lets out connections to ports 80 and 443 only. A relay that listens at 443 with TLS looks like "
        "any web server to the firewall, and so everybody puts one there.",
        nats=(NatSpec("office", "203.0.113.1"), _HOME),
        firewalls=(FirewallSpec("firewall", "web-only", behind="office"),),
        hosts=(_OFFICE, _BOB),
        turn_servers=(TurnServerSpec("turn", "192.0.2.10", tls_port=443),),
        calls=(RelayCallSpec("alice", "bob", transport="tls"),),
        expect=Expectation(pair_types="relay-srflx"),
    )
    yield Scene(
        name="relay-both-families",
        about="One end has IPv6 only, as many phones do, and the other IPv4 only. A relay with both is reached over one and "
        "relays over the other, so that neither end needs a translator on its way.",
        nats=(_HOME,),
        hosts=(HostSpec("alice", "2001:db8:1::2"), _BOB),
        turn_servers=(TurnServerSpec("turn", ("192.0.2.10", "2001:db8::10")),),
        calls=(RelayCallSpec("alice", "bob", transport="dtls"),),
        expect=Expectation(pair_types="relay-srflx"),
    )
    yield Scene(
        name="relay-restart",
        about="The relay is updated in the middle of a call, and forgets whom it served. A client over UDP is told by the first "
        "request that it refreshes something with, four minutes later at most; it allocates anew and tells its peer.",
        nats=(NatSpec("home A", "203.0.113.1"), _HOME),
        hosts=(HostSpec("alice", "192.168.1.2", behind="home A"), _BOB),
        turn_servers=(TURN,),
        calls=(RelayCallSpec("alice", "bob"),),
        changes=(At(30.0, ServerRebooted("turn", 5.0)),),
        duration=360.0,
        expect=Expectation(pair_types="relay-srflx"),
    )
    yield Scene(
        name="relay-restart-stream",
        about="The same update, and a client whose way to the relay is a stream. Its system tells it at once that the stream is "
        "gone, so that a new relayed address is there a few seconds after the relay is.",
        nats=(NatSpec("home A", "203.0.113.1"), _HOME),
        hosts=(HostSpec("alice", "192.168.1.2", behind="home A"), _BOB),
        turn_servers=(TURN,),
        calls=(RelayCallSpec("alice", "bob", transport="tcp"),),
        changes=(At(30.0, ServerRebooted("turn", 5.0)),),
        expect=Expectation(pair_types="relay-srflx"),
    )
    yield Scene(
        name="relay-mobile",
        about="A phone leaves the house and has another address from one second to the next. With a ticket (RFC 8016) it keeps "
        "its relayed address, and the one it talks with does not even notice.",
        internet=Link(latency=0.04),
        nats=(_HOME,),
        hosts=(HostSpec("alice", "203.0.113.20"), _BOB),
        turn_servers=(TurnServerSpec("turn", "192.0.2.10", mobility=True),),
        calls=(RelayCallSpec("alice", "bob", mobility=True),),
        changes=(At(20.0, InterfaceReaddressed("alice", "203.0.113.20", "198.51.100.77")),),
        expect=Expectation(pair_types="relay-srflx"),
    )
