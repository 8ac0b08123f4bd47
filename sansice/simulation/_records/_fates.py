"""What became of a packet, in the few words of a line."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sansice.simulation._world._packets import Fate

PASSING = frozenset({Fate.SENT, Fate.ARRIVED, Fate.TRANSLATED, Fate.FORWARDED, Fate.DUPLICATED, Fate.FRAGMENTED})

_LOSSES: Mapping[Fate, str] = MappingProxyType(
    {
        Fate.LOST: "loss",
        Fate.DROPPED: "the test's own fault",
        Fate.QUEUE_FULL: "queue full",
        Fate.TOO_BIG: "larger than the MTU",
        Fate.UNROUTABLE: "nobody has this address",
        Fate.NO_ROUTE: "no route",
        Fate.HOPS_EXCEEDED: "hop limit",
        Fate.INTERFACE_DOWN: "interface down",
        Fate.ASLEEP: "asleep",
        Fate.INCOMPLETE: "fragments missing",
        Fate.CLOSED_PORT: "no socket at this port",
        Fate.BACKLOG_FULL: "backlog full",
        Fate.NO_MAPPING: "no mapping",
        Fate.FILTERED: "filtering",
        Fate.FRAGMENT: "fragments not let through",
        Fate.BLOCKED: "firewall",
        Fate.NO_HAIRPIN: "no hairpinning",
        Fate.NO_PORTS: "no port left",
    }
)


def is_loss(fate: Fate) -> bool:
    """Whether a packet ends so, and not at a socket."""
    return fate not in PASSING and fate is not Fate.DELIVERED


def reason(fate: Fate) -> str:
    """Why a packet went no further: ``"filtering"``; the fate's own words where there are no shorter ones."""
    return _LOSSES.get(fate, fate.value)
