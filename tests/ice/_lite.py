"""A lite agent on the bench: `Bench` of `_wire` with a `LiteAgent`, and two agents of any kind in the simulation."""

import itertools
import os

from ice._wire import OURS, THEIRS, Bench, Entropy, at
from sansice.ice import Credentials, IceAgent, IceConfig, LiteAgent
from sansice.ice._binding import encode_check
from sansice.ice._gathering._host_list import HostList
from sansice.ice._gathering._options import DEFAULT_OPTIONS
from sansice.ice._lite._hosts import Hosts
from sansice.ice._role import IceRole
from sansice.machine import Address, Ids
from sansice.simulation import Network
from sansice.stun import IntegrityKey, TransactionId, short_term_key

PEER = at("198.51.100.1", 5000)
OTHER = at("198.51.100.2", 5000)
STRANGER = at("203.0.113.66", 6666)
NEW = Credentials("fresh", "freshPasswordIsTwentyTwo")
PEER_NEW = Credentials("theirNew", "theirNewPasswordIsTwentyTwo")
FULL = ("ice2",)
BEFORE_ICE2 = ()


class LiteBench(Bench):
    """A `Bench` whose agent is a lite one; ``peer_lite`` says what the peer is."""

    def __init__(
        self,
        *,
        controlling: bool = False,
        hosts: tuple[str, ...] = ("192.0.2.1",),
        remotes: tuple = (),
        options: tuple[str, ...] = FULL,
        peer_lite: bool = False,
        complete: bool = True,
        known: bool = True,
        gather: bool = True,
        config: IceConfig | None = None,
        **shape,
    ) -> None:
        self.now = 0.0
        self.sent, self.events, self.closed = [], [], []
        self.their_transactions = itertools.count(1)
        self.agent = LiteAgent(
            controlling=controlling, credentials=OURS, entropy=Entropy(()), config=config or IceConfig(), **shape
        )
        if gather:
            self.call(self.agent.gather, hosts)
        if known:
            self.tell(*remotes, options=options, lite=peer_lite, complete=complete)

    def nominate(self, source: Address = PEER, **options):
        """A nominating check of the peer's, and the answer."""
        options.setdefault("controlling", True)
        return self.request(source, use_candidate=True, **options)

    def check(self, source: Address = PEER, **options):
        """An ordinary check of the peer's, and the answer."""
        options.setdefault("controlling", True)
        return self.request(source, **options)

    @property
    def selected(self) -> Address | None:
        """Where data is sent."""
        pair = self.agent.selected_pair
        return None if pair is None else pair.remote.address


def connected(**options) -> LiteBench:
    """A lite agent whose pair with `PEER` was selected at 0.0."""
    bench = LiteBench(**options)
    bench.nominate()
    assert bench.selected == PEER
    return bench


def hosts_of(addresses, options=DEFAULT_OPTIONS, entropy=os.urandom, **known) -> Hosts:
    """The sockets that a lite agent has for these addresses; none is asked for yet."""
    hosts = Hosts(Ids(), options, entropy)
    hosts.use(HostList(addresses, **known))
    return hosts


def check_bytes(
    number: int = 1,
    *,
    ours: Credentials = OURS,
    theirs: str = THEIRS.ufrag,
    key: IntegrityKey | None = None,
    priority: int = 1862270975,
    use_candidate: bool = False,
    nomination: int = 0,
) -> bytes:
    """A check of the peer's as bytes, to be sent more than once or from several places."""
    return encode_check(
        TransactionId(number.to_bytes(12, "big")),
        username=f"{ours.ufrag}:{theirs}",
        key=key or short_term_key(ours.pwd),
        priority=priority,
        role=IceRole.CONTROLLING,
        tiebreaker=7,
        use_candidate=use_candidate,
        nomination=nomination,
    )


class Pairing:
    """Two agents on two hosts of a simulated Internet, ``a`` full or lite, ``b`` lite."""

    def __init__(self, *, a_lite=False, seed=1, a_hosts=("192.0.2.1",), b_hosts=("198.51.100.1",), nat=None, **options) -> None:
        self.net = Network(seed=seed, latency=0.01, **options.pop("network", {}))
        behind = self.net.nat("203.0.113.1", preset=nat) if nat else None
        a_host, b_host = self.net.host("A", *a_hosts, behind=behind), self.net.host("B", *b_hosts)
        make = LiteAgent if a_lite else IceAgent
        self.a = make(controlling=options.pop("a_controls", True), entropy=a_host.entropy, **options)
        self.b = LiteAgent(controlling=False, entropy=b_host.entropy, **options)
        self.node_a, self.node_b = a_host.run(self.a), b_host.run(self.b)
        self.node_a.call(self.a.gather, a_host.addresses)
        self.node_b.call(self.b.gather, b_host.addresses)
        self.net.run(until=0.05)

    def exchange(self) -> None:
        """Tell each the other's descriptions."""
        a, b = self.a.local_descriptions, self.b.local_descriptions
        self.node_a.call(self.a.set_remote, b)
        self.node_b.call(self.b.set_remote, a)

    @property
    def agree(self) -> bool:
        """Whether both have selected the same pair, seen from where there is no NAT: the lite side."""
        a, b = self.a.selected_pair, self.b.selected_pair
        return a is not None and b is not None and (a.local.address, a.remote.address) == (b.remote.address, b.local.address)

    def connect(self, within=60.0) -> bool:
        """Let time pass until both agree."""
        return self.net.run(until=self.net.now + within, when=lambda: self.agree)

    def echo(self) -> bool:
        """Whether data goes both ways."""
        self.node_a.call(self.a.send, b"from A")
        self.node_b.call(self.b.send, b"from B")
        self.net.run(until=self.net.now + 1.0)
        got_a = [event.data for _, event in self.node_a.events if hasattr(event, "data")]
        got_b = [event.data for _, event in self.node_b.events if hasattr(event, "data")]
        return got_a[-1:] == [b"from B"] and got_b[-1:] == [b"from A"]
