"""What a scene is made of: places, computers, servers, agents, and what to expect."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from sansice.ice import CandidatePolicy, Nomination, TcpType
from sansice.machine import Address
from sansice.simulation._nat._firewall_kind import FirewallKind
from sansice.simulation._nat._forwards import Forward
from sansice.simulation._nat._kind import Filtering, Hairpinning, Mapping, NatKind, Pooling
from sansice.simulation._nat._nat64 import Nat64Prefix
from sansice.simulation._nat._presets import firewall_kind, nat_kind
from sansice.simulation._world._link import Link
from sansice.simulation._world._node import MAX_PAYLOAD
from sansice.simulation._world._segment import prefix_of

INTERNET = "internet"  # the place that every scene has
MAX_PLACES = 16  # streams, and components of each: more would be another kind of test


def as_texts(texts: str | Iterable[str]) -> tuple[str, ...]:
    """One text or several, as a tuple."""
    return (texts,) if isinstance(texts, str) else tuple(texts)


def as_addresses(texts: str | Iterable[str]) -> tuple[str, ...]:
    """One literal or several, as a tuple of canonical ones."""
    return tuple(_as_address(text) for text in as_texts(texts))


def _as_address(text: str) -> str:
    return Address.of(text, 0).host


def a_name(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    """Refuse what is no name for people; a validator of attrs."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"{attribute.name}: {value!r:.60} is no name")


