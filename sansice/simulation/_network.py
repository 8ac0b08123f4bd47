"""The network: where a test builds its world and lets time pass."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping as Dictionary
from typing import Any

import attrs

from sansice.machine import Record, ResolveError

from ._nat._firewall import Firewall
from ._nat._firewall_kind import FirewallKind
from ._nat._forwards import Forward
from ._nat._kind import Filtering, Hairpinning, Mapping, NatKind, Pooling
from ._nat._nat import Nat
from ._nat._nat64 import Nat64Prefix
from ._nat._presets import firewall_kind, nat_kind
from ._responder import BindingResponder
from ._world._host import Host
from ._world._link import Link
from ._world._names import NameService
from ._world._node import Node
from ._world._packets import Fate, Packet, Passage
from ._world._proxy import ForwardProxy
from ._world._router import Router
from ._world._segment import Place, Segment
from ._world._world import World

_COMMONEST = NatKind()


class Network:
    """A world in a box: an Internet, what is attached to it, and virtual time.

    The same seed, the same calls: the same packets at the same times, byte for byte. The arguments ``latency``
    to ``hold`` are the `Link` of the Internet, which every packet crosses once between two public addresses;
    hosts and NATs may have an access link of their own.

    Example::

        net = Network(seed=7, latency=0.02, loss=0.1)
        nat = net.nat("203.0.113.1", mapping=Mapping.ENDPOINT_INDEPENDENT)
        a = net.host("A", "10.0.0.2", behind=nat)
        agent = IceAgent(controlling=True, entropy=a.entropy)
        node = a.run(agent)
        node.call(agent.gather, a.addresses)
        net.run(until=10.0, when=lambda: agent.selected_pair is not None)
        print(node.events)

    Args:
        seed: of everything random in this world.
        latency, jitter, loss, duplication, reordering, hold: of the Internet, see `Link`.
        icmp: whether hosts say "port unreachable" when a datagram meets a closed port.
        start: the virtual time to start at, seconds.
        unix: what the wall clock reads at the start, Unix seconds; machines are told when they start to run.
        trace: keep the last so many lines about packets in `packets`; 0, the default, keeps none and is faster. `watch`
            shows them as they happen instead.

    Raises:
        ValueError: what `Link` raises, or a time that is none.
    """

    __slots__ = ("_firewalls", "_nats", "_world", "internet", "seed")

    def __init__(
        self,
        *,
        seed: int | str = 0,
        latency: float = 0.0,
        jitter: float = 0.0,
        loss: float = 0.0,
        duplication: float = 0.0,
        reordering: float = 0.0,
        hold: float = 0.05,
        icmp: bool = True,
        start: float = 0.0,
        unix: float = 1_700_000_000.0,
        trace: int = 0,
    ) -> None:
        for name, time in (("start", start), ("unix", unix)):
            if not -math.inf < time < math.inf:
                raise ValueError(f"{name} must be a number of seconds, not {time!r}")
        link = Link(latency=latency, jitter=jitter, loss=loss, duplication=duplication, reordering=reordering, hold=hold)
        self.seed: int | str = seed
        self._world = World(seed=seed, start=start, unix=unix, icmp=icmp, trace=trace)
        self._nats = 0
        self._firewalls = 0
        self.internet: Segment = Segment(self._world, "Internet", link, wide=True)

    @property
    def now(self) -> float:
        """Virtual seconds."""
        return self._world.clock.now

    @property
    def next_time(self) -> float:
        """The virtual time of what happens next, for who lets time pass in steps; infinity where nothing will."""
        return self._world.clock.next_time

    @property
    def packets(self) -> deque[Passage]:
        """The trace: what happened to packets, oldest first. Empty unless the network was made with ``trace=``."""
        return self._world.packets if self._world.packets is not None else deque()

    @property
    def lost(self) -> Counter[Fate]:
        """How many packets ended elsewhere than at a socket, by what happened to them."""
        return self._world.lost

    @property
    def drop(self) -> Callable[[Packet], bool] | None:
        """The test's own fault: packets for which this function is true vanish.

        It is asked at every segment that a packet crosses, with the addresses that the packet has there.
        """
        return self._world.drop

    @drop.setter
    def drop(self, drop: Callable[[Packet], bool] | None) -> None:
        self._world.drop = drop

    def watch(self, observer: Callable[[Passage], object]) -> None:
        """Have ``observer(passage)`` called for every line that a trace would have, at the time when it happens.

        An observer only looks: what it sends or changes is no part of the simulated world's order.
        """
        self._world.watch(observer)

    def host(
        self,
        name: str,
        *addresses: str,
        behind: Place | None = None,
        link: Link | None = None,
        downlink: Link | None = None,
    ) -> Host:
        """Add a host.

        Args:
            name: for people, and for the seeds of what is random about it: two hosts of one name draw the same bytes.
            addresses: IPv4 and IPv6 literals, an interface each; `Host.attach` adds more elsewhere.
            behind: the NAT or segment where it lives; the Internet if left out.
            link: the access link of each of these interfaces.
            downlink: how that treats packets towards the host, where it differs.

        Raises:
            ValueError: an address is no literal, or taken.
        """
        host = Host(self._world, name)
        for address in addresses:
            host.attach(address, behind if behind is not None else self.internet, link=link, downlink=downlink)
        return host

    def segment(self, name: str, *prefixes: str, behind: Router | Place | None = None, link: Link | None = None) -> Segment:
        """Add a local network, on which hosts reach each other without a NAT.

        Args:
            name: for people and seeds.
            prefixes: of its addresses, such as ``"10.1.0.0/16"``; any address where there are none.
            behind: the router that is its way out; or another place, for a router of its own that leads there. Without,
                it leads nowhere.
            link: how it treats packets; perfect and instant if left out.

        Raises:
            ValueError: no prefix; or it overlaps another network's that no NAT stands before, which the text names.
        """
        segment = Segment(self._world, name, link if link is not None else Link(), prefixes)
        if behind is not None:
            router = behind if isinstance(behind, Router) else Router(self._world, f"router of {name}", behind)
            router.join(segment)
        return segment

    def router(
        self,
        name: str,
        *,
        behind: Place | None = None,
        address: str | None = None,
        link: Link | None = None,
        downlink: Link | None = None,
    ) -> Router:
        """Add a router; `segment` and `Router.join` say what it connects.

        Args:
            name: for people and seeds.
            behind: where what it knows no better way for goes; the Internet if left out.
            address: its own literal there.
            link: its access link there.
            downlink: how that treats packets towards the router, where it differs.

        Raises:
            ValueError: the address is no literal, or taken.
        """
        outside = behind if behind is not None else self.internet
        return Router(self._world, name, outside, address=address, link=link, downlink=downlink)

    def nat(
        self,
        *addresses: str,
        preset: str | None = None,
        kind: NatKind | None = None,
        mapping: Mapping | None = None,
        filtering: Filtering | None = None,
        lifetime: float | None = None,
        hairpinning: Hairpinning | bool | None = None,
        alg: bool | None = None,
        pooling: Pooling | None = None,
        forwards: Iterable[Forward] = (),
        firewall: FirewallKind | str | None = None,
        nat64: Nat64Prefix | str | None = None,
        behind: Place | None = None,
        link: Link | None = None,
        downlink: Link | None = None,
        lan: Link | None = None,
        name: str | None = None,
    ) -> Nat:
        """Add a NAT; the default is the commonest kind, "port-restricted cone", with mappings that never expire.

        Args:
            addresses: its outer addresses; a family without one is routed untranslated.
            preset: the name of a kind in `NAT_PRESETS`.
            kind: the kind itself, in place of a name.
            mapping, filtering, lifetime, hairpinning, alg, pooling: what of the kind is otherwise, see `NatKind`.
            forwards: ports, or whole addresses, that lead to one host inside.
            firewall: what stands in the way of a family that is routed untranslated: a kind, or its name.
            nat64: the prefix behind which hosts inside that have IPv6 find IPv4, such as ``"64:ff9b::/96"``.
            behind: another NAT, for carrier-grade ones, or another place.
            link: its access link outside.
            downlink: how that treats packets that come in, where it differs, as on an asymmetric line.
            lan: how its inner segment treats packets; perfect and instant if left out.
            name: for people and seeds.

        Raises:
            ValueError: an address is no literal, or taken; there is none, or one too many of its family; no such
                preset; what `NatKind` raises.
        """
        if preset is not None and kind is not None:
            raise ValueError(f"a NAT has one kind: either the preset {preset!r} or {kind}")
        asked: dict[str, Any] = {
            "mapping": mapping,
            "filtering": filtering,
            "lifetime": lifetime,
            "hairpinning": hairpinning,
            "alg": alg,
            "pooling": pooling,
        }
        changes = {key: value for key, value in asked.items() if value is not None}
        kind = kind or (_COMMONEST if preset is None else nat_kind(preset))
        self._nats += 1
        return Nat(
            self._world,
            name if name is not None else f"NAT {self._nats}",
            addresses,
            behind if behind is not None else self.internet,
            kind=attrs.evolve(kind, **changes) if changes else kind,
            forwards=forwards,
            firewall=firewall_kind(firewall) if isinstance(firewall, str) else firewall,
            nat64=Nat64Prefix(nat64) if isinstance(nat64, str) else nat64,
            link=link,
            downlink=downlink,
            lan=lan,
        )

    def firewall(
        self,
        kind: FirewallKind | str = "stateful",
        *,
        behind: Place | None = None,
        link: Link | None = None,
        downlink: Link | None = None,
        lan: Link | None = None,
        name: str | None = None,
    ) -> Firewall:
        """Add a firewall, which passes packets on with the addresses that they have.

        Args:
            kind: what it lets through, or the name of that in `FIREWALL_PRESETS`.
            behind: where its outside is; the Internet if left out.
            link: its access link outside.
            downlink: how that treats packets that come in, where it differs, as on an asymmetric line.
            lan: how its inner segment treats packets; perfect and instant if left out.
            name: for people and seeds.

        Raises:
            ValueError: no such preset.
        """
        self._firewalls += 1
        return Firewall(
            self._world,
            name if name is not None else f"firewall {self._firewalls}",
            behind if behind is not None else self.internet,
            kind=firewall_kind(kind) if isinstance(kind, str) else kind,
            link=link,
            downlink=downlink,
            lan=lan,
        )

    def stun_server(self, *addresses: str, port: int = 3478, name: str = "STUN server") -> Node:
        """Add a host with a `BindingResponder` at ``addresses``; its URI is ``stun:ADDRESS:PORT``.

        Raises:
            ValueError: what `host` raises.
        """
        host = self.host(name, *addresses)
        return host.run(BindingResponder(host.addresses, port))

    def proxy(
        self,
        *addresses: str,
        port: int = 3128,
        ports: Collection[int] | None = (443,),
        credentials: Dictionary[str, str] | None = None,
        behind: Nat | Segment | None = None,
        link: Link | None = None,
        name: str = "proxy",
    ) -> Node:
        """Add a host with a `ForwardProxy`: streams get through it with `sansice.ProxyOptions`.

        Args:
            addresses: its literals; `Host.attach` of the node's host adds more elsewhere, from which it connects, too.
            port: where it listens.
            ports: to which streams may go; ``None`` for all.
            credentials: password by user; ``None`` for nobody having to say who he is.
            behind, link: as for `host`.
            name: for people and seeds.

        Raises:
            ValueError: what `host` raises.
        """
        host = self.host(name, *addresses, behind=behind, link=link)
        return host.run(ForwardProxy(host.addresses, port, ports=ports, credentials=credentials))

    @property
    def names(self) -> NameService:
        """The name service that hosts ask, unless one has its own (`Host.names`): its latency, and its failures."""
        return self._world.names

    def resolve(self, name: str, answer: Iterable[Record] | ResolveError, *, latency: float | None = None) -> None:
        """Say what the name service answers about ``name``: its records of every kind, or an error; see `NameService.say`.

        Raises:
            ValueError: a negative latency.
        """
        self._world.names.say(name, answer, latency=latency)

    def at(self, when: float, action: Callable[[], object]) -> None:
        """Have ``action()`` called at virtual time ``when``.

        Raises:
            ValueError: ``when`` is in the past, or never.
        """
        if when == math.inf:
            raise ValueError("inf s never comes: name a time")
        if not when >= self.now:
            raise ValueError(f"{when} s is in the past: it is {self.now} s")
        self._world.clock.at(when, _call, action)

    def run(self, *, until: float = math.inf, when: Callable[[], bool] | None = None) -> bool:
        """Let time pass: until virtual time ``until``, or until ``when()`` holds, or until nothing is left to happen.

        Machines that keep a session alive never run out of things to do, so with them name one of the two.

        Args:
            until: virtual time to stop at, seconds. What is due then still happens.
            when: asked before the first and after every happening.

        Returns:
            Whether ``when()`` held; always ``False`` without one.

        Raises:
            SimulationError: time stands still, or a machine breaks the contract in a way that cannot be run.
            ValueError: ``until`` is no time.
        """
        if until != until:
            raise ValueError(f"until must be a time, not {until!r}")
        try:
            return self._world.clock.run(until, when)
        except Exception as error:
            error.add_note(f"in a network with the seed {self.seed!r}")
            raise


def _call(action: Callable[[], object]) -> None:
    action()
