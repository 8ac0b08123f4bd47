"""The TURN server of a scene."""

from __future__ import annotations

from sansice.machine import Address, Transport
from sansice.simulation._world._host import Host
from sansice.simulation._world._node import Node
from sansice.stun import Listener, ServerAuthentication, StaticUsers
from sansice.turn import PeerPolicy, TurnServer, TurnServerConfig

from ._relays import TurnServerSpec

REALM = "example.org"

# RFC 5737, RFC 2544 and RFC 3849: the addresses that scenes have on their Internet, and no server relays to by itself.
PUBLIC = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "2001:db8::/32")


def run_turn_server(spec: TurnServerSpec, host: Host) -> Node:
    """Run it on its host."""
    host.certificate = (spec.domain,)
    authentication = ServerAuthentication(
        realm=REALM, lookup_key=StaticUsers({spec.username: spec.password}, REALM), entropy=host.entropy
    )
    server = TurnServer(
        config=TurnServerConfig(mobility=spec.mobility),
        authentication=authentication,
        peer_policy=PeerPolicy(allow=PUBLIC),
        entropy=host.entropy,
    )
    node = host.run(server)
    node.call(server.start, [Listener(transport, address) for transport, address in _places(spec, host)])
    return node


def _places(spec: TurnServerSpec, host: Host) -> list[tuple[Transport, Address]]:
    ports = {transport: spec.tls_port if transport.is_secure else spec.port for transport in Transport}
    return [(transport, Address(address, port)) for address in host.addresses for transport, port in ports.items()]
