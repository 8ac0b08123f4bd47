"""What is fuzzed. A target takes bytes and raises when a promise is broken; it catches nothing but what is promised.

Machines are told bytes as a sequence of inputs, cut by `pieces`, so that the fuzzer also learns order and time.
"""

from __future__ import annotations

from collections.abc import Callable

from fuzz._connection_targets import CONNECTION_TARGETS
from fuzz._running import HOST, PEER, STEP, fixed_entropy, pieces
from fuzz._turn_targets import TURN_TARGETS
from sansice import Address, Machine, OpenSocket, SendDatagram, SocketId, Transport
from sansice.ice import (
    Candidate,
    Credentials,
    Description,
    IceAgent,
    LiteAgent,
    OfferAnswer,
    SessionDescription,
    SessionSdp,
    TrickleFragment,
    TrickleReceiver,
    find_mismatches,
)
from sansice.machine import DecodeError
from sansice.stun import (
    PENDING,
    BehaviorDiscovered,
    BehaviorDiscovery,
    BehaviorFailed,
    BindingLookup,
    BindingLookupFailed,
    Found,
    Listener,
    MappedAddressDiscovered,
    Rfc4571Framer,
    ServerAuthentication,
    ServerUri,
    ShortTermCredentials,
    StaticUsers,
    StreamFramer,
    StunServer,
    StunServerConfig,
    decode_untrusted,
    demultiplex,
    is_stun,
    short_term_key,
)
from sansice.stun._attributes import REGISTRY

KEY = short_term_key("password")
ENDS = (MappedAddressDiscovered, BindingLookupFailed, BehaviorDiscovered, BehaviorFailed)
MOST_SENT = 2000  # datagrams until a look-up or a discovery ends


def message(data: bytes) -> None:
    """Only DecodeError, and no attribute is lost or invented."""
    if data:
        demultiplex(data[0], quic=bool(data[0] & 1), from_turn_server=bool(data[0] & 2))
    try:
        decoded = decode_untrusted(data)
    except DecodeError:
        return
    assert is_stun(data)
    for attribute in REGISTRY.values():
        try:
            decoded.get(attribute)
        except DecodeError:
            continue
    decoded.verify(KEY)
    decoded.verify(KEY, minimum_sha256=16)
    decoded.unknown_required()
    assert sum(4 + len(raw) + -len(raw) % 4 for _, raw in decoded.attributes()) == len(data) - 20
    repr(decoded)


def stream(data: bytes) -> None:
    """However a stream is cut, the frames and the error are the same; no more than one frame is kept."""
    for make in (StreamFramer, lambda: StreamFramer(channel_data=True), Rfc4571Framer):
        _compare_cuts(make, data)


def _compare_cuts(make: Callable[[], StreamFramer | Rfc4571Framer], data: bytes) -> None:
    limit = 65_600 + 4
    whole = make()
    frames = whole.feed(data)
    assert whole.error is not None or whole.pending <= limit
    assert all(type(frame) is bytes and frame for frame in frames)
    size = 1 + len(data) % 7
    cut = make()
    again = [frame for start in range(0, len(data), size) for frame in cut.feed(data[start : start + size])]
    assert again == frames, f"{frames} when whole, {again} in steps of {size}"
    assert cut.error is whole.error
    assert whole.error is not None or cut.pending == whole.pending


def uri(data: bytes) -> None:
    """Only ValueError, and what was parsed is written so that it parses to the same."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        parsed = ServerUri.parse(text)
    except ValueError:
        return
    assert ServerUri.parse(str(parsed)) == parsed


def description(data: bytes) -> None:
    """Only ValueError from what a peer's signalling says, and what was read survives being written."""
    text = data.decode("utf-8", "surrogateescape")
    for read, write in (
        (Candidate.from_sdp, Candidate.to_sdp),
        (Description.from_sdp, Description.to_sdp),
        (Description.from_json, Description.to_json),
        (SessionDescription.from_json, SessionDescription.to_json),
    ):
        try:
            value = read(text)
        except ValueError:
            continue
        assert read(write(value)) == value  # type: ignore[operator, arg-type]


