"""Socket options: what a simulated socket knows of ``setsockopt``."""

from __future__ import annotations

import errno
import socket
import struct
import sys
from typing import Any, TypeAlias

from ._errors import os_error

Option: TypeAlias = tuple[int, int]

# <linux/in.h>, <linux/in6.h>: the socket module does not name these.
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PMTUDISC_DO, _PMTUDISC_PROBE = 10, 23, 2, 3
_MTU_DISCOVER = {(int(socket.IPPROTO_IP), _IP_MTU_DISCOVER), (int(socket.IPPROTO_IPV6), _IPV6_MTU_DISCOVER)}

# What programs set and a simulated network has no use for, or takes note of: by level, the names that the system has.
_NAMES = {
    socket.SOL_SOCKET: "SO_REUSEADDR SO_REUSEPORT SO_KEEPALIVE SO_LINGER SO_RCVBUF SO_SNDBUF SO_BROADCAST SO_BINDTODEVICE "
    "SO_PRIORITY SO_OOBINLINE SO_RCVLOWAT SO_MARK",
    socket.IPPROTO_IP: "IP_TOS IP_TTL IP_RECVERR IP_BIND_ADDRESS_NO_PORT IP_MULTICAST_TTL IP_MULTICAST_LOOP",
    socket.IPPROTO_IPV6: "IPV6_V6ONLY IPV6_TCLASS IPV6_UNICAST_HOPS IPV6_RECVERR IPV6_MULTICAST_HOPS IPV6_MULTICAST_LOOP",
    socket.IPPROTO_TCP: "TCP_NODELAY TCP_NOTSENT_LOWAT TCP_KEEPIDLE TCP_KEEPINTVL TCP_KEEPCNT TCP_USER_TIMEOUT TCP_QUICKACK "
    "TCP_CORK TCP_FASTOPEN TCP_CONGESTION TCP_DEFER_ACCEPT",
}
_KNOWN = {
    (int(level), int(getattr(socket, name))) for level, names in _NAMES.items() for name in names.split() if hasattr(socket, name)
} | (_MTU_DISCOVER if sys.platform == "linux" else set())

_REUSE_PORT = (int(socket.SOL_SOCKET), int(getattr(socket, "SO_REUSEPORT", -1)))
_REUSE_ADDRESS = (int(socket.SOL_SOCKET), int(socket.SO_REUSEADDR))
_LINGER = (int(socket.SOL_SOCKET), int(socket.SO_LINGER))
_DEVICE = (int(socket.SOL_SOCKET), int(getattr(socket, "SO_BINDTODEVICE", -1)))
RECEIVE_BUFFER = (int(socket.SOL_SOCKET), int(socket.SO_RCVBUF))
SEND_BUFFER = (int(socket.SOL_SOCKET), int(socket.SO_SNDBUF))

BUFFER = 212_992  # bytes; Linux: net.core.rmem_default


class Options:
    """The options of one socket, those that nobody has set included."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[Option, int | bytes] = {RECEIVE_BUFFER: BUFFER, SEND_BUFFER: BUFFER}

    def set(self, option: Option, value: Any) -> None:
        """Take note.

        Raises:
            OSError: ENOPROTOOPT, for what simulated sockets know nothing of.
        """
        if option not in _KNOWN:
            raise os_error(errno.ENOPROTOOPT, f"option {option[1]} of level {option[0]} in a simulated network")
        if option in (RECEIVE_BUFFER, SEND_BUFFER):
            value = 2 * _number(value)  # socket(7): the kernel doubles it
        self._values[option] = _number(value) if isinstance(value, int) else bytes(value)

    def get(self, option: Option) -> int:
        """As a number.

        Raises:
            OSError: ENOPROTOOPT.
        """
        if option not in _KNOWN:
            raise os_error(errno.ENOPROTOOPT, f"option {option[1]} of level {option[0]} in a simulated network")
        return _number(self._values.get(option, 0))

    @property
    def reuse_port(self) -> bool:
        """Whether others may have the port, too."""
        return bool(_number(self._values.get(_REUSE_PORT, 0)))

    @property
    def reuse_address(self) -> bool:
        """What Linux takes for the same among UDP sockets."""
        return bool(_number(self._values.get(_REUSE_ADDRESS, 0)))

    @property
    def whole(self) -> bool:
        """Whether what is too big for a link is to come back rather than to be cut."""
        return any(self._values.get(option) in (_PMTUDISC_DO, _PMTUDISC_PROBE) for option in _MTU_DISCOVER)

    @property
    def receive_buffer(self) -> int:
        """Bytes that may wait to be read."""
        return _number(self._values[RECEIVE_BUFFER])

    @property
    def device(self) -> str | None:
        """The name of the interface that the socket is bound to."""
        value = self._values.get(_DEVICE, b"")
        return value.rstrip(b"\0").decode() or None if isinstance(value, bytes) else None

    @property
    def resets(self) -> bool:
        """Whether closing a connection is to reset it: a linger time of 0."""
        value = self._values.get(_LINGER, b"")
        return isinstance(value, bytes) and len(value) == 8 and struct.unpack("ii", value)[0] != 0 and value[4:] == bytes(4)


def _number(value: int | bytes) -> int:
    return int.from_bytes(value[:4], sys.byteorder, signed=True) if isinstance(value, bytes) else int(value)
