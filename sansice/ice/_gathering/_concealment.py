"""Names in place of host candidates' addresses (draft-ietf-mmusic-mdns-ice-candidates 3.1)."""

from __future__ import annotations

from collections.abc import Collection

from sansice.ice._candidate import CandidateAddress, HostName
from sansice.ice._mdns_name import mdns_name
from sansice.ice._reachability import is_loopback
from sansice.machine import Address, Entropy, Machine, PublishName, WithdrawName


class Concealment(Machine):
    """The names of one agent: each address has one, whatever ports, components and generations it is used for (draft 3.1.1).

    An agent is what shares names, as a page does in a browser: another one has others, so that nobody is recognised by them
    (draft 3.3.3).

    Args:
        entropy: of the agent.
    """

    __slots__ = ("_entropy", "_names")

    def __init__(self, entropy: Entropy) -> None:
        super().__init__()
        self._entropy = entropy
        self._names: dict[str, str] = {}

    def address_of(self, address: Address) -> CandidateAddress:
        """What a host candidate has in place of its address.

        Loopback stays: it tells nothing, for every machine has it, and a name for it would lead everybody to himself.
        """
        if is_loopback(address):
            return address
        name = self._names.get(address.host)
        if name is None:
            name = self._names[address.host] = mdns_name(self._entropy)
            self._outputs.append(PublishName(name, address.host))
        return HostName(name, address.port)

    def name_of(self, host: str) -> str:
        """The name of an address, or that itself where it has none."""
        return self._names.get(host, host)

    def keep(self, hosts: Collection[str]) -> None:
        """Take back the names of all other addresses."""
        for host in tuple(self._names):
            if host not in hosts:
                self._outputs.append(WithdrawName(self._names.pop(host)))