def session(data: bytes) -> None:
    """Only ValueError from an offer, which is written as it came; and its answer has ICE where the offer has it."""
    try:
        sdp = SessionSdp.from_sdp(data.decode("utf-8", "surrogateescape"))
    except ValueError:
        return
    assert SessionSdp.from_sdp(sdp.to_sdp()) == sdp
    dialog = OfferAnswer()
    received = dialog.receive_offer(sdp)
    mids = dict.fromkeys(sdp.tags.values())
    own = Description("ours", "o" * 22, candidates=[Candidate.from_sdp("1 1 udp 1 192.0.2.1 5000 typ host")], options=["ice2"])
    answered = dialog.answer(sdp, SessionDescription([own] * len(mids), mids=mids) if mids else None)
    assert answered.descriptions == dict.fromkeys(received.descriptions, own)
    assert not find_mismatches(answered) or any(section.transport is Transport.TCP for section in sdp.sections)


def fragment(data: bytes) -> None:
    """Only ValueError from a body, which survives being written; it says each candidate once, and never another generation's."""
    try:
        body = TrickleFragment.from_sdp(data.decode("utf-8", "surrogateescape"))
    except ValueError:
        return
    assert TrickleFragment.from_sdp(body.to_sdp()) == body
    receiver = TrickleReceiver()
    stream = Description("abcd", "p" * 22, options=["trickle"], end_of_candidates=False)
    receiver.set_remote(SessionDescription([stream, stream]))
    news = receiver.receive(body)
    assert sum(len(one.candidates) for one in news) <= sum(len(section.candidates) for section in body.sections)
    assert receiver.receive(body) == ()
    assert all(one.ufrag == "abcd" for one in news)


def agent(data: bytes) -> None:
    """An agent takes any datagrams at any time, and connects to nobody who does not know its password."""
    machine = IceAgent(controlling=True, credentials=Credentials("ufra", "p" * 22), entropy=fixed_entropy())
    machine.gather([HOST.host], now=0.0)
    (socket,) = (output.socket for output in machine.take_outputs() if hasattr(output, "bind"))
    machine.handle_socket_opened(socket, HOST, now=0.0)
    candidates = [Candidate.from_sdp(f"1 1 udp 2130706431 {PEER.host} {PEER.port} typ host")]
    machine.set_remote(Description("peer", "q" * 22, candidates=candidates), now=0.0)
    feed_datagrams(machine, socket, data)
    assert machine.selected_pair is None


def lite(data: bytes) -> None:
    """A lite agent takes any datagrams at any time, checks nothing itself, and follows nobody who does not know its password."""
    machine = LiteAgent(controlling=True, credentials=Credentials("ufra", "p" * 22), entropy=fixed_entropy())
    machine.gather([HOST.host], now=0.0)
    (socket,) = (output.socket for output in machine.take_outputs() if isinstance(output, OpenSocket))
    machine.handle_socket_opened(socket, HOST, now=0.0)
    if not data[:1] or data[0] & 1:  # else the checks come before the peer is known
        machine.set_remote(Description("peer", "q" * 22), now=0.0)
    feed_datagrams(machine, socket, data[1:])
    assert machine.pairs == () and machine.remote_candidates == () and not machine.writable


def feed_datagrams(machine: Machine, socket: SocketId, data: bytes, source: Address = PEER) -> None:
    """Each piece as a datagram; an empty one lets the machine's own deadline pass. Every output is drained and dropped."""
    now = 0.0
    for piece in pieces(data):
        now += STEP
        if piece:
            machine.handle_datagrams(socket, [(source, piece)], now=now)
        elif machine.deadline() < 1e9:
            now = max(now, machine.deadline())
            machine.handle_timer(now=now)
            assert machine.deadline() > now
        machine.take_outputs()


def server(data: bytes) -> None:
    """A server answers whatever comes, or does not."""
    serve(StunServer(entropy=fixed_entropy()), AT_HOST, data)


def authenticated_server() -> StunServer:
    """One that knows one user, and must look up all others."""
    users = StaticUsers({"user": "password"}, "realm")

    def look_up(username: str | bytes, realm: str, unix: float) -> Found:
        return users(username, realm, unix) or PENDING

    authentication = ServerAuthentication(realm="realm", lookup_key=look_up, userhash=True, entropy=fixed_entropy())
    return StunServer(authentication=authentication, entropy=fixed_entropy())


def server_authenticated(data: bytes) -> None:
    """The same, where every request must be authenticated and slow look-ups wait for a key."""
    serve(authenticated_server(), AT_HOST, data)