def check_seconds(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    """Refuse what is no time from 0 on; a validator of attrs."""
    if not 0.0 <= value < math.inf:
        raise ValueError(f"{attribute.name}: {value!r} is not a number of seconds from 0 on")


def _as_hairpinning(value: Hairpinning | bool | None) -> Hairpinning | None:
    if isinstance(value, bool):
        return Hairpinning.EXTERNAL_SOURCE if value else Hairpinning.NONE
    return value


def a_payload(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    """Refuse what is no length of a datagram's data; a validator of attrs."""
    if not 1 <= value <= MAX_PAYLOAD:
        raise ValueError(f"{attribute.name}: {value!r} is outside 1..{MAX_PAYLOAD} bytes")


def _a_rate(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0.0 < value < math.inf:
        raise ValueError(f"{attribute.name}: {value!r} is not a number of bits per second above 0")


def _after_start(instance: TrafficSpec, attribute: attrs.Attribute[float], value: float) -> None:
    if not value > instance.start:
        raise ValueError(f"{attribute.name}: {value!r} is not after the start at {instance.start!r}")


def parts_of(cls: type) -> Callable[[object, attrs.Attribute[Any], tuple[object, ...]], None]:
    """A validator of attrs: a tuple of nothing but ``cls``."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
        if not isinstance(value, tuple) or not all(isinstance(one, cls) for one in value):
            raise ValueError(f"{attribute.name}: a tuple of {cls.__name__}, not {value!r:.80}")

    return check


def _as_prefixes(texts: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(str(prefix_of(text)) for text in as_texts(texts))


def check_port(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    """Refuse what is no port; a validator of attrs."""
    if not 0 < value < 65536:
        raise ValueError(f"{attribute.name}: {value!r} is outside 1..65535")


@attrs.frozen
class SegmentSpec:
    """A local network: a VPN's tunnel, the bridge of containers, a LAN on its own, or one that a router connects.

    Attributes:
        name: to stand behind.
        prefixes: of its addresses, such as ``"10.1.0.0/16"``; any address where there are none.
        behind: the router that is its way out, or another place, for a router of its own that leads there; ``None`` where
            it leads nowhere.
        link: how it treats packets.
    """

    name: str = attrs.field(validator=a_name)
    prefixes: tuple[str, ...] = attrs.field(default=(), converter=_as_prefixes)
    behind: str | None = attrs.field(default=None, kw_only=True)
    link: Link = attrs.field(factory=Link, kw_only=True)


@attrs.frozen
class RouterSpec:
    """A router: segments stand behind it, and it translates nothing.

    Attributes:
        name: of the router.
        behind: the place that it leads to.
        link: its access link there.
    """

    name: str = attrs.field(validator=a_name)
    behind: str = attrs.field(default=INTERNET, kw_only=True)
    link: Link | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class NatSpec:
    """A NAT and the network inside it.

    Attributes:
        name: what its hosts stand behind.
        outside: its outer addresses; a family without one is routed untranslated.
        preset: the name of a kind in `NAT_PRESETS`.
        kind: the kind itself, in place of a name.
        mapping, filtering, lifetime, hairpinning, alg, pooling: what of the kind is otherwise, see `NatKind`.
        forwards: ports, or whole addresses, that lead to one host inside.
        firewall: what stands in the way of a family that is routed: a kind, or its name in `FIREWALL_PRESETS`.
        nat64: the prefix behind which hosts inside that have only IPv6 find IPv4, such as ``"64:ff9b::/96"``; they are told
            names through DNS64.
        behind: the place outside.
        link: its access link.
        lan: how the network inside treats packets.

    Raises:
        ValueError: no outer address, no such preset, behaviours that exclude each other.
    """

    name: str = attrs.field(validator=a_name)
    outside: tuple[str, ...] = attrs.field(converter=as_addresses)
    preset: str = "port-restricted"
    kind: NatKind | None = attrs.field(default=None, kw_only=True)
    mapping: Mapping | None = attrs.field(default=None, kw_only=True)
    filtering: Filtering | None = attrs.field(default=None, kw_only=True)
    lifetime: float | None = attrs.field(default=None, kw_only=True)
    hairpinning: Hairpinning | None = attrs.field(default=None, converter=_as_hairpinning, kw_only=True)
    alg: bool | None = attrs.field(default=None, kw_only=True)
    pooling: Pooling | None = attrs.field(default=None, kw_only=True)
    forwards: tuple[Forward, ...] = attrs.field(default=(), validator=parts_of(Forward), kw_only=True)
    firewall: str | FirewallKind | None = attrs.field(default=None, kw_only=True)
    nat64: str | None = attrs.field(default=None, kw_only=True)
    behind: str = attrs.field(default=INTERNET, kw_only=True)
    link: Link | None = attrs.field(default=None, kw_only=True)
    lan: Link = attrs.field(factory=Link, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not self.outside:
            raise ValueError(f"outside: the pool of {self.name!r} is empty; what translates nothing is a firewall")
        _ = self.nat_kind, self.routed_kind, self.nat64_prefix  # they raise
        if self.nat64 is not None and any(":" in address for address in self.outside):
            raise ValueError(f"nat64: {self.name!r} has outer addresses of IPv6; what is translated to IPv4 leaves from IPv4")

    @property
    def nat_kind(self) -> NatKind:
        """How it behaves, all in all."""
        kind = self.kind if self.kind is not None else nat_kind(self.preset)
        asked = {name: getattr(self, name) for name in _OF_THE_KIND}
        return attrs.evolve(kind, **{name: value for name, value in asked.items() if value is not None})

    @property
    def routed_kind(self) -> FirewallKind | None:
        """What stands in the way of a family that is routed, if anything."""
        return firewall_kind(self.firewall) if isinstance(self.firewall, str) else self.firewall

    @property
    def nat64_prefix(self) -> Nat64Prefix | None:
        """Where hosts inside find IPv4, if they do."""
        return None if self.nat64 is None else Nat64Prefix(self.nat64)


_OF_THE_KIND = ("mapping", "filtering", "lifetime", "hairpinning", "alg", "pooling")


@attrs.frozen
class FirewallSpec:
    """A firewall and the network inside it, whose addresses it leaves alone.

    Attributes:
        name: what its hosts stand behind.
        preset: the name of a kind in `FIREWALL_PRESETS`.
        kind: the kind itself, in place of a name.
        behind: the place outside.
        link: its access link.
        lan: how the network inside treats packets.

    Raises:
        ValueError: no such preset.
    """

    name: str = attrs.field(validator=a_name)
    preset: str = "stateful"
    kind: FirewallKind | None = attrs.field(default=None, kw_only=True)
    behind: str = attrs.field(default=INTERNET, kw_only=True)
    link: Link | None = attrs.field(default=None, kw_only=True)
    lan: Link = attrs.field(factory=Link, kw_only=True)

    def __attrs_post_init__(self) -> None:
        firewall_kind(self.preset)

    @property
    def firewall_kind(self) -> FirewallKind:
        """What it lets through."""
        return self.kind if self.kind is not None else firewall_kind(self.preset)


@attrs.frozen
class InterfaceSpec:
    """One interface of a host that has them in different places.

    Attributes:
        address: a literal.
        behind: the place where it is attached.
        link: its access link.
        up: whether it is up when the scene begins.
    """

    address: str = attrs.field(converter=_as_address)
    behind: str = INTERNET
    link: Link | None = attrs.field(default=None, kw_only=True)
    up: bool = attrs.field(default=True, kw_only=True)


@attrs.frozen
class HostSpec:
    """A computer.

    Attributes:
        name: of the host.
        addresses: one literal or several, an interface each, all attached at ``behind`` over a ``link`` of their own.
        behind: the place.
        link: the access link of each of these interfaces.
        interfaces: more interfaces, elsewhere.
    """

    name: str = attrs.field(validator=a_name)
    addresses: tuple[str, ...] = attrs.field(default=(), converter=as_addresses)
    behind: str = attrs.field(default=INTERNET, kw_only=True)
    link: Link | None = attrs.field(default=None, kw_only=True)
    interfaces: tuple[InterfaceSpec, ...] = attrs.field(default=(), validator=parts_of(InterfaceSpec), kw_only=True)

    @property
    def all_interfaces(self) -> tuple[InterfaceSpec, ...]:
        """The interfaces of both ways to write them, in the order in which they are attached."""
        return (*(InterfaceSpec(address, self.behind, link=self.link) for address in self.addresses), *self.interfaces)


@attrs.frozen
class StunServerSpec:
    """A host that answers Binding requests; its URI is ``stun:ADDRESS:PORT``.

    Attributes:
        name: of the host.
        addresses: one literal or several.
        port: UDP, on each of them.
        behind: the place.
    """

    name: str = attrs.field(validator=a_name)
    addresses: tuple[str, ...] = attrs.field(converter=as_addresses)
    port: int = attrs.field(default=3478, validator=check_port, kw_only=True)
    behind: str = attrs.field(default=INTERNET, kw_only=True)


@attrs.frozen
class ProxySpec:
    """A host with an HTTP proxy that lets streams through, see `Network.proxy`.

    Attributes:
        name: of the host.
        addresses: one literal or several.
        port: where it listens.
        ports: to which it connects.
        username, password: whom it lets through; without a name everybody.
        behind: the place.
    """

    name: str = attrs.field(validator=a_name)
    addresses: tuple[str, ...] = attrs.field(converter=as_addresses)
    port: int = attrs.field(default=3128, validator=check_port, kw_only=True)
    ports: tuple[int, ...] = attrs.field(default=(443,), kw_only=True)
    username: str = attrs.field(default="", kw_only=True)
    password: str = attrs.field(default="", kw_only=True)
    behind: str = attrs.field(default=INTERNET, kw_only=True)


@attrs.frozen
class TrafficSpec:
    """A steady stream of datagrams that has nothing to do with the agents: an upload, a video.

    Attributes:
        host: who sends, from its first address of the family.
        to: the host that it is for, which throws it away.
        rate: bits per second of payload.
        size: bytes of payload in each datagram.
        start, stop: seconds; it goes on for ever if ``stop`` is left out.
    """

    host: str = attrs.field(validator=a_name)
    to: str = attrs.field(validator=a_name)
    rate: float = attrs.field(validator=_a_rate)
    size: int = attrs.field(default=1200, validator=a_payload, kw_only=True)
    start: float = attrs.field(default=0.0, validator=check_seconds, kw_only=True)
    stop: float = attrs.field(default=math.inf, validator=_after_start, kw_only=True)


def traffic_addresses(source: HostSpec, destination: HostSpec) -> tuple[str, str]:
    """The first addresses of two hosts that are of one family.

    Raises:
        ValueError: there are none.
    """
    for local in source.all_interfaces:
        for remote in destination.all_interfaces:
            if (":" in local.address) == (":" in remote.address):
                return local.address, remote.address
    raise ValueError(f"{source.name!r} and {destination.name!r} have no family of addresses in common")


@attrs.frozen
class NameSpec:
    """What the name service answers.

    Attributes:
        name: a domain name.
        addresses: of it, both families.
    """

    name: str = attrs.field(validator=a_name)
    addresses: tuple[str, ...] = attrs.field(converter=as_addresses)


class NominationKind(enum.Enum):
    """How an agent nominates, for scenes; `Nomination` has all that can be said of it."""

    REGULAR = "regular"
    RENOMINATING = "renominating"
    BY_RTT = "by-rtt"
    STANDBY = "standby"

    @property
    def policy(self) -> Nomination:
        """The policy of this name."""
        return _NOMINATIONS[self]


_NOMINATIONS = {
    NominationKind.REGULAR: Nomination(),
    NominationKind.RENOMINATING: Nomination(renominate=True),
    NominationKind.BY_RTT: Nomination(renominate=True, prefer_rtt=True),
    NominationKind.STANDBY: Nomination(renominate=True, standby=True),
}


def _as_nomination(value: NominationKind | str) -> NominationKind:
    return NominationKind(value)


def _as_tcp_types(value: Iterable[TcpType | str]) -> tuple[TcpType, ...]:
    return tuple([TcpType(one) for one in value])


def _as_policy(value: CandidatePolicy | str) -> CandidatePolicy:
    return CandidatePolicy(value)


def _a_count(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if not 1 <= value <= MAX_PLACES:
        raise ValueError(f"{attribute.name}: {value!r} is outside 1..{MAX_PLACES}")


@attrs.frozen
class AgentSpec:
    """An ICE agent, and the program around it, which exchanges descriptions and some data.

    Attributes:
        host: where it runs.
        controlling: the first guess of its role.
        ice_servers: URIs of the servers it asks, ``stun:``, ``turn:`` and ``turns:``; of the TURN servers of the scene it knows
            the user, the password and the name in the certificate.
        name: of the agent; that of its host if left out.
        peer: the name of the agent it connects with; may be left out where there are two.
        start: when it begins to gather, seconds.
        streams, components: how many streams it has, and how many components each of them.
        lite: whether it is a lite agent (RFC 8445 2.5), which has host candidates only.
        roams: whether its program tells it of new addresses of its host, and restarts it where it asks for that, stays
            disconnected or fails.
        trickle: whether it tells its candidates as they come (RFC 8838), and not all at once; one that roams tells those of new
            addresses as well.
        talks: seconds from one datagram to the next that it sends on and on, beside the few that are echoed; 0: none.
        policy: what of its addresses it lets anybody see: ``"all"``, ``"no-host"`` or ``"relay"``.
        tcp: the kinds of TCP candidates it has beside those for UDP (RFC 6544): ``"active"``, ``"passive"``, ``"so"``; a lite
            agent has passive ones only.
        proxy: the name of the scene's proxy through which it reaches TURN servers over TCP and TLS, as it was told beforehand.
        nomination: how it nominates: ``"regular"``, ``"renominating"``, ``"by-rtt"`` or ``"standby"``.

    Raises:
        ValueError: a number that is none, or a lite agent that does what only full ones do.
    """

    host: str = attrs.field(validator=a_name)
    controlling: bool = attrs.field(default=False, kw_only=True)
    ice_servers: tuple[str, ...] = attrs.field(default=(), converter=as_texts, kw_only=True)
    name: str = attrs.field(default=attrs.Factory(lambda self: self.host, takes_self=True), validator=a_name, kw_only=True)
    peer: str = attrs.field(default="", kw_only=True)
    start: float = attrs.field(default=0.0, validator=check_seconds, kw_only=True)
    streams: int = attrs.field(default=1, validator=_a_count, kw_only=True)
    components: int = attrs.field(default=1, validator=_a_count, kw_only=True)
    lite: bool = attrs.field(default=False, kw_only=True)
    trickle: bool = attrs.field(default=False, kw_only=True)
    roams: bool = attrs.field(default=False, kw_only=True)
    talks: float = attrs.field(default=0.0, validator=check_seconds, kw_only=True)
    policy: CandidatePolicy = attrs.field(default=CandidatePolicy.ALL, converter=_as_policy, kw_only=True)
    tcp: tuple[TcpType, ...] = attrs.field(default=(), converter=_as_tcp_types, kw_only=True)
    proxy: str = attrs.field(default="", kw_only=True)
    nomination: NominationKind = attrs.field(default=NominationKind.REGULAR, converter=_as_nomination, kw_only=True)

    def __attrs_post_init__(self) -> None:
        does = {
            "ice_servers": self.ice_servers,
            "trickle": self.trickle,
            "policy": self.policy is not CandidatePolicy.ALL,
            "proxy": self.proxy,
            "nomination": self.nomination is not NominationKind.REGULAR,
        }
        for name, value in does.items():
            if self.lite and value:
                raise ValueError(
                    f"{name}: not of a lite agent, which has host candidates, tells them at once, and nominates none"
                )


@attrs.frozen
class Expectation:
    """How a scene ends: with any seed, and where links lose packets with nearly any.

    Attributes:
        connected: whether the agents connect.
        pair_types: the types of the pair that the first agent may select, as ``local-remote``; empty for any.
        lasts: whether they are still connected at the end, after all changes.
        silence: the longest that an agent may hear nothing of a peer that talks, once it has heard something, seconds.
        later: where the agents of today do worse than ICE could: what will change.
    """

    connected: bool = True
    pair_types: tuple[str, ...] = attrs.field(default=(), converter=as_texts, kw_only=True)
    lasts: bool = attrs.field(default=attrs.Factory(lambda self: self.connected, takes_self=True), kw_only=True)
    silence: float = attrs.field(default=math.inf, kw_only=True)
    later: str = attrs.field(default="", kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.lasts and not self.connected:
            raise ValueError("lasts: what never connects does not last")
