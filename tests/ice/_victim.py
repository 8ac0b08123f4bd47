"""Agents that are attacked, with what they send counted; around them an honest peer, and a TURN server for those that have one.

`Victim.of` makes one of each of `KINDS`; after an attack `Victim.connects` says whether the honest peer still connects.
"""

import gc
import tracemalloc

from ice._wire import OURS, THEIRS, Entropy, at, candidate
from sansice.ice import (
    Credentials,
    DataReceived,
    Description,
    GatheringOptions,
    IceAgent,
    IceConfig,
    IceServer,
    IceState,
    LiteAgent,
    SessionDescription,
)
from sansice.machine import Action, CloseSocket, OpenSocket, Resolve, SendDatagram, SocketId
from sansice.stun import (
    DATA,
    ERROR_CODE,
    ICE_CONTROLLED,
    ICE_CONTROLLING,
    LIFETIME,
    NONCE,
    PRIORITY,
    REALM,
    USE_CANDIDATE,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    ErrorCode,
    MessageClass,
    Method,
    TransactionId,
    decode_untrusted,
    encode,
    is_stun,
    long_term_key,
    short_term_key,
)

FULL, LITE, RELAYED, RESTARTING = KINDS = ("full", "lite", "with a relay", "restarting with two streams")
PEER = at("198.51.100.1", 5000)
SERVER = at("198.51.100.53", 3478)
MAPPED = at("203.0.113.7", 50000)
RELAY_ADDRESS = at("198.51.100.53", 60000)
KEY = long_term_key("user", "realm", "secret")
RENEWED = Credentials("renewed", "renewedPasswordIsTwentyTwo")
STREAMS, COMPONENTS = 2, 2


class TurnServer:
    """Grants whatever is asked, or what a test makes of it: the methods say what is answered."""

    def __init__(self):
        self.asked = []

    def challenge(self):
        return [(ERROR_CODE, ErrorCode(401, "")), (REALM, "realm"), (NONCE, "nonce")]

    def allocate(self):
        return [(XOR_RELAYED_ADDRESS, RELAY_ADDRESS), (XOR_MAPPED_ADDRESS, MAPPED), (LIFETIME, 600)]

    def binding(self):
        return [(XOR_MAPPED_ADDRESS, MAPPED)]

    def refresh(self, lifetime):
        return [(LIFETIME, 600 if lifetime is None else lifetime)]

    def answer(self, data):
        """To a request; ``None`` to anything else."""
        if not is_stun(data):
            return None
        request = decode_untrusted(data)
        if request.message_class is not MessageClass.REQUEST:
            return None
        self.asked.append(request)
        if request.method is Method.BINDING:
            content = self.binding()
        elif not request.has_integrity:
            content = self.challenge()
        elif request.method is Method.ALLOCATE:
            content = self.allocate()
        else:
            content = self.refresh(request.get(LIFETIME)) if request.method is Method.REFRESH else []
        is_error = any(attribute is ERROR_CODE for attribute, _ in content)
        return encode(
            request.method,
            MessageClass.ERROR if is_error else MessageClass.SUCCESS,
            request.transaction_id,
            content,
            key=KEY if request.has_integrity else None,
            fingerprint=request.method is Method.BINDING,
        )


