"""What shows that a program has left the simulated network: real sockets, and threads."""

from __future__ import annotations

import functools
import socket
import sys
import warnings
from typing import Any

from sansice.simulation import Host, SimulationError

from ._here import HERE

# Audit events of CPython. Looking literals up is no traffic, and trio does so itself: no `socket.getaddrinfo` here.
_TRAFFIC = frozenset({"socket.bind", "socket.connect", "socket.sendto", "socket.sendmsg", "socket.gethostbyname"})
_NETWORK_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class LeftNetworkWarning(RuntimeWarning):
    """A program on a simulated host uses a thread of trio's: virtual time does not wait for what that does.

    `trio.to_thread` and what is built on it (`trio.open_file`, `trio.Path`) can be seen; other threads cannot.
    """


@functools.cache
def watch_for_leaving() -> None:
    """Have real traffic of programs that are on a host refused.

    An audit hook is for the life of the process, as CPython knows no way to remove one; off a host it does nothing.
    """
    sys.addaudithook(_look)


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _TRAFFIC:
        host = HERE.get(None)
        if host is not None and _is_network(arguments[0]):
            raise SimulationError(
                f"a program on {host.name} uses a real socket ({event}): in the simulated network there are only those of "
                "trio.socket, and what is built on them"
            )


def warn_of_thread(host: Host) -> None:
    """Say that a program has left its task.

    Raises:
        LeftNetworkWarning: where the test wants warnings to be errors.
    """
    warnings.warn(
        f"a program on {host.name} uses a thread: virtual time does not wait for what that does", LeftNetworkWarning, stacklevel=2
    )


def _is_network(sock: object) -> bool:
    return not isinstance(sock, socket.socket) or sock.family in _NETWORK_FAMILIES
