"""The same machine, the same script: what it hears in the simulated world is what it hears over loopback, in that order."""

import pytest

from _certificates import Authority
from sansice.machine import (
    ANY_IPV4,
    Address,
    CloseMode,
    CloseSocket,
    OpenSocket,
    SendDatagram,
    SendStream,
    SetReading,
    SocketId,
    SocketOptions,
    TlsOptions,
    Transport,
)
from sansice.simulation import Network
from sansice.sockets import TlsConfig
from simulation._ends import DEFAULT, End
from sockets._bare import Bare

TCP, TLS, DTLS = Transport.TCP, Transport.TLS, Transport.DTLS
ONE, TWO, ACCEPTED = SocketId(1), SocketId(2), SocketId(-1)
NAME = "stun.example"
FLUSH, RESET = CloseMode


def named(name=NAME, alpn=()):
    return SocketOptions(tls=TlsOptions(name, alpn))


class Loopback:
    """A client and a server with real sockets."""

    host = "127.0.0.1"

    def __init__(self, authority, certificate):
        self.client = Bare(tls=TlsConfig(ca_file=authority.ca_file))
        self.server = Bare(tls=None if certificate is None else TlsConfig(certificate))

    def do(self, end, *actions):
        for action in actions:
            match action:
                case OpenSocket():
                    end.sockets.open(action, end.driver)
                case SendDatagram():
                    end.sockets.send(*action)
                case SendStream():
                    end.sockets.send_stream(*action)
                case SetReading(socket, enabled):
                    end.sockets.set_reading(socket, enabled)
                case CloseSocket(socket, mode):
                    end.sockets.close(socket, mode)
        self.settle()

    def settle(self):
        while ready := [end for end in (self.client, self.server) if not end.idle()]:
            for end in ready:
                end.feed()

    def lost(self, end):
        return dict(end.sockets.lost)

    def close(self):
        for end in (self.client, self.server):
            end.sockets.close_all()


class InTheWorld:
    """The same in a network."""

    host = "192.0.2.1"

    def __init__(self, certificate):
        self.net = Network(latency=0.01)
        host = self.net.host("both", self.host)  # as over loopback
        host.certificate = certificate
        self.client, self.server = End(host), End(host)

    def do(self, end, *actions):
        end.do(*actions)
        self.settle()

    def settle(self):
        self.net.run(until=self.net.now + 1)

    def lost(self, end):
        return dict(end.node.lost)

    def close(self):
        pass


class Script:
    """What scripts are written with, over either."""

    def __init__(self, lab):
        self.lab = lab
        self.client, self.server = lab.client, lab.server
        self.to = Address("", 0)

    def listen(self, transport, id=ONE, options=DEFAULT, bind=None):
        bind = bind or Address(self.lab.host, 0)
        self.lab.do(self.server, OpenSocket(id, transport, bind, None, options))
        if self.server.heard[-1][:2] == ("opened", id):
            self.to = self.server.heard[-1][2]

    def connect(self, transport, id=ONE, options=DEFAULT, *more):
        self.lab.do(self.client, OpenSocket(id, transport, Address(self.lab.host, 0), self.to, options), *more)

    def client_does(self, *actions):
        self.lab.do(self.client, *actions)

    def server_does(self, *actions):
        self.lab.do(self.server, *actions)

    @property
    def client_address(self):
        return next(what[2] for what in self.client.heard if what[0] == "opened")

    def told(self):
        """What was heard, with names for addresses, and with the pieces of a stream put together."""
        addresses = {self.to: "server"}
        addresses |= {what[3]: "a client" for what in self.server.heard if what[0] == "accepted"}
        addresses |= {what[2]: f"client {what[1]}" for what in self.client.heard if what[0] == "opened"}
        heard = []
        for end in (self.client, self.server):
            heard.append([])
            for what in end.heard:
                what = tuple(addresses.get(part, part) if isinstance(part, Address) else part for part in what)
                last = heard[-1][-1] if heard[-1] else ()
                if what[0] == "data" and what[2] and last[:2] == what[:2] and last[2]:
                    heard[-1][-1] = (*what[:2], last[2] + what[2])
                else:
                    heard[-1].append(what)
        return {"client": heard[0], "server": heard[1], "lost": [self.lab.lost(end) for end in (self.client, self.server)]}


