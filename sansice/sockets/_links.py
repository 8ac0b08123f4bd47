"""Which interfaces lead anywhere at present, as Linux has it. Elsewhere all that have addresses do.

Linux keeps the IPv4 addresses of an interface that is switched off or whose cable is pulled, and sockets can be bound to them.
Nothing leaves by them.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Mapping
from enum import Enum
from socket import AF_INET, SOCK_CLOEXEC, SOCK_DGRAM, socket
from types import MappingProxyType

# Seconds for which a carrier may be missing before what has begun on it is given up. A radio that goes to another access point is
# back by then, and where there is no other path all would have to begin anew. Where there is one, `SETTLE` before and the move
# afterwards fit into the same second.
CARRIER_GRACE = 0.3

_SIOCGIFFLAGS = 0x8913  # <linux/sockios.h>
_IFREQ = struct.Struct("16sH22x")  # <linux/if.h>: the name, the flags, and the rest of the union
_UP = 0x01  # somebody has switched it on
# RFC 2863's operational state is "up", or not known, as of loopback and of tunnels. It is not where there is no carrier, nor on
# interfaces that wait for a login (802.1X, "dormant"), nor on those above one that does not run.
_RUNNING = 0x40


class LinkState(Enum):
    """Whether an interface leads anywhere."""

    WORKING = "working"
    FALTERING = "faltering"  # it has no carrier, and may have one in a moment
    DOWN = "down"


NOTHING_LOST: Mapping[str, float] = MappingProxyType({})


def judge(flags: Mapping[str, int], lost: Mapping[str, float], now: float) -> tuple[Mapping[str, LinkState], Mapping[str, float]]:
    """What the flags of interfaces say.

    Args:
        flags: of `read_flags`.
        lost: since when those had no carrier that had none at the look before.
        now: monotonic seconds.

    Returns:
        The states, and which have no carrier now, and since when.
    """
    states: dict[str, LinkState] = {}
    missed: dict[str, float] = {}
    for name, flag in flags.items():
        if flag & _UP and not flag & _RUNNING:
            since = missed[name] = lost.get(name, now)
            states[name] = LinkState.FALTERING if now < since + CARRIER_GRACE else LinkState.DOWN
        else:
            states[name] = LinkState.WORKING if flag & _UP else LinkState.DOWN
    return states, missed


def read_flags(names: Iterable[str]) -> dict[str, int]:
    """The flags of those interfaces of which the system tells any.

    sysfs has them as well, but for the namespace in which it was mounted, which need not be that of this thread.
    """
    if sys.platform != "linux":
        return {}
    try:
        with socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC) as asked:
            return {name: flags for name in names if (flags := _read(asked, name)) is not None}
    except OSError:  # a sandbox, or no descriptor is left
        return {}


def _read(asked: socket, name: str) -> int | None:
    from fcntl import ioctl  # Windows has none

    try:
        answer = ioctl(asked, _SIOCGIFFLAGS, _IFREQ.pack(name.encode(), 0))
    except OSError:  # it has gone meanwhile
        return None
    flags: int = _IFREQ.unpack(answer)[1]
    return flags
