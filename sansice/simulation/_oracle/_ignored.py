"""What a scene has and the oracle does not judge."""

from __future__ import annotations

from collections.abc import Iterator

from sansice.simulation._scene._parts import NatSpec
from sansice.simulation._scene._scene import Scene

from ._geography import links

_LONG = 60.0  # s: no setup takes longer, see `IceConfig.pac_timeout` and RFC 8489 6.2.1
_ENOUGH = 100  # mappings: agents have fewer pairs
_DATAGRAM = 576  # bytes: no check is longer (RFC 8489 6.1)


def ignored(scene: Scene) -> Iterator[str]:
    """See `Prediction.ignored`."""
    for (place, owner, address), link in links(scene):
        where = " ".join(part for part in (owner, address, "at" if owner else "", place) if part)
        if link.bursts is not None or 0.0 < link.loss < 1.0:
            yield f"{where}: packets are lost"
        if link.mtu is not None and link.mtu < _DATAGRAM:
            yield f"{where}: checks may be longer than {link.mtu} bytes"
        if link.bandwidth is not None:
            yield f"{where}: packets wait for a bandwidth of {link.bandwidth:g} bit/s"
    for nat in scene.nats:
        yield from _of_nat(nat)
    for agent in scene.agents:
        if agent.tcp:
            yield f"{agent.name}: candidates for TCP"
    if scene.changes:
        yield f"what changes from {min(at.time for at in scene.changes):g} s on"


def _of_nat(nat: NatSpec) -> Iterator[str]:
    kind = nat.nat_kind
    lifetimes = [kind.lifetime, kind.unreplied, kind.filter_lifetime]
    shortest = min(lifetime for lifetime in lifetimes if lifetime is not None)
    if shortest < _LONG:
        yield f"{nat.name}: what is not used for {shortest:g} s is forgotten"
    limits = [limit for limit in (kind.max_mappings, kind.max_mappings_per_host) if limit is not None]
    if limits and min(limits) < _ENOUGH:
        yield f"{nat.name}: only {min(limits)} mappings at a time"
