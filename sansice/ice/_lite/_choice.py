"""How two lite agents come to their pairs, without a single check (RFC 8445 8.2)."""

from __future__ import annotations

from collections.abc import Iterable

from sansice.ice._candidate import Candidate
from sansice.ice._priority import pair_priority
from sansice.ice._reachability import can_pair
from sansice.ice._role import IceRole

from ._component import Component, LitePair
from ._hosts import Host
from ._precedence import affinity


def priority_of(local: Candidate, remote: Candidate, role: IceRole) -> int:
    """Of a pair (RFC 8445 6.1.2.3); `role` is the local agent's."""
    if role is IceRole.CONTROLLING:
        return pair_priority(local.priority, remote.priority)
    return pair_priority(remote.priority, local.priority)


def possible_pairs(component: Component, hosts: Iterable[Host], role: IceRole, now: float) -> list[LitePair]:
    """All pairs of one component, the one to use first.

    By RFC 6724, and then by priority, both of which are the same seen from either side: agents that know the same
    candidates, and have different roles, agree before they have told each other.
    """
    pairs = [
        LitePair(host, remote, address, priority_of(host.candidate, remote, role), now)
        for host in hosts
        if host.component == component.number
        for address, remote in component.remotes.items()
        if can_pair(host.base, address)
    ]
    pairs.sort(key=lambda pair: (affinity(pair.host.base.host, pair.address.host), pair.priority), reverse=True)
    return pairs
