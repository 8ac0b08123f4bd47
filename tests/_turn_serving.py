"""A TURN server with its listeners open, clients that have credentials, and what each is answered."""

from __future__ import annotations

from collections.abc import Iterable

from sansice.machine import (
    Address,
    CloseSocket,
    Event,
    OpenSocket,
    SendDatagram,
    SendDatagrams,
    SendStream,
    SocketError,
    SocketErrorKind,
    SocketId,
    Transport,
)
from sansice.stun import (
    CHANNEL_NUMBER,
    DATA,
    ERROR_CODE,
    NONCE,
    REALM,
    REQUESTED_TRANSPORT,
    USERNAME,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    Listener,
    Message,
    MessageClass,
    Method,
    ServerAuthentication,
    StaticUsers,
    StunServerConfig,
    TransactionId,
    decode_untrusted,
    encode,
    long_term_key,
)
from sansice.turn import TurnServer, TurnServerConfig

UDP, TCP, TLS, DTLS = Transport.UDP, Transport.TCP, Transport.TLS, Transport.DTLS
HOST, HOST6 = "198.51.100.1", "2001:db8::1"
LISTENERS = (
    Listener(UDP, Address(HOST, 3478)),
    Listener(UDP, Address(HOST6, 3478)),
    Listener(TCP, Address(HOST, 3478)),
    Listener(TLS, Address(HOST, 5349)),
    Listener(DTLS, Address(HOST, 5349)),
)
OF = {UDP: SocketId(1), TCP: SocketId(3), TLS: SocketId(4), DTLS: SocketId(5)}
"""The sockets of the listeners; the UDP listener of IPv6 is 2."""

CLIENT, CLIENT6 = Address("192.0.2.1", 32853), Address("2001:db8:1::1", 32853)
PEER, PEER6 = Address("8.8.4.4", 7000), Address("2606:4700::1", 7000)  # public: the default policy has nothing against them
REALM_TEXT = "example.org"
USERS = {"alice": "wonderland", "bob": "builder"}
START = 1000.0
UDP_RELAY = (REQUESTED_TRANSPORT, 17)
TCP_RELAY = (REQUESTED_TRANSPORT, 6)


def long_term(**options: object) -> ServerAuthentication:
    """Credentials of alice and bob."""
    return ServerAuthentication(realm=REALM_TEXT, lookup_key=StaticUsers(USERS, REALM_TEXT), **options)


class TurnServing:
    """A `TurnServer` that is running. What it wants and tells lands in `said`; sockets open as soon as it asks for them.

    Attributes:
        now: seconds; only `at` moves it.
        said: outputs since `take`, those apart that only open sockets.
        opened: what the server asked to be opened, by socket.
        refused: hosts and ports that the system refuses to bind, with the error.
        holding: sockets do not open by themselves.
        passwords: what clients know.
    """

    def __init__(self, listeners: Iterable[Listener] = LISTENERS, *, now: float = START, **options):
        policy = options.pop("policy", {})
        policy.setdefault("stun", StunServerConfig(rate=None))
        options.setdefault("authentication", long_term())
        self.now = now
        self.said = []
        self.opened: dict[SocketId, OpenSocket] = {}
        self.refused: dict[Address, SocketErrorKind] = {}
        self.holding = False
        self.passwords = dict(USERS)
        self.accepted = 0
        self.server = TurnServer(config=TurnServerConfig(**policy), **options)
        self.stats = self.server.stats
        self.server.start(listeners, now=now)
        self.settle()
        self.take()

    def settle(self) -> None:
        """Collect what the server says, and open what it asks for."""
        while outputs := self.server.take_outputs():
            for output in outputs:
                if type(output) is OpenSocket:
                    self.opened[output.socket] = output
                    if self.holding:
                        self.said.append(output)
                    else:
                        self.open(output)
                else:
                    self.said.append(output)

    def open(self, asked: OpenSocket) -> None:
        """Do as the system does with a request for a socket."""
        error = self.refused.get(asked.bind)
        if error is not None:
            self.server.handle_socket_failed(asked.socket, SocketError(error, "refused"), now=self.now)
        else:
            local = asked.bind if asked.bind.port else asked.bind._replace(port=40000 + asked.socket)
            self.server.handle_socket_opened(asked.socket, local, now=self.now)

    def take(self) -> list:
        """What was said since the last time."""
        self.settle()
        said, self.said = self.said, []
        return said

    def feed(self, socket: SocketId, *items: tuple[Address, bytes]) -> list:
        """Everything that a batch of datagrams leads to."""
        self.server.handle_datagrams(socket, items, now=self.now)
        return self.take()

    def allocations(self) -> tuple:
        """What there is."""
        return self.server.allocations(now=self.now)

    def at(self, now: float) -> list:
        """What the timer does until ``now``: (time, output), everything at its own time."""
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

    def client(self, address: Address = CLIENT, *, user: str = "alice", socket: SocketId = OF[UDP]) -> TurnUser:
        """Somebody with credentials at a UDP or DTLS listener."""
        return TurnUser(self, socket, address, user)

    def stream(self, address: Address = CLIENT, *, user: str = "alice", transport: Transport = TCP) -> TurnUser:
        """The same at the end of a stream that has just been opened."""
        self.accepted -= 1
        self.server.handle_accepted(OF[transport], SocketId(self.accepted), address, now=self.now)
        return TurnUser(self, SocketId(self.accepted), address, user, is_stream=True)


