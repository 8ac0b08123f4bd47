"""Who is who: from an address in a packet to a name that a person knows."""

from __future__ import annotations

from collections.abc import Mapping

from sansice.ice import Candidate, CandidateType, IceAgent, LiteAgent
from sansice.machine import Address
from sansice.simulation._world._node import Node

from ._journey import Journey


class Cast:
    """Names for both ends of journeys: ``alice:host``, ``bob:srflx``, ``stun``; an address where nothing is known of it.

    Args:
        nodes: what runs agents, by the name that these are to have.
        reached: see `Tracker`.
    """

    def __init__(self, nodes: Mapping[str, Node], reached: Mapping[Address, str]) -> None:
        self._agents = {name: node.machine for name, node in nodes.items() if isinstance(node.machine, (IceAgent, LiteAgent))}
        self._hosts = {name: nodes[name].host.name for name in self._agents}
        self._reached = reached

    def sender(self, journey: Journey) -> str:
        """Who sent a packet."""
        source = journey.packet.source
        for name in self._agents_at(journey.origin):
            candidate = self._candidate(name, source)
            if candidate is not None:
                return self._label(name, candidate)
        return self._named(journey.origin, source)

    def receiver(self, journey: Journey) -> str:
        """To whom it was sent, which is not always who got it."""
        destination = journey.packet.destination
        others = [name for name in self._agents if self._hosts[name] != journey.origin]
        for name in (*others, *self._agents_at(journey.origin)):
            candidate = self._candidate(name, destination)
            if candidate is not None:
                return self._label(name, candidate)
        return self._named(self._reached.get(destination, ""), destination)

    def host_of(self, journey: Journey) -> str:
        """The name of the host for which it is meant; "" if that is not known."""
        label = self.receiver(journey).partition(":")[0]
        return self._hosts.get(label, label)

    def _named(self, host: str, address: Address) -> str:
        """An address that is no candidate: an agent's own is peer-reflexive to those who see it (RFC 8445 7.2.5.3.1)."""
        agents = self._agents_at(host)
        if len(agents) == 1 and address.port:
            return f"{agents[0]}:{CandidateType.PEER_REFLEXIVE.value}"
        return host or str(address)

    def _agents_at(self, host: str) -> list[str]:
        return [name for name, at in self._hosts.items() if at == host]

    def _candidate(self, name: str, address: Address) -> Candidate | None:
        return next((one for one in self._agents[name].local_candidates if one.address == address), None)

    def _label(self, name: str, candidate: Candidate) -> str:
        label = f"{name}:{candidate.type.value}"
        alike = [one for one in self._agents[name].local_candidates if one.type is candidate.type]
        return label if len(alike) == 1 else f"{label} {candidate.address}"
