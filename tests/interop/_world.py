"""Two agents, or an agent and a peer that plays by a script, in a simulated network."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

import attrs

from sansice import Address, DropReason, Ids, Machine, OpenSocket, SendDatagram, SocketId, Transport
from sansice.ice import (
    Candidate,
    CandidateType,
    Credentials,
    DataReceived,
    Description,
    IceAgent,
    IceState,
    IceStateChanged,
    PairSelected,
    candidate_priority,
)
from sansice.simulation import Fate, Host, Link, Network, Node
from sansice.stun import (
    ICE_CONTROLLING,
    PRIORITY,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    IntegrityKey,
    Message,
    MessageClass,
    Method,
    decode_untrusted,
    encode,
    is_stun,
    new_transaction_id,
    short_term_key,
)

A_HOST, B_HOST, STRANGER_HOST = "192.0.2.1", "198.51.100.1", "203.0.113.99"


@attrs.frozen
class End:
    """An agent, and the node that runs it."""

    host: Host
    agent: IceAgent
    node: Node

    @property
    def address(self) -> Address:
        """Where its first host candidate is."""
        return self.agent.local_candidates[0].address

    @property
    def socket(self) -> SocketId:
        """The socket of that candidate."""
        return next(socket for socket, local in self.node.sockets.items() if local == self.address)

    def events(self, kind: type) -> list[tuple[float, object]]:
        """The events of one type, with their times."""
        return [(at, event) for at, event in self.node.events if type(event) is kind]

    def received(self) -> list[bytes]:
        """The data delivered to the application."""
        return [event.data for _, event in self.events(DataReceived)]

    def states(self) -> list[tuple[float, IceState]]:
        """The states entered, with their times."""
        return [(at, event.new) for at, event in self.events(IceStateChanged)]

    def dropped(self, reason: DropReason) -> int:
        """A counter."""
        return self.agent.stats.dropped[reason]

    def set_remote(self, description: Description) -> None:
        """Tell it the peer's."""
        self.node.call(self.agent.set_remote, description)

    def send(self, data: bytes) -> None:
        """Send application data."""
        self.node.call(self.agent.send, data)


def make_end(net: Network, name: str, *addresses: str, controlling: bool, behind=None, **options: object) -> End:
    """An agent that has gathered its host candidates."""
    host = net.host(name, *addresses, behind=behind)
    agent = IceAgent(controlling=controlling, entropy=host.entropy, **options)
    node = host.run(agent)
    node.call(agent.gather, host.addresses)
    return End(host, agent, node)


def make_pair(net: Network, **options: object) -> tuple[End, End]:
    """A controlling and a controlled agent with one address each, not introduced yet."""
    return (
        make_end(net, "A", A_HOST, controlling=True, **options),
        make_end(net, "B", B_HOST, controlling=False, **options),
    )


def introduce(a: End, b: End) -> None:
    """Tell each the other's description, at this instant."""
    a.set_remote(b.agent.local_description)
    b.set_remote(a.agent.local_description)


def connect(net: Network, a: End, b: End, *, within: float = 10.0) -> None:
    """Introduce the two and run until both have selected a pair."""
    introduce(a, b)
    assert net.run(until=net.now + within, when=lambda: both_selected(a, b)), a.agent.explain() + b.agent.explain()


def both_selected(a: End, b: End) -> bool:
    """Whether both have selected a pair."""
    return a.agent.selected_pair is not None and b.agent.selected_pair is not None


def talk(net: Network, a: End, b: End) -> bool:
    """Whether data gets through in both directions now, exactly once and unchanged."""
    before = len(a.received()), len(b.received())
    a.send(b"from a")
    b.send(b"from b")
    net.run(until=net.now + 5)
    return (a.received()[before[0] :], b.received()[before[1] :]) == ([b"from b"], [b"from a"])


def candidate(
    address: Address, type: CandidateType = CandidateType.HOST, *, foundation: str = "1", **changes: object
) -> Candidate:
    """A remote candidate for component 1 with the recommended priority."""
    values = {
        "foundation": foundation,
        "component": 1,
        "transport": Transport.UDP,
        "priority": candidate_priority(type, 65535, 1),
        "address": address,
        "type": type,
        "related_address": None if type is CandidateType.HOST else Address("0.0.0.0", 9),
    }
    return Candidate(**(values | changes))


def describe(credentials: Credentials, candidates: Iterable[Candidate], **changes: object) -> Description:
    """A description by hand."""
    return Description(credentials.ufrag, credentials.pwd, candidates=candidates, options=("ice2",), **changes)


def sent(net: Network, name: str) -> list[tuple[float, Address, Message]]:
    """The STUN messages that left a host: when, to whom, what. Needs a network with a trace."""
    return [
        (passage.time, passage.packet.destination, decode_untrusted(passage.packet.data))
        for passage in net.packets
        if passage.fate is Fate.SENT and passage.place == name and is_stun(passage.packet.data)
    ]


def requests(net: Network, name: str) -> list[tuple[float, Address, Message]]:
    """The Binding requests among them."""
    return [entry for entry in sent(net, name) if entry[2].message_class is MessageClass.REQUEST]


def answers(net: Network, name: str) -> list[Message]:
    """The responses among them."""
    return [message for _, _, message in sent(net, name) if message.message_class in (MessageClass.SUCCESS, MessageClass.ERROR)]


# What is not an agent


