"""What a system says when it refuses: the errors of the simulated world as `OSError`."""

from __future__ import annotations

import errno
import os

from sansice import IcmpError, SocketError, SocketErrorKind

_NUMBERS = {
    SocketErrorKind.ADDRESS_IN_USE: errno.EADDRINUSE,
    SocketErrorKind.ADDRESS_UNAVAILABLE: errno.EADDRNOTAVAIL,
    SocketErrorKind.PERMISSION: errno.EACCES,
    SocketErrorKind.NO_RESOURCES: errno.ENOBUFS,
    SocketErrorKind.UNSUPPORTED: errno.ENOPROTOOPT,
    SocketErrorKind.REFUSED: errno.ECONNREFUSED,
    SocketErrorKind.RESET: errno.ECONNRESET,
    SocketErrorKind.UNREACHABLE: errno.EHOSTUNREACH,
    SocketErrorKind.TIMEOUT: errno.ETIMEDOUT,
}

# What a connected UDP socket of Linux is told: the fatal ones of the kernel's tables icmp_err_convert and tab_unreach.
_OF_ICMPV4 = {
    (3, 2): errno.ENOPROTOOPT,
    (3, 3): errno.ECONNREFUSED,
    (3, 4): errno.EMSGSIZE,
    (3, 6): errno.ENETUNREACH,
    (3, 7): errno.EHOSTDOWN,
    (3, 9): errno.ENETUNREACH,
    (3, 10): errno.EHOSTUNREACH,
    (3, 13): errno.EHOSTUNREACH,
    (3, 14): errno.EHOSTUNREACH,
    (3, 15): errno.EHOSTUNREACH,
}
_OF_ICMPV6 = {
    (1, 1): errno.EACCES,
    (1, 4): errno.ECONNREFUSED,
    (1, 5): errno.EACCES,
    (1, 6): errno.EACCES,
    (2, 0): errno.EMSGSIZE,
}


def number_of(error: SocketError) -> int:
    """The errno for an error."""
    return _NUMBERS.get(error.kind, errno.EINVAL)


def os_error(number: int, about: str = "") -> OSError:
    """An `OSError`, or the subclass that belongs to the number, in the system's words."""
    return OSError(number, f"{os.strerror(number)}: {about}" if about else os.strerror(number))


def of_icmp(error: IcmpError) -> int | None:
    """The errno that a connected UDP socket hears; ``None`` where that error is taken for one that passes (RFC 1122 4.2.3.9)."""
    return (_OF_ICMPV6 if error.ipv6 else _OF_ICMPV4).get((error.type, error.code))