class Victim:
    """An agent, and how many bytes it has been sent and has sent."""

    def __init__(self, kind, agent, *, streams=1, server=None, others=None):
        self.kind, self.agent = kind, agent
        self.now = 0.0
        self.server = server or TurnServer()
        self.honest = False
        self.others = others or {}  # TURN servers at other addresses
        self.sent, self.events, self.places, self.closed = [], [], {}, []
        self.bytes_in = self.bytes_out = 0
        self.streams = streams
        self.theirs = THEIRS
        self._number = 0

    @classmethod
    def of(cls, kind, *, config=None, server=None, others=None, known=True, **options):
        """One that has gathered, and knows its peer unless told otherwise."""
        options = {"config": config or IceConfig(), "entropy": Entropy(()), **options}
        if kind == LITE:
            victim = cls(kind, LiteAgent(controlling=False, credentials=OURS, **options))
        elif kind == RESTARTING:
            agent = IceAgent(controlling=True, credentials=OURS, streams=STREAMS, components=COMPONENTS, **options)
            victim = cls(kind, agent, streams=STREAMS)
        else:
            if kind == RELAYED:
                options.setdefault("servers", (IceServer("turn:198.51.100.53?transport=udp", "user", "secret"),))
                options.setdefault("gathering", GatheringOptions(relayed_family=4))
            victim = cls(kind, IceAgent(controlling=True, credentials=OURS, **options), server=server, others=others)
        victim.call(victim.agent.gather, ["192.0.2.1"])
        victim.run(1.0)
        if known:
            victim.tell()
            if kind == RESTARTING:
                assert victim.connects()
                victim.honest = False
                victim.call(victim.agent.restart, credentials=RENEWED)
        victim.bytes_in = victim.bytes_out = 0
        return victim

    @property
    def is_lite(self):
        return self.kind == LITE

    # ------------------------------------------------------------- the driver

    def drain(self):
        for output in self.agent.take_outputs():
            if isinstance(output, OpenSocket):
                self.places[output.socket] = at(output.bind.host, 4000 + output.socket)
                self.agent.handle_socket_opened(output.socket, self.places[output.socket], now=self.now)
                self.drain()
            elif isinstance(output, SendDatagram):
                self.sent.append((self.now, output))
                self.bytes_out += len(output.data)
                self.reply(output)
            elif isinstance(output, CloseSocket):
                self.places.pop(output.socket, None)
                self.closed.append(output.socket)
            else:
                assert isinstance(output, Resolve) or not isinstance(output, Action), output
                self.events.append(output)

    def reply(self, sent):
        """What the TURN server and the honest peer make of a datagram."""
        if sent.destination.host == SERVER.host:
            answer = self.others.get(sent.destination, self.server).answer(sent.data)
            if answer is not None:
                self.arrive(sent.destination, answer, sent.socket)
        elif self.honest and sent.destination.host == PEER.host and is_stun(sent.data):
            answer = self.answer_of(sent)
            if answer is not None:
                self.arrive(sent.destination, answer, sent.socket)

    def answer_of(self, sent, *, code=None, mapped=None):
        """What an honest peer says to a check."""
        check = decode_untrusted(sent.data)
        if check.message_class is not MessageClass.REQUEST or check.method is not Method.BINDING:
            return None
        seen = mapped or self.places.get(sent.socket, MAPPED)
        content = [(XOR_MAPPED_ADDRESS, seen)] if code is None else [(ERROR_CODE, ErrorCode(code, ""))]
        kind = MessageClass.SUCCESS if code is None else MessageClass.ERROR
        key = short_term_key(self.theirs.pwd)
        return encode(Method.BINDING, kind, check.transaction_id, content, key=key, fingerprint=True)

    def call(self, command, *arguments, **options):
        result = command(*arguments, now=self.now, **options)
        self.drain()
        return result

    def run(self, seconds):
        end = self.now + seconds
        while (due := self.agent.deadline()) <= end:
            self.now = max(due, self.now)
            self.agent.handle_timer(now=self.now)
            assert self.agent.deadline() > self.now
            self.drain()
        self.now = end

    def arrive(self, source, data, socket=None):
        """A datagram comes from somebody, on the first socket unless told."""
        self.bytes_in += len(data)
        self.call(self.agent.handle_datagrams, SocketId(1) if socket is None else socket, [(source, data)])

    def relay(self, peer, data):
        """The TURN server brings a datagram of a peer's."""
        tid = TransactionId(b"brought" + self.next().to_bytes(5, "big"))
        wrapped = encode(Method.DATA, MessageClass.INDICATION, tid, [(XOR_PEER_ADDRESS, peer), (DATA, data)])
        self.arrive(SERVER, wrapped)

    # ------------------------------------------------------------- the peer

    def next(self):
        self._number += 1
        return self._number

    def tell(self, *candidates, credentials=None, complete=False):
        """Give the agent the peer's description: the honest candidates, and more."""
        self.theirs = credentials or self.theirs
        components = range(1, COMPONENTS + 1 if self.streams > 1 else 2)
        described = [
            Description(
                self.theirs.ufrag,
                self.theirs.pwd,
                candidates=[
                    *(candidate(PEER.host, PEER.port + 10 * stream + number, component=number) for number in components),
                    *candidates,
                ],
                end_of_candidates=complete,
            )
            for stream in range(self.streams)
        ]
        self.call(self.agent.set_remote, SessionDescription(described))

    def check(self, *attributes, tid=None, key=None, ours=None, theirs=None, nominate=False, message_class=MessageClass.REQUEST):
        """A check of somebody who knows the password, unless ``key`` is another."""
        ours = ours or self.agent.credentials
        theirs = self.theirs if theirs is None else theirs
        return encode(
            Method.BINDING,
            message_class,
            TransactionId((self.next() if tid is None else tid).to_bytes(12, "big")),
            [
                (USERNAME, f"{ours.ufrag}:{theirs.ufrag}"),
                (PRIORITY, 1862270975),
                (ICE_CONTROLLED if self.agent.role.value == "controlling" else ICE_CONTROLLING, 1),
                *([(USE_CANDIDATE, None)] if nominate else []),
                *attributes,
            ],
            key=key or short_term_key(ours.pwd),
            fingerprint=True,
        )

    def checks_sent(self):
        """The agent's checks, retransmissions included: when, and what."""
        return [
            (when, one)
            for when, one in self.sent
            if is_stun(one.data) and one.data[:2] == b"\x00\x01" and one.destination.host != SERVER.host
        ]

    def connects(self, within=90.0):
        """Whether the honest peer now connects, and data flows to it and from it."""
        self.honest = True
        agent = self.agent
        if self.is_lite:
            self.arrive(at(PEER.host, PEER.port + 1), self.check(nominate=True), next(reversed(self.places)))
        for _ in range(round(within)):
            if agent.state is IceState.COMPLETED and not self.is_restarting:
                break
            self.run(1.0)
        if agent.state is not IceState.COMPLETED:
            return False
        for stream, components in enumerate(agent.components):
            for component in range(1, components + 1):
                before = len(self.sent)
                self.call(agent.send, b"\x80hello", stream=stream, component=component)
                ((_, one),) = self.sent[before:]
                self.arrive(one.destination, b"\x80echo", one.socket)
                if not isinstance(self.events[-1], DataReceived):
                    return False
        return True

    @property
    def is_restarting(self):
        places = [(stream, number + 1) for stream, count in enumerate(self.agent.components) for number in range(count)]
        return any(self.agent.selected_pair_of(*place) is None for place in places)

    # ------------------------------------------------------------- what it costs

    def forget(self):
        """What the test itself remembers."""
        self.sent.clear()
        self.events.clear()
        self.closed.clear()
        self.server.asked.clear()


def growth(victim, attack, waves=3):
    """Bytes that a wave of an attack leaves in an agent, once all its tables and caches have the size that they have."""
    gained = []
    tracemalloc.start()
    try:
        for _ in range(waves + 1):
            attack()
            victim.forget()
            gc.collect()
            gained.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    return gained[-1] - gained[-2]
