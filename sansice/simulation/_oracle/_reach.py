"""Who reaches whom once every packet that anybody would send has been sent: the fixpoint."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from sansice.simulation._scene._scene import Scene
from sansice.simulation._world._packets import Fate

from ._geography import Geography
from ._sides import Side, gather
from ._values import Arrival, Chances, Endpoint, Loss, Outcome, Socket
from ._walk import Walk


@attrs.frozen
class Path:
    """A pair of sockets between which checks succeed both ways.

    Attributes:
        ours, theirs: the sockets of an agent and of its peer.
        mapped: as what the peer sees ours.
        remote: as what we see theirs.
    """

    ours: Socket
    theirs: Socket
    mapped: Endpoint
    remote: Endpoint


class Reach:
    """Sends what agents would send until nothing new comes of it.

    A round is every check that all agents would make. What NATs and agents learn in it only ever adds to what is reachable,
    so the order within a round decides nothing, and the rounds end: an agent learns a bounded number of addresses, and a NAT
    has one mapping at most for each packet that differs.

    Args:
        scene: what is there.
        chances: how everything falls that the scene leaves open.

    Attributes:
        sides: the agents by name.
    """

    __slots__ = ("_called", "_chances", "_walk", "_works", "sides")

    def __init__(self, scene: Scene, chances: Chances) -> None:
        geography = Geography(scene)
        self._chances = chances
        self._walk = Walk(geography, chances)
        self._works: dict[tuple[str, Socket, Endpoint], None] = {}
        self._called: dict[tuple[str, Socket, Endpoint], None] = {}
        self.sides: dict[str, Side] = {spec.name: Side(spec, geography, chances) for spec in scene.agents}
        couples = [(side, self.sides[scene.peer_of(side.spec)]) for side in self.sides.values()]
        for side in self.sides.values():
            gather(side, scene, self._walk)
        for side, peer in couples:
            side.be_told(peer)
        while self._round(couples):
            pass

    def paths(self, side: Side, peer: Side) -> Iterator[Path]:
        """What works between two agents, as ``side`` sees it."""
        for name, socket, target in self._works:
            out = self._walk.send(socket, target)
            theirs = _socket_of(peer, out)
            if name == side.spec.name and theirs is not None and isinstance(out, Arrival):
                yield Path(socket, theirs, out.source, target)

    def losses(self, side: Side, peer: Side) -> Iterator[tuple[Socket, Endpoint, Loss]]:
        """Where the checks of ``side`` end that do not reach its peer."""
        for socket, targets in side.targets.items():
            for target in targets:
                out = self._walk.send(socket, target)
                if isinstance(out, Loss):
                    yield socket, target, out
                elif _socket_of(peer, out) is None:
                    yield socket, target, Loss(out.host, Fate.CLOSED_PORT)

    def _round(self, couples: list[tuple[Side, Side]]) -> bool:
        """Whether anything was learned."""
        before = self._walk.learned, len(self._works), len(self._called)
        learned = False
        for side, peer in couples:
            if side.spec.name == self._chances.silent or side.spec.lite:
                continue
            for socket, targets in side.targets.items():
                for target in tuple(targets):
                    learned |= self._check(side, peer, socket, target)
        return learned or before != (self._walk.learned, len(self._works), len(self._called))

    def _check(self, side: Side, peer: Side, socket: Socket, target: Endpoint) -> bool:
        """One check and its answer, which must come back the way it went (RFC 8445 7.2.5.2.1)."""
        check = (side.spec.name, socket, target)
        out = self._walk.send(socket, target)
        theirs = _socket_of(peer, out)
        if theirs is None or not isinstance(out, Arrival):
            return False
        back = self._walk.send(theirs, out.source)
        if back == Arrival(socket.host, socket.local, target) and side.is_open(socket, target):
            self._works[check] = None
        if peer.spec.name == self._chances.refusing and check not in self._works and check not in self._called:
            return False
        self._called[peer.spec.name, theirs, out.source] = None
        return peer.learn(theirs, out.source, side.bases[socket].preference)


def _socket_of(peer: Side, outcome: Outcome) -> Socket | None:
    """The peer's socket at which a packet arrived."""
    if isinstance(outcome, Loss):
        return None
    found = next((one for one in peer.bases if (one.host, one.local) == (outcome.host, outcome.local)), None)
    return found if found is not None and peer.is_open(found, outcome.source) else None
