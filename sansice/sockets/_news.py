"""What Linux tells of a machine that moves: interfaces and addresses change (netlink), or it has slept (timerfd).

The clock by which poll and epoll wait stands still while a machine sleeps, so that whoever waits for a deadline is woken so much
later as there was left of it. The wall clock goes on: a timer that watches for its being set is told of every waking, and costs
nothing until then.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Protocol

# <linux/rtnetlink.h>
RTMGRP_LINK = 0x001
RTMGRP_IPV4_IFADDR = 0x010
RTMGRP_IPV6_IFADDR = 0x100
_ROUTE = 0  # NETLINK_ROUTE

# <sys/timerfd.h>
_ABSTIME, _CANCEL_ON_SET = 1, 2
_NEVER = 2**31 - 1  # seconds of the wall clock, as many as fit where a long has 32 bits: in 2038 it fires once, for nothing
_EXPIRATIONS = 8  # bytes that a timer has to read


class Source(Protocol):
    """What a watch waits for: a socket can be one."""

    def fileno(self) -> int:
        """The descriptor that is readable where there is news."""
        ...

    def recv(self, size: int, /) -> bytes:
        """Read a piece of it.

        Raises:
            BlockingIOError: there is none.
        """
        ...

    def close(self) -> None:
        """Hear no more."""
        ...


def open_netlink() -> socket.socket | None:
    """A socket to which the kernel writes when interfaces or addresses change; ``None``: this system has none, or not for us."""
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        return None
    try:
        sock = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, _ROUTE)
    except OSError:
        return None
    try:
        sock.bind((0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))
    except OSError:  # some sandboxes have the socket and not this
        sock.close()
        return None
    return sock


def open_wakings() -> int | None:
    """A descriptor that is readable when the machine has slept, or its wall clock was set; ``None``: not on this system."""
    try:
        return _open_timer()
    except (AttributeError, OSError):  # a C library, or a sandbox, without it
        return None


def _open_timer() -> int:
    import ctypes  # Python has no such calls before 3.13; for those who stay, as most connections do not

    library = ctypes.CDLL(None, use_errno=True)
    timer: int = library.timerfd_create(time.CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC)
    if timer < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    never = (ctypes.c_long * 4)(0, 0, _NEVER, 0)  # struct itimerspec: the interval, and until when, in seconds and nanoseconds
    library.timerfd_settime(timer, _ABSTIME | _CANCEL_ON_SET, never, None)
    return timer


class News:
    """Both, behind one descriptor; a `Source`.

    Args:
        netlink: of `open_netlink`. It is closed with this.
        wakings: of `open_wakings`. It is closed with this.
    """

    __slots__ = ("_epoll", "_netlink", "_wakings")

    def __init__(self, netlink: socket.socket, wakings: int) -> None:
        self._netlink = netlink
        self._wakings = wakings
        self._epoll = select.epoll(2)
        for one in (netlink.fileno(), wakings):
            self._epoll.register(one, select.EPOLLIN)

    def fileno(self) -> int:
        """The descriptor that is readable where there is news of either kind."""
        return self._epoll.fileno()

    def recv(self, size: int, /) -> bytes:
        """Read a piece of it; what it says does not matter.

        Raises:
            BlockingIOError: there is none.
            OSError: more was lost than read, which is news as well.
        """
        with contextlib.suppress(BlockingIOError):
            return self._netlink.recv(size)
        try:
            return os.read(self._wakings, _EXPIRATIONS)
        except OSError as error:
            if error.errno == errno.ECANCELED:  # as timerfd_create(2) says it
                return b""
            raise

    def close(self) -> None:
        """Hear no more."""
        self._epoll.close()
        self._netlink.close()
        os.close(self._wakings)


def open_news(
    netlink: Callable[[], socket.socket | None] = open_netlink, wakings: Callable[[], int | None] = open_wakings
) -> Source | None:
    """As much as can be heard here; ``None``: not even of changes, and somebody has to look now and then."""
    sock = netlink()
    if sock is None:
        return None
    timer = wakings()
    return sock if timer is None else News(sock, timer)