class TurnUser:
    """A client of a `TurnServing`, at one 5-tuple.

    Attributes:
        relays: sockets of its relayed addresses, once it has allocated, in the order of the answer.
        relayed: the addresses.
    """

    def __init__(self, serving: TurnServing, socket: SocketId, address: Address, user: str, *, is_stream: bool = False):
        self.serving = serving
        self.socket = socket
        self.address = address
        self.user = user
        self.is_stream = is_stream
        self.nonce: str | None = None
        self.count = 0
        self.relayed: tuple[Address, ...] = ()
        self.relays: tuple[SocketId, ...] = ()

    def send(self, data: bytes) -> list:
        """Everything that these bytes lead to."""
        if not self.is_stream:
            return self.serving.feed(self.socket, (self.address, data))
        self.serving.server.handle_stream_data(self.socket, data, now=self.serving.now)
        return self.serving.take()

    def id(self) -> TransactionId:
        """A transaction id of its own."""
        self.count += 1
        return TransactionId(self.count.to_bytes(4, "big") + self.address.port.to_bytes(8, "big"))

    def request(self, method: Method, *attributes, id: TransactionId | None = None, **options) -> bytes:
        """A request with credentials."""
        if self.nonce is None:
            self.nonce = self.answer(encode(Method.ALLOCATE, MessageClass.REQUEST, self.id(), [UDP_RELAY])).get(NONCE)
        credentials = [(USERNAME, self.user), (REALM, REALM_TEXT), (NONCE, self.nonce)]
        key = long_term_key(self.user, REALM_TEXT, self.serving.passwords.get(self.user, "guessed"))
        return encode(method, MessageClass.REQUEST, id or self.id(), [*attributes, *credentials], key=key, **options)

    def answers(self, outputs: Iterable) -> list[bytes]:
        """What of these outputs goes to this client."""
        found = []
        for output in outputs:
            if type(output) is SendDatagram and (output.socket, output.destination) == (self.socket, self.address):
                found.append(output.data)
            elif type(output) is SendDatagrams and output.socket == self.socket:
                found += [data for destination, data in output.items if destination == self.address]
            elif type(output) is SendStream and output.socket == self.socket:
                found.append(output.data)
        return found

    def answer(self, data: bytes) -> Message:
        """The one message that these bytes are answered with."""
        (answer,) = self.answers(self.send(data))
        return decode_untrusted(answer)

    def ask(self, method: Method, *attributes, **options) -> Message:
        """The answer to a request with credentials; with a new nonce where the old one is."""
        answer = self.answer(self.request(method, *attributes, **options))
        if code_of(answer) == 438:
            self.nonce = answer.get(NONCE)
            answer = self.answer(self.request(method, *attributes, **options))
        return answer

    def code(self, method: Method, *attributes, **options) -> int:
        """The error code of the answer; 0 for success."""
        return code_of(self.ask(method, *attributes, **options))

    def allocate(self, *attributes, **options) -> Message:
        """Get an allocation, and know its relayed addresses."""
        before = set(self.serving.opened)
        answer = self.ask(Method.ALLOCATE, UDP_RELAY, *attributes, **options)
        assert code_of(answer) == 0, answer.get(ERROR_CODE)
        self.relayed = answer.get_all(XOR_RELAYED_ADDRESS)
        sockets = {asked.bind: socket for socket, asked in self.serving.opened.items() if socket not in before}
        self.relays = tuple(sockets[one] for one in self.relayed if one in sockets)
        return answer

    def permit(self, *peers: Address) -> int:
        """Install permissions; the error code."""
        return self.code(Method.CREATE_PERMISSION, *((XOR_PEER_ADDRESS, peer) for peer in peers))

    def bind(self, number: int, peer: Address) -> int:
        """Bind a channel; the error code."""
        return self.code(Method.CHANNEL_BIND, (CHANNEL_NUMBER, number), (XOR_PEER_ADDRESS, peer))

    def indicate(self, peer: Address, data: bytes, *attributes) -> list:
        """What a Send indication leads to."""
        listed = [(XOR_PEER_ADDRESS, peer), (DATA, data), *attributes]
        return self.send(encode(Method.SEND, MessageClass.INDICATION, self.id(), listed))

    def hear(self, peer: Address, data: bytes, *, relay: int = 0) -> list[bytes]:
        """What reaches the client of a datagram that a peer sends to a relayed address."""
        return self.answers(self.serving.feed(self.relays[relay], (peer, data)))


def code_of(answer: Message) -> int:
    """The error code of an answer; 0 for success."""
    error = answer.get(ERROR_CODE)
    return 0 if error is None else error.code


def sent_to_peers(outputs: Iterable, socket: SocketId) -> list[tuple[Address, bytes]]:
    """What leaves through a relayed address."""
    found = []
    for output in outputs:
        if type(output) is SendDatagram and output.socket == socket:
            found.append((output.destination, output.data))
        elif type(output) is SendDatagrams and output.socket == socket:
            found += output.items
    return found


def closed(outputs: Iterable) -> list[SocketId]:
    """The sockets that these outputs close."""
    return [output.socket for output in outputs if type(output) is CloseSocket]


def told(outputs: Iterable) -> list[Event]:
    """The events among these outputs."""
    return [output for output in outputs if isinstance(output, Event)]
