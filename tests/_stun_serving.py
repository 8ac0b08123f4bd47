"""A server with its listeners open, told what its clients send, and what it answers."""

from __future__ import annotations

from sansice.machine import Address, CloseSocket, Event, SendDatagram, SendStream, SocketId, Transport
from sansice.stun import (
    Listener,
    MessageClass,
    Method,
    StunServer,
    StunServerConfig,
    TransactionId,
    decode_untrusted,
    encode,
)

UDP_SOCKET = SocketId(1)
CLIENT = Address("192.0.2.1", 32853)
CLIENT6 = Address("2001:db8:1::1", 32853)
ID = TransactionId(bytes(range(12)))
UDP, TCP, TLS, DTLS = Transport.UDP, Transport.TCP, Transport.TLS, Transport.DTLS
UDP_LISTENER = Listener(UDP, Address("198.51.100.1", 3478))
LISTENERS = (
    UDP_LISTENER,
    Listener(UDP, Address("2001:db8::1", 3478)),
    Listener(TCP, Address("198.51.100.1", 3478)),
    Listener(TLS, Address("198.51.100.1", 5349)),
    Listener(DTLS, Address("198.51.100.1", 5349)),
)
SQUARE = tuple(Listener(UDP, Address(host, port)) for host in ("198.51.100.1", "198.51.100.2") for port in (3478, 3479))
OF = {UDP: SocketId(1), TCP: SocketId(3), TLS: SocketId(4), DTLS: SocketId(5)}


def binding(attributes=(), id=ID, **options):
    """A Binding request."""
    return encode(Method.BINDING, MessageClass.REQUEST, id, attributes, **options)


def classic(*attributes, kind=0x0001, id=bytes(range(16))):
    """A message of RFC 3489."""
    body = b"".join(
        code.to_bytes(2, "big") + len(raw).to_bytes(2, "big") + raw + bytes(-len(raw) % 4) for code, raw in attributes
    )
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + id + body


class Serving:
    """A `StunServer` that is running. Everything it wants and tells lands in `said`; `take` empties that."""

    def __init__(self, listeners=LISTENERS, *, now=1000.0, **options):
        config = options.pop("config", None) or StunServerConfig(**options.pop("policy", {}))
        self.server = StunServer(config=config, **options)
        self.stats = self.server.stats
        self.now = now
        self.accepted = 0
        self.server.start(listeners, now=now)
        for number, listener in enumerate(listeners, 1):
            local = listener.address._replace(port=listener.address.port or 40000 + number)
            self.server.handle_socket_opened(SocketId(number), local, now=now)
        self.take()

    def take(self):
        return self.server.take_outputs()

    def ask(self, data, source=CLIENT, socket=UDP_SOCKET):
        """Everything that one datagram leads to."""
        self.server.handle_datagrams(socket, [(source, data)], now=self.now)
        return self.take()

    def answer(self, data, source=CLIENT, socket=UDP_SOCKET):
        """The one message that a datagram is answered with, to its source and from where it arrived."""
        (sent,) = self.ask(data, source, socket)
        assert type(sent) is SendDatagram
        assert (sent.socket, sent.destination) == (socket, source)
        return decode_untrusted(sent.data)

    def accept(self, remote=CLIENT, transport=TCP):
        """A stream that a client has opened."""
        self.accepted -= 1
        self.server.handle_accepted(OF[transport], SocketId(self.accepted), remote, now=self.now)
        return SocketId(self.accepted)

    def write(self, stream, data):
        """Everything that bytes on a stream lead to."""
        self.server.handle_stream_data(stream, data, now=self.now)
        return self.take()

    def reply(self, stream, data):
        """The one message that bytes on a stream are answered with, on that stream."""
        (sent,) = self.write(stream, data)
        assert type(sent) is SendStream
        assert sent.socket == stream
        return decode_untrusted(sent.data)

    def at(self, now):
        """What the timer does at ``now``: everything due until then has its turn at its own time."""
        outputs = []
        while (due := self.server.deadline()) <= now:
            self.now = due
            self.server.handle_timer(now=due)
            outputs += [(due, output) for output in self.take()]
        self.now = now
        return outputs

    def call(self, command, *arguments, **options):
        """What a command returns and leads to."""
        result = command(*arguments, now=self.now, **options)
        return result, self.take()


def closed(outputs):
    """The sockets that these outputs close."""
    return [output.socket for output in outputs if type(output) is CloseSocket]


def told(outputs):
    """The events among these outputs."""
    return [output for output in outputs if isinstance(output, Event)]
