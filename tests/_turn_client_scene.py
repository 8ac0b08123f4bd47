"""A TURN client, what it sent and what it told, and words for what a server does."""

import itertools
import math

from sansice.machine import (
    Address,
    CloseSocket,
    OpenSocket,
    Resolve,
    SendDatagram,
    SendStream,
    SetReading,
    SocketError,
    SocketErrorKind,
    Transport,
)
from sansice.stun import (
    ERROR_CODE,
    LIFETIME,
    NONCE,
    REALM,
    XOR_MAPPED_ADDRESS,
    XOR_RELAYED_ADDRESS,
    ErrorCode,
    LongTermCredentials,
    MessageClass,
    Method,
    ServerTarget,
    StunClientConfig,
    decode_untrusted,
    encode,
    long_term_key,
)
from sansice.turn import AllocationCreated, TurnClient, TurnClientConfig

UDP, TCP, TLS, DTLS = Transport
SERVER = Address("192.0.2.1", 3478)
OTHER = Address("192.0.2.2", 3478)
SERVER6 = Address("2001:db8::1", 3478)
LOCAL = Address("10.0.0.7", 40000)
LOCAL6 = Address("2001:db8:7::7", 40000)
MAPPED = Address("203.0.113.7", 50000)
RELAYED = Address("198.51.100.1", 49152)
RELAYED6 = Address("2001:db8:5::1", 49152)
PEER = Address("198.51.100.9", 5000)
PEER6 = Address("2001:db8:9::9", 5000)
CREDENTIALS = LongTermCredentials("user", "password")
KEY = long_term_key("user", "realm", "password")
STUN = StunClientConfig(alternate_servers=True, least_rto=0.5)  # the schedule of RFC 8489 whatever was measured
SENDS = [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]  # RFC 8489 6.2.1
GRANT = ((XOR_RELAYED_ADDRESS, RELAYED), (XOR_MAPPED_ADDRESS, MAPPED), (LIFETIME, 600))
SUCCESS, ERROR = MessageClass.SUCCESS, MessageClass.ERROR


class Counting:
    """Entropy that never repeats itself, and can be read in a failure."""

    def __init__(self):
        self.count = 0

    def __call__(self, size):
        self.count += 1
        return self.count.to_bytes(size, "big")


class Scene:
    """A client in the hands of a test."""

    def __init__(self, server=None, *, credentials=CREDENTIALS, config=None, options=None, transport=UDP, **settings):
        server = server or ServerTarget(transport, SERVER, "turn.example" if transport in (TLS, DTLS) else None)
        config = config or TurnClientConfig(**{"keepalive": math.inf, "stun": STUN, **settings})
        self.client = TurnClient(server, credentials=credentials, config=config, entropy=Counting(), **(options or {}))
        self.credentials = credentials
        self.now = 0.0
        self.sent = []  # messages of STUN: (time, action, decoded)
        self.data = []  # and the others: (time, action)
        self.actions = []
        self.events = []
        self.nonce = "nonce"

    # what the client wants

    def take(self):
        for output in self.client.take_outputs():
            if isinstance(output, (SendDatagram, SendStream)):
                if output.data[0] < 0x40 and output.data[:2] not in (b"\0\x16", b"\0\x11"):
                    self.sent.append((self.now, output, decode_untrusted(output.data)))
                else:
                    self.data.append((self.now, output))
            elif isinstance(output, (OpenSocket, CloseSocket, Resolve, SetReading)):
                self.actions.append(output)
            else:
                self.events.append((self.now, output))

    def do(self, command, *arguments, **options):
        result = getattr(self.client, command)(*arguments, now=self.now, **options)
        self.take()
        return result

    def run(self, until):
        """Let time pass."""
        while (due := self.client.deadline()) <= until:
            self.now = max(due, self.now)
            self.do("handle_timer")
            assert self.client.deadline() > self.now
        self.now = until

    def told(self, kind):
        return [event for _, event in self.events if isinstance(event, kind)]

    def opened(self):
        """The sockets that are open or opening, newest last."""
        closed = {action.socket for action in self.actions if isinstance(action, CloseSocket)}
        return [one for one in self.actions if isinstance(one, OpenSocket) and one.socket not in closed]

    def asked(self, method, since=0):
        return [(time, message) for time, _, message in self.sent[since:] if message.method is method]

    # what the server does

    def open(self, index=-1, local=None):
        """The socket that was asked for last, or which, opens."""
        action = [one for one in self.actions if isinstance(one, OpenSocket)][index]
        self.do("handle_socket_opened", action.socket, local or (LOCAL6 if action.bind.is_ipv6 else LOCAL))
        return action.socket

    def lose(self, index=0, kind=SocketErrorKind.OTHER, text="gone"):
        """A socket of those that are open or opening fails."""
        self.do("handle_socket_failed", self.opened()[index].socket, SocketError(kind, text))

    def find(self, method=None, index=-1):
        sent = self.sent if index >= 0 else reversed(self.sent)
        found = ((action, message) for _, action, message in sent if method in (None, message.method))
        return next(itertools.islice(found, index if index >= 0 else -1 - index, None))

    def answer(self, *attributes, to=None, index=-1, kind=SUCCESS, key=KEY, **options):
        """Answer the newest request, or the newest of method ``to``, or which of these."""
        action, request = self.find(to, index)
        key = key if request.has_integrity else None
        self.feed(action, encode(request.method, kind, request.transaction_id, attributes, key=key, **options))

    def refuse(self, code, *attributes, to=None, index=-1, reason="no", **options):
        self.answer((ERROR_CODE, ErrorCode(code, reason)), *attributes, to=to, index=index, kind=ERROR, **options)

    def challenge(self, *, code=401, nonce=None, **options):
        self.nonce = nonce or self.nonce
        self.refuse(code, (REALM, "realm"), (NONCE, self.nonce), key=None, **options)

    def feed(self, action, data):
        if isinstance(action, SendStream):
            self.do("handle_stream_data", action.socket, data)
        else:
            self.do("handle_datagrams", action.socket, [(action.destination, data)])

    def give(self, data, source=SERVER):
        """Something from the server that answers nothing, on the allocation's path."""
        path = self.client.path
        if path.reliable:
            self.do("handle_stream_data", path.socket, data)
        else:
            self.do("handle_datagrams", path.socket, [(source, data)])

    def allocate(self, grant=GRANT, **wish):
        """From nothing to an allocation, in no time."""
        self.do("allocate", **wish)
        self.open()
        if self.credentials is not None and not self.find(Method.ALLOCATE)[1].has_integrity:
            self.challenge(to=Method.ALLOCATE)
        self.answer(*grant, to=Method.ALLOCATE)
        assert isinstance(self.events[-1][1], AllocationCreated)
        return self.events[-1][1]

    def permit(self, *peers):
        self.do("create_permission", *(peers or (PEER,)))
        self.answer(to=Method.CREATE_PERMISSION)

    def bind(self, peer=PEER):
        """Permission and channel, both granted."""
        sent = len(self.sent)
        number = self.do("bind_channel", peer)
        for index in range(sent, len(self.sent)):
            self.answer(index=index)
        return number