def stream_pair(script, transport):
    script.listen(transport)
    script.connect(transport, ONE, named() if transport is TLS else DEFAULT)


def conversation(transport):
    def play(script):
        stream_pair(script, transport)
        script.client_does(SendStream(ONE, b"question"))
        script.server_does(SendStream(ACCEPTED, b"answer"))
        script.client_does(SendStream(ONE, bytes(50_000)))
        script.client_does(CloseSocket(ONE))
        script.server_does(SendStream(ACCEPTED, b"to nobody"))
        script.server_does(CloseSocket(ACCEPTED))
        script.connect(transport, TWO, named() if transport is TLS else DEFAULT)
        script.server_does(CloseSocket(SocketId(-2)))

    return play


def early(transport):
    def play(script):
        script.listen(transport)
        options = named() if transport is TLS else DEFAULT
        script.connect(transport, ONE, options, SendStream(ONE, b"early "), SendStream(ONE, b"bird"))

    return play


def reset_by(end, transport):
    def play(script):
        stream_pair(script, transport)
        if end == "client":
            script.client_does(CloseSocket(ONE, RESET))
            script.server_does(SendStream(ACCEPTED, b"x"))
        else:
            script.server_does(CloseSocket(ACCEPTED, RESET))
            script.client_does(SendStream(ONE, b"x"))

    return play


def paused(transport):
    def play(script):
        stream_pair(script, transport)
        script.server_does(SetReading(ACCEPTED, False))
        script.client_does(SendStream(ONE, b"wait"))
        script.client_does(CloseSocket(ONE))
        script.server_does(SetReading(ACCEPTED, True))

    return play


def paused_and_reset(script):
    stream_pair(script, TCP)
    script.server_does(SetReading(ACCEPTED, False))
    script.client_does(SendStream(ONE, b"never read"))
    script.client_does(CloseSocket(ONE, RESET))


def refused(script):
    script.listen(TCP)
    script.server_does(CloseSocket(ONE))
    script.connect(TCP)


def unread_bytes_reset(script):
    stream_pair(script, TCP)
    script.server_does(SetReading(ACCEPTED, False))
    script.client_does(SendStream(ONE, b"unread"))
    script.server_does(CloseSocket(ACCEPTED, FLUSH))


def listener_closed(script):
    stream_pair(script, TCP)
    script.server_does(CloseSocket(ONE))
    script.client_does(SendStream(ONE, b"still here"))
    script.connect(TCP, TWO)


def in_use(script):
    script.listen(TCP)
    script.listen(TCP, TWO, bind=script.to)
    script.listen(TCP, SocketId(3), bind=Address("192.0.2.77", 0))
    script.listen(TCP, SocketId(4), bind=Address(ANY_IPV4, 0))
    script.listen(TCP, SocketId(5), options=named())


def comes_back(script):
    stream_pair(script, TCP)
    script.server_does(CloseSocket(ONE))
    script.listen(TCP, TWO, bind=script.to)
    script.connect(TCP, TWO)
    script.client_does(SendStream(ONE, b"old"), SendStream(TWO, b"new"))


def met_itself(script):
    script.listen(TCP)
    script.server_does(CloseSocket(ONE))
    script.client_does(OpenSocket(ONE, TCP, script.to, script.to))


def wrong_name(transport):
    def play(script):
        script.listen(transport)
        script.connect(transport, ONE, named("other.example"), SendStream(ONE, b"secret"))

    return play


def no_name(transport):
    def play(script):
        script.listen(transport)
        script.connect(transport)

    return play


def alpn(transport, *known):
    def play(script):
        script.listen(transport, options=SocketOptions(tls=TlsOptions(alpn=known)))
        script.connect(transport, ONE, named(alpn=("stun.turn", "x")))

    return play


def plaintext_client(script):
    script.listen(TLS)
    script.connect(TCP)
    script.client_does(SendStream(ONE, b"GET / HTTP/1.1\r\n\r\n"))
    script.client.heard[:] = [what for what in script.client.heard if what[0] != "data" or not what[2]]  # OpenSSL says nothing
    script.client_does(CloseSocket(ONE))


