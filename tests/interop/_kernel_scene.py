"""A scene of the laboratory, built from network namespaces: the same places, with the kernel in the place of the simulation.

Every host and every NAT is a namespace. The Internet is a bridge on which each public address answers for itself, so that it
needs no routes. What a kind of NAT means in nft's words stands in `_RULES`; a kind that is not there cannot be built.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Callable, Mapping

from interop._netns import Namespaces
from sansice.simulation import FirewallSpec, HostSpec, NatSpec, Scene

INTERNET = "internet"
GATEWAY = 254  # last octet of a NAT's inner address, whose network is a /24

_CLOSED = "chain closed { type filter hook input priority 0; iifname outer ct state new drop; }"


def _masquerade(how: str = "", more: str = _CLOSED) -> str:
    return f"""
        table ip kind {{
            chain leaving {{ type nat hook postrouting priority 100; oifname outer masquerade {how}; }}
            {more}
        }}
    """


def _cone(inner: str) -> str:
    # Whoever comes to any port is led to the host inside; the mapping keeps the port, so that both ways agree.
    arriving = f"chain arriving {{ type nat hook prerouting priority -100; iifname outer dnat to {inner}; }}"
    return _masquerade(more="\n".join((_CLOSED, arriving)))


_RULES: Mapping[str, Callable[[str], str]] = {
    "full-cone": _cone,
    "linux-masquerade": lambda inner: _masquerade(),
    "linux-masquerade-open-input": lambda inner: _masquerade(more=""),
    "linux-masquerade-random": lambda inner: _masquerade("fully-random"),
    "stateful": lambda inner: (
        """
        table inet kind {
            chain passing {
                type filter hook forward priority 0; policy drop;
                ct state established,related accept
                iifname inner accept
            }
        }
    """
    ),
    "udp-blocked": lambda inner: (
        "table inet kind { chain passing { type filter hook forward priority 0; meta l4proto udp drop; }; }"
    ),
}


class KernelScene:
    """The namespaces of one scene; a host's goes by the host's name in `name_of`.

    Args:
        spaces: where they are made.
        scene: what to build. Hosts have one place and one address a family; links are as quick as the machine.
        prefix: keeps the namespaces of several scenes apart.
        timeouts: conntrack timeouts in seconds, by the last part of their sysctl, for every NAT and firewall.
    """

    def __init__(self, spaces: Namespaces, scene: Scene, prefix: str, timeouts: Mapping[str, int] | None = None) -> None:
        self._spaces = spaces
        self._prefix = prefix
        self._cables = itertools.count()
        self._inner: dict[str, list[str]] = {}
        self._add(INTERNET)
        self._bridge(INTERNET)
        middle: tuple[NatSpec | FirewallSpec, ...] = (*scene.nats, *scene.firewalls)
        ends = {host.name: host for host in scene.hosts} | {
            server.name: HostSpec(server.name, server.addresses, behind=server.behind) for server in scene.servers
        }
        for one in middle:
            self._inner[one.name] = [address for host in ends.values() if host.behind == one.name for address in host.addresses]
            self._inner[one.name] += [address for nat in scene.nats if nat.behind == one.name for address in nat.outside]
        self._public = [address for host in ends.values() if host.behind == INTERNET for address in host.addresses]
        self._routed = {firewall.name for firewall in scene.firewalls}
        for one in middle:
            self._add_between(one, timeouts or {})
        for one in middle:
            self._connect_between(one)
        for host in ends.values():
            self._add(host.name)
            self._attach(host.name, "wire", host.addresses, host.behind)

    def name_of(self, place: str) -> str:
        """The short name of a namespace in `Namespaces`."""
        return f"{self._prefix}{place.replace(' ', '')}"

    def _add(self, place: str) -> None:
        self._spaces.add(self.name_of(place))

    def _bridge(self, place: str) -> None:
        device = "inner" if place != INTERNET else "bridge"
        self._spaces.ip(self.name_of(place), [f"link add {device} type bridge", f"link set {device} up"])

    def _add_between(self, one: NatSpec | FirewallSpec, timeouts: Mapping[str, int]) -> None:
        name = self.name_of(one.name)
        self._add(one.name)
        self._bridge(one.name)
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self._spaces.sysctl(name, key, "1")
        self._spaces.nft(name, _RULES[one.preset](next(iter(self._inner[one.name]), "")))
        for key, seconds in timeouts.items():
            self._spaces.sysctl(name, f"net.netfilter.nf_conntrack_{key}", str(seconds))
        if isinstance(one, NatSpec):
            self._spaces.ip(name, [f"address add {gateway}/24 dev inner" for gateway in self._gateways(one.name)])

    def _connect_between(self, one: NatSpec | FirewallSpec) -> None:
        outside = one.outside if isinstance(one, NatSpec) else ()
        self._attach(one.name, "outer", outside, one.behind)
        if isinstance(one, FirewallSpec):
            inner = self._inner[one.name]
            everyone = [address for addresses in self._inner.values() for address in addresses] + self._public
            self._answer_for(one.name, inner, [address for address in everyone if address not in inner])

    def _answer_for(self, place: str, inner: list[str], others: list[str]) -> None:
        """A firewall has no address of its own: it answers for what is behind it, and, inside, for everything else."""
        name = self.name_of(place)
        for side in ("inner", "outer"):
            self._spaces.sysctl(name, f"net.ipv4.conf.{side}.proxy_arp", "1")
            self._spaces.sysctl(name, f"net.ipv6.conf.{side}.proxy_ndp", "1")
        self._spaces.ip(name, [f"route add {address} dev inner" for address in inner])
        for side, addresses in (("outer", inner), ("inner", others)):
            self._spaces.ip(name, [f"neighbour add proxy {address} dev {side}" for address in addresses if ":" in address])
        own = f"198.18.0.{1 + sorted(self._routed).index(place)}"  # RFC 2544; what it asks the link with, and nobody else's
        self._spaces.ip(name, [f"address add {own}/32 dev lo"])

    def _gateways(self, place: str) -> list[str]:
        networks = {ipaddress.ip_network(f"{address}/24", strict=False) for address in self._inner[place] if ":" not in address}
        return [str(network[GATEWAY]) for network in sorted(networks)]

    def _attach(self, place: str, device: str, addresses: tuple[str, ...], behind: str) -> None:
        name, upstream = self.name_of(place), self.name_of(behind)
        port, bridge = f"p{next(self._cables)}", "bridge" if behind == INTERNET else "inner"
        self._spaces.join(name, device, upstream, port)
        self._spaces.ip(upstream, [f"link set {port} master {bridge}"])
        for address in addresses:
            self._spaces.ip(name, self._addressing(address, device, behind))
        if not addresses:
            self._spaces.ip(name, [f"route add default dev {device}", f"route add ::/0 dev {device}"])

    def _addressing(self, address: str, device: str, behind: str) -> list[str]:
        if ":" in address:
            # A /128 finds the others by asking the whole link, as on the bridge; nodad: it is ready at once.
            return [f"address add {address}/128 dev {device} nodad", f"route add ::/0 dev {device}"]
        if behind == INTERNET or behind in self._routed:
            return [f"address add {address}/32 dev {device}", f"route add default dev {device} scope link src {address}"]
        gateway = ipaddress.ip_network(f"{address}/24", strict=False)[GATEWAY]
        return [f"address add {address}/24 dev {device}", f"route add default via {gateway}"]
