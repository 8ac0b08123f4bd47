"""The addresses of this server, which are peers only to each other (RFC 8656 21.1.6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from ipaddress import IPv4Address

from sansice.machine import Address, Transport
from sansice.turn._embedded_addresses import embedded_addresses, parse_host
from sansice.turn._peer_policy import PeerPolicy

from ._allocation import TCP_PROTOCOL, UDP_PROTOCOL, Relay


class OwnAddresses:
    """Says which peers a client may have: by the policy, and by what this server itself has at an address.

    On a host of the server's own, a client reaches relayed addresses of other allocations and nothing else: no listener, so
    that no loop can be made, and no other program, which may trust whoever comes from its own machine. A rule of the policy
    that names the host opens the rest of it, but never a listener. What a stream listener's port is over UDP, or a datagram
    listener's over TCP, is another program's affair: nothing that is sent there comes to the listener.

    Behind a NAT that maps one to one, what clients are told is not what is bound, and such a NAT need not send back what comes
    from inside. So data between two relayed addresses takes the short way (`inside`), and looks as if it had not (`outside`).

    Where several processes share a server's listeners, relayed addresses of one are peers of another's. It cannot know which of
    their ports are relayed addresses at the moment, so all of them count as such.

    Args:
        policy: which hosts may be peers.
        siblings: the ports of other processes' relayed addresses, on the hosts of this server.
    """

    __slots__ = ("_bound", "_hosts", "_listeners", "_policy", "_relays", "_siblings", "_told")

    def __init__(self, policy: PeerPolicy, siblings: Container[int] = ()) -> None:
        self._policy = policy
        self._siblings = siblings
        self._told: dict[str, str] = {}  # as peers see it, by what is bound
        self._hosts: dict[str, str] = {}  # as bound, by what peers see
        self._listeners: dict[int, Counter[Address]] = {UDP_PROTOCOL: Counter(), TCP_PROTOCOL: Counter()}
        self._relays: dict[int, dict[Address, Relay]] = {UDP_PROTOCOL: {}, TCP_PROTOCOL: {}}
        self._bound: dict[Address, Relay] = {}  # those whose address is another one outside

    def add_host(self, host: str, told: str) -> None:
        """A host is this server's, and ``told`` is what is seen of it outside."""
        self._hosts[host] = host
        self._hosts[told] = host
        self._told[host] = told

    def add_listener(self, transport: Transport, address: Address) -> None:
        """A listener is open; its host is this server's."""
        self._listeners[_protocol_of(transport)][address] += 1
        self._hosts.setdefault(address.host, address.host)

    def remove_listener(self, transport: Transport, address: Address) -> None:
        """It is closed. The host stays known: it may still have relayed addresses."""
        self._listeners[_protocol_of(transport)][address] -= 1

    def add_relay(self, relay: Relay) -> None:
        """There is a relayed address."""
        self._relays[relay.allocation.protocol][relay.address] = relay
        if relay.local != relay.address:
            self._bound[relay.local] = relay

    def remove_relay(self, relay: Relay) -> None:
        """It is closed."""
        del self._relays[relay.allocation.protocol][relay.address]
        self._bound.pop(relay.local, None)

    def is_own(self, host: str) -> bool:
        """Whether a peer's host is this server's, or leads to it, so that `may_reach` must be asked about each address there."""
        return host in self._hosts or bool(self._led_to(host))

    def may_permit(self, address: Address, protocol: int = UDP_PROTOCOL) -> bool:
        """Whether the host of an address may be a peer at all.

        A permission has no port (RFC 8656 9), but a request for one does. Where the policy refuses a host of this server's,
        as it does by default with a private or loopback one, only who names a relayed address there gets the permission.
        The protocol is that of the allocation which asks.
        """
        if self._policy.allows(address.host):
            return True
        if address.host not in self._hosts:
            return False
        return any(address in relays for relays in self._relays.values()) or self._is_siblings(address, protocol)

    def may_reach(self, address: Address, protocol: int = UDP_PROTOCOL) -> bool:
        """Whether data may be exchanged with an address, as things are now, over UDP or TCP."""
        bound = self._hosts.get(address.host)
        if bound is None:
            # A rule may have opened a NAT64: what comes back by it is judged as if it had not been there.
            inner = [Address(host, address.port) for host in self._led_to(address.host)]
            return self._policy.allows(address.host) and all(self.may_reach(one, protocol) for one in inner)
        if address in self._relays[protocol]:
            return True
        listeners = self._listeners[protocol]
        if listeners[address] or listeners[Address(bound, address.port)]:
            return False
        return address.port in self._siblings or self._policy.opens(address.host)

    def _led_to(self, host: str) -> list[str]:
        """The hosts of this server that are inside an address."""
        parsed = parse_host(host)
        inner = [] if isinstance(parsed, IPv4Address) else [str(one) for one, _ in embedded_addresses(parsed)]
        return [one for one in inner if one in self._hosts]

    def _is_siblings(self, address: Address, protocol: int) -> bool:
        bound = Address(self._hosts[address.host], address.port)
        return address.port in self._siblings and not self._listeners[protocol][bound]

    def inside(self, address: Address) -> Address:
        """Where data for an address goes: for a relayed address of this server to its socket."""
        relay = self._relays[UDP_PROTOCOL].get(address)
        if relay is not None:
            return relay.local
        if address.port in self._siblings and address.host in self._hosts:
            return Address(self._hosts[address.host], address.port)
        return address

    def outside(self, address: Address) -> Address:
        """Where data from an address comes from, as peers see it."""
        relay = self._bound.get(address)
        if relay is not None:
            return relay.address
        if address.port in self._siblings and address.host in self._told:
            return Address(self._told[address.host], address.port)
        return address


def _protocol_of(transport: Transport) -> int:
    """What a transport runs over."""
    return TCP_PROTOCOL if transport.is_stream else UDP_PROTOCOL