def plaintext_server(script):
    script.listen(TCP)
    script.connect(TLS, ONE, named())
    del script.server.heard[2:]  # a ClientHello
    script.server_does(SendStream(ACCEPTED, b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    del script.server.heard[2:]


def server_leaves_during_the_handshake(script):
    script.listen(TCP)
    script.connect(TLS, ONE, named())
    del script.server.heard[2:]
    script.server_does(CloseSocket(ACCEPTED))


def client_leaves_during_the_handshake(script):
    script.listen(TLS)
    script.connect(TCP)
    script.client_does(CloseSocket(ONE))


def dtls_conversation(script):
    script.listen(DTLS)
    script.connect(DTLS, ONE, named())
    client = script.client_address
    script.client_does(SendDatagram(ONE, script.to, b"question"))
    script.server_does(SendDatagram(ONE, client, b"answer"))
    script.client_does(SendDatagram(ONE, script.to, b""), SendDatagram(ONE, client, b"to another"))
    script.client_does(CloseSocket(ONE))
    script.server_does(SendDatagram(ONE, client, b"anybody?"))


def dtls_goodbye(script):
    script.listen(DTLS)
    script.connect(DTLS, ONE, named())
    script.server_does(CloseSocket(ONE, FLUSH))
    script.connect(DTLS, TWO, named())


def dtls_server_dies(script):
    script.listen(DTLS)
    script.connect(DTLS, ONE, named())
    script.server_does(CloseSocket(ONE, RESET))
    script.client_does(SendDatagram(ONE, script.to, b"anybody?"))


def dtls_wrong_name(script):
    script.listen(DTLS)
    script.connect(DTLS, ONE, named("other.example"), SendDatagram(ONE, script.to, b"secret"))


def dtls_stranger(script):
    script.listen(DTLS)
    script.client_does(OpenSocket(ONE, Transport.UDP, Address(script.lab.host, 0)))
    script.client_does(SendDatagram(ONE, script.to, b"\x16\xfe\xfd garbage"), SendDatagram(ONE, script.to, bytes(20)))


SCRIPTS = {
    "tcp conversation": conversation(TCP),
    "tls conversation": conversation(TLS),
    "tcp early": early(TCP),
    "tls early": early(TLS),
    "tcp client resets": reset_by("client", TCP),
    "tcp server resets": reset_by("server", TCP),
    "tls client resets": reset_by("client", TLS),
    "tls server resets": reset_by("server", TLS),
    "tcp paused": paused(TCP),
    "tls paused": paused(TLS),
    "paused and reset": paused_and_reset,
    "refused": refused,
    "closed with unread bytes": unread_bytes_reset,
    "listener closed": listener_closed,
    "in use": in_use,
    "comes back": comes_back,
    "met itself": met_itself,
    "tls wrong name": wrong_name(TLS),
    "tls no name": no_name(TLS),
    "tls alpn": alpn(TLS, "x"),
    "tls alpn mismatch": alpn(TLS, "y"),
    "plaintext client": plaintext_client,
    "plaintext server": plaintext_server,
    "server leaves during the handshake": server_leaves_during_the_handshake,
    "client leaves during the handshake": client_leaves_during_the_handshake,
    "dtls conversation": dtls_conversation,
    "dtls goodbye": dtls_goodbye,
    "dtls server dies": dtls_server_dies,
    "dtls wrong name": dtls_wrong_name,
    "dtls no name": no_name(DTLS),
    "dtls alpn": alpn(DTLS, "x"),
    "dtls alpn mismatch": alpn(DTLS, "y"),
    "dtls stranger": dtls_stranger,
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("same"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue(NAME, "127.0.0.1")


def compare(play, *labs):
    told = []
    for lab in labs:
        script = Script(lab)
        try:
            play(script)
            told.append(script.told())
        finally:
            lab.close()
    assert told[1] == told[0]
    assert told[0]["client"] or told[0]["server"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_heard_in_the_world_as_over_loopback(name, authority, certificate):
    compare(SCRIPTS[name], Loopback(authority, certificate), InTheWorld((NAME, "192.0.2.1")))


@pytest.mark.parametrize("transport", [TLS, DTLS])
def test_a_listener_without_a_certificate_fails_alike(transport, authority):
    compare(lambda script: script.listen(transport), Loopback(authority, None), InTheWorld(None))


def test_a_name_that_no_certificate_can_have_fails_alike(authority, certificate):
    def play(script):
        script.listen(DTLS)
        script.connect(DTLS, ONE, named("stün.example"))

    compare(play, Loopback(authority, certificate), InTheWorld((NAME,)))