class ScriptedPeer(Machine):
    """One socket, credentials, and a function that makes the answer to each request.

    Attributes:
        address: where it is.
        requests: every authentic request that came.
        responses: every response that came.
    """

    def __init__(self, host: str, answer: Callable[[Message, Address, IntegrityKey], bytes | None]) -> None:
        super().__init__()
        self.credentials = Credentials("scripted", "scripted-by-hand-00000".replace("-", "+"))
        self.requests: list[Message] = []
        self.responses: list[Message] = []
        self.address = Address(host, 4000)
        self._answer = answer
        self._key = short_term_key(self.credentials.pwd)
        self._socket = Ids().socket()
        self._outputs.append(OpenSocket(self._socket, Transport.UDP, self.address))

    @property
    def description(self) -> Description:
        """What the agent is told."""
        return describe(self.credentials, [candidate(self.address)])

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        for source, data in batch:
            if not is_stun(data):
                continue
            message = decode_untrusted(data)
            if message.message_class is not MessageClass.REQUEST:
                self.responses.append(message)
            elif message.verify(self._key):
                self.requests.append(message)
                reply = self._answer(message, source, self._key)
                if reply is not None:
                    self.send(source, reply, now=now)

    def send(self, destination: Address, data: bytes, *, now: float) -> None:
        """Send whatever the test wants sent."""
        self._outputs.append(SendDatagram(self._socket, destination, data))


def succeed(request: Message, source: Address, key: IntegrityKey) -> bytes:
    """The answer of an ordinary peer."""
    return encode(
        Method.BINDING, MessageClass.SUCCESS, request.transaction_id, [(XOR_MAPPED_ADDRESS, source)], key=key, fingerprint=True
    )


def silence(request: Message, source: Address, key: IntegrityKey) -> None:
    """No answer."""


def check_of(
    peer: Credentials, agent: Credentials, *, without: Iterable[object] = (), extra: Iterable = (), fingerprint: bool = True
) -> bytes:
    """A check that ``peer``, which controls, would send to ``agent``."""
    attributes = [(USERNAME, f"{agent.ufrag}:{peer.ufrag}"), (PRIORITY, 0x6E0001FF), (ICE_CONTROLLING, 2**64 - 1), *extra]
    kept = [(attribute, value) for attribute, value in attributes if attribute not in without]
    key = short_term_key(agent.pwd)
    return encode(Method.BINDING, MessageClass.REQUEST, new_transaction_id(_ID), kept, key=key, fingerprint=fingerprint)


_ID = random.Random("transaction ids").randbytes


class Repeater(Machine):
    """What a TURN server or a two-socket proxy is to a path: what comes in at one port leaves from the other."""

    def __init__(self, host: str) -> None:
        super().__init__()
        ids = Ids()
        self.sides = (Address(host, 5001), Address(host, 5002))
        self._sockets = tuple(ids.socket() for _ in self.sides)
        self._targets: dict[SocketId, Address] = {}
        self._outputs.extend(
            OpenSocket(socket, Transport.UDP, side) for socket, side in zip(self._sockets, self.sides, strict=True)
        )

    def join(self, a: Address, b: Address) -> None:
        """Carry packets between ``a``, which talks to the first side, and ``b``, which talks to the second."""
        first, second = self._sockets
        self._targets = {first: b, second: a}

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        first, second = self._sockets
        out = second if socket == first else first
        self._outputs.extend(SendDatagram(out, self._targets[socket], data) for _, data in batch)


@attrs.frozen
class TwoPaths:
    """Two agents that reach each other only through two repeaters: one told as host candidates, one as relayed ones."""

    net: Network
    a: End
    b: End
    direct: Repeater
    relay: Repeater

    @classmethod
    def build(cls, *, direct_rtt: float, relay_rtt: float, seed: int = 0) -> TwoPaths:
        """The round-trip times are in seconds."""
        net = Network(seed=seed)
        repeaters = []
        for name, host, rtt in (("direct", "203.0.113.1", direct_rtt), ("relay", "203.0.113.2", relay_rtt)):
            # A round trip crosses the repeater's access link four times.
            repeater = Repeater(host)
            net.host(name, host, link=Link(latency=rtt / 4)).run(repeater)
            repeaters.append(repeater)
        a, b = make_pair(net)
        for repeater in repeaters:
            repeater.join(a.address, b.address)
        return cls(net, a, b, *repeaters)

    def start_a(self) -> None:
        """A learns of B."""
        self._start(self.a, self.b, 0)

    def start_b(self) -> None:
        """B learns of A."""
        self._start(self.b, self.a, 1)

    def _start(self, end: End, peer: End, side: int) -> None:
        end.set_remote(
            describe(
                peer.agent.credentials,
                [
                    candidate(self.direct.sides[side]),
                    candidate(self.relay.sides[side], CandidateType.RELAYED, foundation="2"),
                ],
            )
        )

    def chosen(self) -> tuple[str, str]:
        """Which path each end has selected."""
        return self._chosen(self.a), self._chosen(self.b)

    def _chosen(self, end: End) -> str:
        pair = end.agent.selected_pair
        if pair is None:
            return "none"
        return "direct" if pair.remote.address in self.direct.sides else "relay"

    def settle(self, until: float = 30.0) -> None:
        """Run until both have selected, and long enough after it that a second thought would show."""
        assert self.net.run(until=until, when=lambda: both_selected(self.a, self.b)), self.a.agent.explain()
        self.net.run(until=self.net.now + 5)

    def selections(self) -> tuple[int, int]:
        """How often each end has selected a pair."""
        return len(self.a.events(PairSelected)), len(self.b.events(PairSelected))