def server_behavior(data: bytes) -> None:
    """The same, with RFC 5780: two addresses and two ports."""
    corners = [Listener(Transport.UDP, Address(host, port)) for host in (HOST.host, "192.0.2.2") for port in (3478, 3479)]
    serve(StunServer(config=StunServerConfig(behavior=True), entropy=fixed_entropy()), corners, data)


AT_HOST = [Listener(Transport.UDP, HOST), Listener(Transport.TCP, HOST)]


def started(machine: StunServer, listeners: list[Listener]) -> tuple[StunServer, SocketId, SocketId]:
    """The server with its sockets open, the first and the last of them."""
    machine.handle_wall_clock(1e9, now=0.0)
    machine.start(listeners, now=0.0)
    opened = [output for output in machine.take_outputs() if isinstance(output, OpenSocket)]
    for one in opened:
        machine.handle_socket_opened(one.socket, one.bind, now=0.0)
    machine.take_outputs()
    return machine, opened[0].socket, opened[-1].socket


def serve(machine: StunServer, listeners: list[Listener], data: bytes) -> None:
    """Each piece as a datagram, and then as what one read of a stream brings."""
    _, first, last = started(machine, listeners)
    feed_datagrams(machine, first, data)
    if listeners[-1].transport is not Transport.TCP:
        return
    now = 1e6  # whatever waited is over
    machine.handle_timer(now=now)
    connection = SocketId(-1)
    machine.handle_accepted(last, connection, PEER, now=now)
    for piece in pieces(data):
        now += STEP
        machine.handle_stream_data(connection, piece, now=now)
        machine.take_outputs()


def lookup(data: bytes) -> None:
    """A look-up of an address ends once, whatever the name server and the servers say."""
    machine = BindingLookup("stun:192.0.2.7:5000", credentials=ShortTermCredentials("user", "password"), entropy=fixed_entropy())
    machine.start(now=0.0)
    (opened,) = (output for output in machine.take_outputs() if isinstance(output, OpenSocket))
    machine.handle_socket_opened(opened.socket, HOST, now=0.0)
    _until_the_end(machine, data)


def discovery(data: bytes) -> None:
    """Behaviour discovery ends once, and asks a bounded number of questions, whatever the server says."""
    machine = BehaviorDiscovery("stun:192.0.2.7:5000", entropy=fixed_entropy())
    machine.start(now=0.0)
    (opened,) = (output for output in machine.take_outputs() if isinstance(output, OpenSocket))
    machine.handle_socket_opened(opened.socket, HOST, now=0.0)
    _until_the_end(machine, data)


def _until_the_end(machine: Machine, data: bytes) -> None:
    """Each piece answers what was asked last; then there is silence until the machine has nothing more to wait for."""
    now, sent, ends = 0.0, 0, 0
    answers = pieces(data)
    port = HOST.port
    while ends == 0:
        asked, opened = None, False
        for output in machine.take_outputs():
            ends += type(output) in ENDS
            if isinstance(output, SendDatagram):
                sent += 1
                asked = output
            elif isinstance(output, OpenSocket):
                opened = True
                port += 1
                machine.handle_socket_opened(output.socket, Address(HOST.host, port), now=now)
        piece = next(answers, b"") if asked is not None else b""
        if asked is not None and piece:  # with the id of the question, or nothing behind it would ever be reached
            now += STEP
            answer = piece[:8] + asked.data[8:20] + piece[20:]
            machine.handle_datagrams(asked.socket, [(asked.destination, answer)], now=now)
        elif not opened and ends == 0:
            assert machine.deadline() < 1e9, "it waits for nothing, and has not ended"
            now = max(now, machine.deadline())
            machine.handle_timer(now=now)
        assert sent < MOST_SENT
    assert ends == 1


TARGETS: dict[str, Callable[[bytes], None]] = {
    "message": message,
    "stream": stream,
    "uri": uri,
    "description": description,
    "session": session,
    "fragment": fragment,
    "agent": agent,
    "lite": lite,
    "server": server,
    "server_authenticated": server_authenticated,
    "server_behavior": server_behavior,
    "lookup": lookup,
    "discovery": discovery,
    **CONNECTION_TARGETS,
    **TURN_TARGETS,
}
