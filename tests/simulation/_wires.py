"""Packets sent and received without hosts, on both sides of a NAT or firewall."""

from sansice.machine import Address
from sansice.simulation import Network, Packet
from sansice.simulation._world._packets import TcpFlags, TcpSegment
from sansice.simulation._world._segment import Interface

INNER, NEIGHBOUR = Address("10.0.0.2", 5000), Address("10.0.0.3", 5000)
OUTER = "203.0.113.1"
SERVER, SAME_HOST, STRANGER = Address("192.0.2.1", 1), Address("192.0.2.1", 2), Address("192.0.2.2", 1)

SYN, ACK, FIN, RST = TcpFlags.SYN, TcpFlags.ACK, TcpFlags.FIN, TcpFlags.RST


def udp(source, destination, data=b"x"):
    return Packet(Address(*source), Address(*destination), data)


def tcp(source, destination, flags=ACK, data=b"", seq=1000, ack=2000):
    return Packet(Address(*source), Address(*destination), data, tcp=TcpSegment(flags, seq, ack, 65535))


class Wire:
    """An address at a place: sends packets as they are, keeps those that arrive."""

    def __init__(self, place, address):
        self.got = []
        self.interface = Interface(f"wire {address}", place.inside, lambda packet, direct: self.got.append(packet))
        place.attach(address, self.interface)

    def send(self, packet):
        self.interface.send(packet, True)


class Wires:
    """Two addresses inside a middlebox, two outside; no link takes time, so whatever goes through does at once."""

    def __init__(self, make, *, trace=0, inside=(INNER.host, NEIGHBOUR.host), outside=(SERVER.host, STRANGER.host)):
        self.net = Network(seed=7, trace=trace)
        self.box = make(self.net)
        self.inside = {host: Wire(self.box, host) for host in inside}
        self.outside = {host: Wire(self.net.internet, host) for host in outside}

    @property
    def lost(self):
        return dict(self.net.lost)

    def wait(self, seconds):
        self.net.run(until=self.net.now + seconds)

    def out(self, packet):
        """Send from inside. Returns what comes out at the destination, or ``None``."""
        return self._pass(self.inside[packet.source.host], packet, self.outside)

    def into(self, packet):
        """Send from outside. Returns what comes in, or ``None``."""
        return self._pass(self.outside[packet.source.host], packet, self.inside)

    def turn(self, packet):
        """Send from inside. Returns what comes in again, or ``None``."""
        return self._pass(self.inside[packet.source.host], packet, self.inside)

    def heard(self, host):
        """What has arrived at an address and was not taken yet."""
        self.wait(0.0)
        wire = self.inside.get(host) or self.outside[host]
        got, wire.got = wire.got, []
        return got

    def _pass(self, wire, packet, others):
        before = {host: len(other.got) for host, other in others.items()}
        wire.send(packet)
        self.wait(0.0)
        new = [(other, one) for host, other in others.items() for one in other.got[before[host] :]]
        for other, _ in new:
            other.got.pop()
        assert len(new) <= 1, new
        return new[0][1] if new else None


def nat_wires(*addresses, trace=0, **options):
    """Wires around a NAT with these outer addresses, `OUTER` if there is none."""
    return Wires(lambda net: net.nat(*(addresses or (OUTER,)), **options), trace=trace)


def mapped(wires, source, destination):
    """The outer address that a UDP packet leaves with, or ``None`` if it does not leave."""
    packet = wires.out(udp(source, destination))
    return None if packet is None else packet.source
