"""The relays of an agent whose TURN servers are the test."""

from ice._wire import make_local
from sansice.ice import IceServer
from sansice.ice._gathering._relay import RelayQuestion
from sansice.ice._gathering._relays import Relays
from sansice.ice._server import read_servers
from sansice.machine import Action, Address, CloseSocket, Ids, OpenSocket, SendDatagram, SendStream, Transport
from sansice.stun import (
    ERROR_CODE,
    LIFETIME,
    NONCE,
    REALM,
    XOR_MAPPED_ADDRESS,
    XOR_RELAYED_ADDRESS,
    ErrorCode,
    MessageClass,
    Method,
    ServerTarget,
    decode_untrusted,
    encode,
    is_stun,
    long_term_key,
)
from sansice.turn import TurnClientConfig

UDP, TCP, TLS, DTLS = Transport
SERVER, OTHER = Address("198.51.100.53", 3478), Address("198.51.100.54", 3478)
MAPPED = Address("203.0.113.7", 50000)
RELAYED, RELAYED6 = Address("198.51.100.53", 60000), Address("2001:db8:53::53", 60000)
PEER, PEER6 = Address("192.0.2.9", 5000), Address("2001:db8:9::9", 5000)
HOST = make_local("192.0.2.1", 1)
KEY = long_term_key("user", "realm", "secret")


class Counting:
    def __init__(self):
        self.count = 0

    def __call__(self, size):
        self.count += 1
        return self.count.to_bytes(size, "big")


def question(*targets, host=HOST, transport=UDP, server=SERVER):
    (named,) = read_servers(IceServer("turn:198.51.100.53", "user", "secret"))
    name = "turn.example" if transport in (TLS, DTLS) else None
    return RelayQuestion(host, named, 0, targets or (ServerTarget(transport, server, name),))


class Bench:
    """Relays, what they sent and told. Host sockets have the ids of `make_local`; their own begin at 100."""

    def __init__(self, *, family=4, config=None):
        ids = Ids()
        ids._last = 100
        self.now = 0.0
        self.dropped = {}
        self.relays = Relays(ids=ids, family=family, config=config or TurnClientConfig(), entropy=Counting(), drop=self._drop)
        self.sent, self.actions, self.events = [], [], []
        self.answered = 0

    def _drop(self, reason, count):
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def take(self):
        for output in self.relays.take_outputs():
            if isinstance(output, (SendDatagram, SendStream)):
                self.sent.append(output)
            elif isinstance(output, Action):
                self.actions.append(output)
            else:
                self.events.append(output)

    def do(self, command, *arguments, **options):
        result = getattr(self.relays, command)(*arguments, now=self.now, **options)
        self.take()
        return result

    def run(self, until):
        while (due := self.relays.deadline()) <= until:
            self.now = max(due, self.now)
            self.do("handle_timer")
            assert self.relays.deadline() > self.now
        self.now = until

    def told(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def requests(self):
        """Requests in the order of sending, each with its action."""
        decoded = [(one, decode_untrusted(one.data)) for one in self.sent if is_stun(one.data)]
        return [(one, message) for one, message in decoded if message.message_class is MessageClass.REQUEST]

    def asked(self, method):
        return [message for _, message in self.requests if message.method is method]

    def open(self):
        """The newest socket opens."""
        action = [one for one in self.actions if isinstance(one, OpenSocket)][-1]
        self.do("handle_socket_opened", action.socket, Address(action.bind.host, 41000))
        return action.socket

    def feed(self, action, data, source=None):
        if isinstance(action, SendStream):
            return self.do("unwrap_stream", action.socket, data)
        return self.do("unwrap", action.socket, [(source or action.destination, data)])

    def answer(self, *attributes, method=None, code=None, index=-1):
        """Answer the newest request (of a method)."""
        action, request = [one for one in self.requests if method in (None, one[1].method)][index]
        content = [] if code is None else [(ERROR_CODE, ErrorCode(code, "no"))]
        kind = MessageClass.SUCCESS if code is None else MessageClass.ERROR
        key = KEY if request.has_integrity else None
        self.feed(action, encode(request.method, kind, request.transaction_id, [*content, *attributes], key=key))

    def challenge(self, **options):
        self.answer((REALM, "realm"), (NONCE, "nonce"), code=401, **options)

    def grant(self, *relayed):
        relayed = [(XOR_RELAYED_ADDRESS, address) for address in relayed or (RELAYED,)]
        self.answer(*relayed, (XOR_MAPPED_ADDRESS, MAPPED), (LIFETIME, 600), method=Method.ALLOCATE)

    def relay(self, *relayed, **options):
        """From nothing to a relay; the socket that its first address is."""
        relay = self.do("ask", question(**options))
        if options.get("transport", UDP) is not UDP:
            self.open()
        self.challenge()
        self.grant(*relayed)
        return relay, next(iter(relay.sockets.values()))

    def permit(self, socket, peer=PEER):
        self.do("permit", socket, peer)
        self.answer(method=Method.CREATE_PERMISSION)

    def wrap(self, socket, peer, data):
        action = self.do("wrap", socket, peer, data)
        if action is not None:
            self.sent.append(action)
        return action

    def closed(self):
        return [one.socket for one in self.actions if isinstance(one, CloseSocket)]
