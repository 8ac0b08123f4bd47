"""What a scene says of relays: the servers that make them, and the calls that go through them."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from sansice.machine import Address, Transport

from ._parts import INTERNET, a_name, as_addresses, check_port, check_seconds

TURN_PORT, TURNS_PORT = 3478, 5349  # RFC 7065 3.1


@attrs.frozen
class TurnServerSpec:
    """A host with a TURN server, which answers Binding requests, too.

    It listens over UDP and TCP at ``port``, over TLS and DTLS at ``tls_port``, and relays at its own addresses. Its policy is
    that of a server which nobody configured: peers must be on the Internet, as which addresses for documentation count here.

    Attributes:
        name: of the host.
        addresses: one literal or several.
        port: for UDP and TCP.
        tls_port: for TLS and DTLS.
        domain: what its certificate is for.
        username, password: of the one user that it knows.
        mobility: whether clients may move to another address (RFC 8016).
        behind: the place.
    """

    name: str = attrs.field(validator=a_name)
    addresses: tuple[str, ...] = attrs.field(converter=as_addresses)
    port: int = attrs.field(default=TURN_PORT, validator=check_port, kw_only=True)
    tls_port: int = attrs.field(default=TURNS_PORT, validator=check_port, kw_only=True)
    domain: str = attrs.field(default="turn.example.org", validator=a_name, kw_only=True)
    username: str = attrs.field(default="user", validator=a_name, kw_only=True)
    password: str = attrs.field(default="password", validator=a_name, kw_only=True)
    mobility: bool = attrs.field(default=False, kw_only=True)
    behind: str = attrs.field(default=INTERNET, kw_only=True)

    def uri(self, transport: Transport, *, ipv6: bool = False) -> str:
        """Where a client finds it, by its first address of a family, as RFC 7065 writes it.

        Raises:
            ValueError: it has no address of the family.
        """
        host = first_of_family(self.addresses, ipv6=ipv6)
        if host is None:
            raise ValueError(f"{self.name!r} has no address of IPv{'6' if ipv6 else '4'}")
        scheme, port = ("turns", self.tls_port) if transport.is_secure else ("turn", self.port)
        return f"{scheme}:{Address(host, port)}?transport={'tcp' if transport.is_stream else 'udp'}"


def first_of_family(addresses: Iterable[str], *, ipv6: bool) -> str | None:
    """The first literal of a family."""
    return next((address for address in addresses if (":" in address) is ipv6), None)


def _as_transport(value: Transport | str) -> Transport:
    return Transport(value)


@attrs.frozen
class RelayCallSpec:
    """A call through a relay: one program is a client of a TURN server, the other sends to the relayed address.

    The other one asks the server for its own address, too, and both tell each other by signalling what they found. The client
    allows these addresses and takes what comes from them, wherever a NAT has it come from. Data then flows both ways once a
    second. A client that loses its allocation makes another one.

    Attributes:
        host: where the client runs.
        to: the host of the other program.
        server: the name of the TURN server.
        transport: how the client reaches it: ``"udp"``, ``"tcp"``, ``"tls"`` or ``"dtls"``.
        mobility: whether the client asks for a ticket, and moves its allocation where its host gets another address.
        name: of the call; that of the client's host if left out.
        start: when both begin, seconds.
    """

    host: str = attrs.field(validator=a_name)
    to: str = attrs.field(validator=a_name)
    server: str = attrs.field(default="turn", validator=a_name)
    transport: Transport = attrs.field(default=Transport.UDP, converter=_as_transport, kw_only=True)
    mobility: bool = attrs.field(default=False, kw_only=True)
    name: str = attrs.field(default=attrs.Factory(lambda self: self.host, takes_self=True), validator=a_name, kw_only=True)
    start: float = attrs.field(default=0.0, validator=check_seconds, kw_only=True)
