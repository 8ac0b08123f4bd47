"""A discovery in a simulated network, and servers of RFC 5780 and RFC 3489 that do as they are told."""

from __future__ import annotations

import attrs

from sansice.machine import Address, DecodeError, Ids, Machine, OpenSocket, SendDatagram, Transport
from sansice.simulation import Network
from sansice.stun import (
    CHANGE_REQUEST,
    CHANGED_ADDRESS,
    COOKIE,
    ERROR_CODE,
    MAPPED_ADDRESS,
    OTHER_ADDRESS,
    PADDING,
    RESPONSE_ORIGIN,
    RESPONSE_PORT,
    UNKNOWN_ATTRIBUTES,
    XOR_MAPPED_ADDRESS,
    BehaviorDiscovered,
    BehaviorDiscovery,
    ChangeRequest,
    ErrorCode,
    Listener,
    MessageClass,
    Method,
    StunServer,
    StunServerConfig,
    decode_untrusted,
    encode,
)

HOSTS = ("192.0.2.10", "192.0.2.20")
HOSTS_IPV6 = ("2001:db8::10", "2001:db8::20")
PORTS = (3478, 3479)
NAT_HOST = "203.0.113.1"
INSIDE = "10.0.0.2"
COOKIE_BYTES = COOKIE.to_bytes(4, "big")


@attrs.frozen
class Ways:
    """What a server does otherwise than RFC 5780 says.

    Attributes:
        other: what OTHER-ADDRESS says instead; ``None`` leaves it out.
        changed: the same of CHANGED-ADDRESS, in the answers to classic requests.
        unknown: attributes answered with 420.
        ignored: attributes taken no notice of.
        classic: it knows RFC 3489 only: no cookie, no XOR-MAPPED-ADDRESS.
        answers_classic: it answers requests without the cookie, too.
        mapped: what MAPPED-ADDRESS says instead.
        seen: what XOR-MAPPED-ADDRESS says instead.
        error: what every request is answered with.
        extra: attributes that every success response has in addition.
        silent: it answers nothing.
    """

    other: Address | str | None = "right"
    changed: Address | str | None = "right"
    unknown: tuple = ()
    ignored: tuple = ()
    classic: bool = False
    answers_classic: bool = False
    mapped: Address | None = None
    seen: Address | None = None
    error: ErrorCode | None = None
    extra: tuple = ()
    silent: bool = False


class ScriptedServer(Machine):
    """Two addresses, two ports, and whatever `Ways` it has. Keeps what it was asked as (time, corner, source, message)."""

    def __init__(self, hosts=HOSTS, ports=PORTS, ways=None):
        super().__init__()
        self.ways = ways or Ways()
        ids = Ids()
        self.corners = {ids.socket(): Address(host, port) for host in hosts for port in ports}
        self.asked = []
        self._outputs.extend(OpenSocket(socket, Transport.UDP, address) for socket, address in self.corners.items())

    def handle_datagrams(self, socket, batch, *, now):
        for source, data in batch:
            self._answer(socket, source, data, now)

    def _answer(self, socket, source, data, now):
        ways, here = self.ways, self.corners[socket]
        word = data[4:8]
        if word != COOKIE_BYTES and not (ways.classic or ways.answers_classic):
            return
        classic = ways.classic or word != COOKIE_BYTES
        try:
            request = decode_untrusted(data[:4] + COOKIE_BYTES + data[8:])
        except DecodeError:
            return
        self.asked.append((now, here, source, request))
        if ways.silent or request.message_class is not MessageClass.REQUEST:
            return
        unknown = tuple(attribute.code for attribute in ways.unknown if attribute in request)
        if unknown or ways.error:
            attributes = [(ERROR_CODE, ways.error or ErrorCode(420, "Unknown Attribute"))]
            if unknown:
                attributes.append((UNKNOWN_ATTRIBUTES, unknown))
            self._send(here, source, encode(Method.BINDING, MessageClass.ERROR, request.transaction_id, attributes), word)
            return
        change = self._value(request, CHANGE_REQUEST) or ChangeRequest()
        response_port = self._value(request, RESPONSE_PORT)
        padding = self._value(request, PADDING)
        if padding is not None and response_port is not None:
            attributes = [(ERROR_CODE, ErrorCode(400, "Bad Request"))]
            self._send(here, source, encode(Method.BINDING, MessageClass.ERROR, request.transaction_id, attributes), word)
            return
        opposite = next(one for one in self.corners.values() if one.host != here.host and one.port != here.port)
        origin = Address(opposite.host if change.change_ip else here.host, opposite.port if change.change_port else here.port)
        other = ways.changed if classic else ways.other
        other = opposite if other == "right" else other
        attributes = [(MAPPED_ADDRESS, ways.mapped or source)]
        if not classic:
            attributes += [(XOR_MAPPED_ADDRESS, ways.seen or source), (RESPONSE_ORIGIN, origin)]
        if other is not None:
            attributes.append((CHANGED_ADDRESS if classic else OTHER_ADDRESS, other))
        if padding is not None:
            attributes.append((PADDING, bytes(len(padding))))
        attributes += ways.extra
        destination = source if response_port is None else Address(source.host, response_port)
        response = encode(Method.BINDING, MessageClass.SUCCESS, request.transaction_id, attributes)
        self._send(origin, destination, response, word)

    def _value(self, request, attribute):
        return None if attribute in self.ways.ignored else request.get(attribute)

    def _send(self, origin, destination, data, word):
        socket = next(socket for socket, corner in self.corners.items() if corner == origin)
        self._outputs.append(SendDatagram(socket, destination, data[:4] + word + data[8:]))


def real_server(**options):
    """Our own server, with RFC 5780."""
    return StunServer(config=StunServerConfig(behavior=True, **options))


class World:
    """A client, perhaps behind a NAT, and a server; `discover` runs until the end and returns what was found."""

    def __init__(self, *, ways=None, nat=None, seed=5, server=None, hosts=HOSTS, addresses=None, **options):
        self.net = Network(seed=seed, latency=0.02, trace=options.pop("trace", 0), loss=options.pop("loss", 0.0))
        self.server = ScriptedServer(hosts, ways=ways) if server is None else server
        self.server_node = self.net.host("server", *hosts).run(self.server)
        if isinstance(self.server, StunServer):
            listeners = [Listener(Transport.UDP, Address(host, port)) for host in hosts for port in PORTS]
            self.server_node.call(self.server.start, listeners)
        self.nat = None if nat is None else self.net.nat(NAT_HOST, **nat)
        default = "198.51.100.2" if self.nat is None else INSIDE
        self.client = self.net.host("client", *(addresses or (default,)), behind=self.nat)
        target = options.pop("target", Address(hosts[0], PORTS[0]))
        self.discovery = BehaviorDiscovery(target, entropy=self.client.entropy, **options)
        self.node = self.client.run(self.discovery)

    def discover(self, until=3600.0):
        """Run to the end. Returns the `NatBehavior`, or the event that says why there is none."""
        self.node.call(self.discovery.start)
        self.net.run(until=until, when=lambda: bool(self.node.events) and type(self.node.events[-1][1]).__name__ in _ENDS)
        last = self.node.events[-1][1]
        return last.behavior if isinstance(last, BehaviorDiscovered) else last

    def events(self, kind):
        """The events of a type, without their times."""
        return [event for _, event in self.node.events if type(event) is kind]


_ENDS = ("BehaviorDiscovered", "BehaviorFailed")
