"""The addresses of this server, which are peers only to each other (RFC 8656 21.1.6)."""

from __future__ import annotations

from collections import Counter

from sansice.machine import Address
from sansice.turn._peer_policy import PeerPolicy

from ._allocation import Relay


class OwnAddresses:
    """Says which peers a client may have: by the policy, and by what this server itself has at an address.

    On a host of the server's own, a client reaches relayed addresses of other allocations and nothing else: no listener, so
    that no loop can be made, and no other program, which may trust whoever comes from its own machine. A rule of the policy
    that names the host opens the rest of it, but never a listener.

    Args:
        policy: which hosts may be peers.

    Attributes:
        relays: by the address that peers see.
    """

    __slots__ = ("_hosts", "_listeners", "_policy", "relays")

    def __init__(self, policy: PeerPolicy) -> None:
        self._policy = policy
        self._hosts: Counter[str] = Counter()
        self._listeners: Counter[Address] = Counter()
        self.relays: dict[Address, Relay] = {}

    def add_host(self, host: str) -> None:
        """A host is this server's from now on."""
        self._hosts[host] += 1

    def add_listener(self, address: Address) -> None:
        """A listener is open; its host is this server's."""
        self._listeners[address] += 1
        self.add_host(address.host)

    def remove_listener(self, address: Address) -> None:
        """It is closed. The host stays known: it may still have relayed addresses."""
        self._listeners[address] -= 1

    def is_own(self, host: str) -> bool:
        """Whether a peer's host is this server's, so that `may_reach` must be asked about each address there."""
        return host in self._hosts

    def may_permit(self, host: str) -> bool:
        """Whether a host may be a peer at all."""
        return self.is_own(host) or self._policy.allows(host)

    def may_reach(self, address: Address) -> bool:
        """Whether data may be exchanged with an address, as things are now."""
        if not self.is_own(address.host):
            return self._policy.allows(address.host)
        if address in self.relays:
            return True
        return not self._listeners[address] and self._policy.opens(address.host)
