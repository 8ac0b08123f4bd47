"""Two ends in one network, for the tests of streams: a machine that writes down what it hears, and a peer made of segments."""

from sansice.machine import (
    Address,
    CloseMode,
    CloseSocket,
    OpenSocket,
    SendDatagram,
    SendStream,
    SetReading,
    SocketId,
    SocketOptions,
    Transport,
)
from sansice.simulation import Network
from sansice.simulation._world._packets import Packet, TcpFlags, TcpSegment
from sansice.simulation._world._segment import Interface
from sockets._bare import Ear

A, B = "198.51.100.1", "198.51.100.2"
SERVER = Address(B, 443)
ONE = SocketId(1)
ACCEPTED = SocketId(-1)
DEFAULT = SocketOptions()
FIN, SYN, RST, PSH, ACK = TcpFlags.FIN, TcpFlags.SYN, TcpFlags.RST, TcpFlags.PSH, TcpFlags.ACK


class Commanded(Ear):
    """An `Ear` that does what it is told."""

    def do(self, *actions, now):
        self._outputs.extend(actions)


class End:
    """A machine on a host. What it heard is in `heard`, as (what, ...), with its times in `times`."""

    def __init__(self, host):
        self.host = host
        self.machine = Commanded()
        self.times = []
        note = self.machine.note

        def timed(*what):
            self.times.append(self.node.now())
            note(*what)

        self.machine.note = timed
        self.node = host.run(self.machine)

    @property
    def heard(self):
        return self.machine.heard

    @property
    def error(self):
        """The last error that it was told of."""
        return self.machine.errors[-1]

    def do(self, *actions):
        self.node.call(self.machine.do, *actions)

    def open(self, id=1, transport=Transport.TCP, *, bind=None, remote=SERVER, options=DEFAULT):
        self.do(OpenSocket(SocketId(id), transport, bind or Address(self.host.addresses[0], 0), remote, options))

    def listen(self, id=1, transport=Transport.TCP, *, bind=SERVER, options=DEFAULT):
        self.open(id, transport, bind=bind, remote=None, options=options)

    def send(self, data, id=ONE):
        self.do(SendStream(id, data))

    def datagram(self, data, to=SERVER, id=ONE):
        self.do(SendDatagram(id, to, data))

    def close(self, id=ONE, mode=CloseMode.FLUSH):
        self.do(CloseSocket(id, mode))

    def read(self, enabled, id=ONE):
        self.do(SetReading(id, enabled))

    def of(self, kind):
        return [what for what in self.heard if what[0] == kind]

    def kinds(self):
        return [what[0] for what in self.heard]

    def stream(self, id=ONE):
        return b"".join(what[2] for what in self.heard if what[:2] == ("data", id))


def world(latency=0.25, **options):
    """A network, an end at A, an end at B."""
    net = Network(latency=latency, **options)
    return net, End(net.host("A", A)), End(net.host("B", B))


def connected(transport=Transport.TCP, *, options=DEFAULT, **network):
    """The same, with socket 1 of A connected to B's, which is -1 there; nobody has heard anything else."""
    net, a, b = world(**network)
    b.host.certificate = (B, "b.example")
    b.listen(transport=transport)
    a.open(transport=transport, options=options)
    net.run(until=net.now + 5, when=lambda: a.of("opened") and len(b.heard) > 1)
    assert a.kinds() == ["opened"]
    assert b.kinds() == ["opened", "accepted"]
    a.heard.clear(), b.heard.clear(), a.times.clear(), b.times.clear()
    return net, a, b


class Puppet:
    """A peer at B that says just what a test has it say."""

    def __init__(self, net, address=B):
        self.net = net
        self.received = []
        self.interface = Interface("puppet", net.internet, lambda packet, direct: self.received.append(packet))
        net.internet.attach(address, self.interface)

    def say(self, to, flags, seq=0, ack=0, data=b"", window=65535, source=SERVER):
        self.interface.send(Packet(source, to, data, tcp=TcpSegment(flags, seq % 2**32, ack % 2**32, window)))
        self.net.run(until=self.net.now + 0.5)

    def raw(self, packet):
        self.interface.send(packet)
        self.net.run(until=self.net.now + 0.5)

    def take(self):
        """What has arrived since."""
        received, self.received = self.received, []
        return received

    def flags(self):
        return [packet.tcp.flags for packet in self.take()]


class Talker:
    """A `TcpUser` that reads everything, unless it is told not to."""

    def __init__(self, reading=True):
        self.reading = reading
        self.said = []
        self.connection = None
        self.got = b""

    def connected(self):
        self.said.append("connected")

    def readable(self):
        if self.reading:
            self.got += self.connection.read(65536)
            if self.connection.at_end:
                self.said.append("end")

    def writable(self):
        self.said.append("writable")

    def failed(self, error):
        self.said.append(error.kind)


class Acceptor:
    """A `TcpAcceptor` that takes every connection."""

    def __init__(self, wanted=True, reading=True):
        self.wanted = wanted
        self.reading = reading
        self.talkers = []

    def accept(self, connection):
        if self.wanted:
            talker = Talker(self.reading)
            talker.connection = connection
            connection.user = talker
            self.talkers.append(talker)
