"""What one firewall lets through, and what packets teach it (RFC 6092)."""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable

from sansice.simulation._nat._firewall_kind import Direction, FirewallKind, Rule, Verdict

from ._seen import seen
from ._values import Endpoint

_ALL_HIGH_PORTS = (1024, 65535)


class Guard:
    """The flows that a firewall lets through. Nothing is ever forgotten."""

    __slots__ = ("_flows", "_kind", "_openings")

    def __init__(self, kind: FirewallKind) -> None:
        self._kind = kind
        self._flows: dict[tuple[Endpoint, Endpoint], None] = {}
        self._openings: dict[tuple[Endpoint, Hashable], None] = {}

    @property
    def learned(self) -> int:
        """How much it has been taught."""
        return len(self._flows)

    def leaves(self, source: Endpoint, destination: Endpoint) -> bool:
        """Whether a packet from inside goes on."""
        return self._goes_on(source, destination, Direction.OUT)

    def enters(self, source: Endpoint, destination: Endpoint) -> bool:
        """Whether a packet from outside goes on."""
        return self._goes_on(destination, source, Direction.IN)

    def lets_streams_out(self, source: Endpoint, destination: Endpoint) -> bool:
        """Whether a connection may be opened from inside."""
        return self._verdict(source, destination, Direction.OUT, "tcp") is Verdict.ALLOW

    def _goes_on(self, inner: Endpoint, peer: Endpoint, way: Direction) -> bool:
        opening = (inner, seen(self._kind.filtering, peer))
        known = (inner, peer) in self._flows or (way is Direction.IN and opening in self._openings)
        if known or self._verdict(inner, peer, way) is Verdict.ALLOW:
            self._flows[inner, peer] = self._openings[opening] = None
            return True
        return False

    def _verdict(self, inner: Endpoint, peer: Endpoint, way: Direction, protocol: str = "udp") -> Verdict:
        for rule in self._kind.rules:
            if rule.protocol in (None, protocol) and _matches(rule, inner, peer, way):
                return rule.verdict
        return self._kind.outbound if way is Direction.OUT else self._kind.inbound


def _matches(rule: Rule, inner: Endpoint, peer: Endpoint, way: Direction) -> bool:
    if rule.direction not in (None, way):
        return False
    to = peer if way is Direction.OUT else inner
    if rule.ports and not any(_lies_between(to, first, last) for first, last in rule.ports):
        return False
    return _lies_in(inner, rule.inside) and _lies_in(peer, rule.outside)


def _lies_between(endpoint: Endpoint, first: int, last: int) -> bool:
    """An agent's port is somewhere among the high ones: in a part of them only by luck."""
    low, high = (endpoint.port, endpoint.port) if isinstance(endpoint.port, int) else _ALL_HIGH_PORTS
    return first <= low and high <= last


def _lies_in(endpoint: Endpoint, prefix: str | None) -> bool:
    return prefix is None or ipaddress.ip_address(endpoint.host) in ipaddress.ip_network(prefix)
