"""systemd's side of a service: sockets that it opened before, and telling it how things are (sd_listen_fds(3), sd_notify(3))."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping

from sansice import Address, Transport
from sansice.sockets import from_sockaddr
from sansice.stun import Listener

_FIRST_DESCRIPTOR = 3  # sd_listen_fds(3): SD_LISTEN_FDS_START
_OF_KIND = {socket.SOCK_DGRAM: Transport.UDP, socket.SOCK_STREAM: Transport.TCP}
_SECURE = {Transport.UDP: Transport.DTLS, Transport.TCP: Transport.TLS}


def notify(*lines: str) -> None:
    """Tell the service manager, where there is one: ``READY=1``, ``STOPPING=1``, ``RELOADING=1``."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto("\n".join(lines).encode(), address)
        except OSError:  # a manager that went away is no reason to stop serving
            pass


def notify_reloading() -> None:
    """Tell that a reload begins; ``READY=1`` ends it. The time is what ``Type=notify-reload`` wants beside it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def watchdog_interval() -> float | None:
    """Seconds between two signs of life, where the manager wants any (sd_watchdog_enabled(3)): half of what it waits for."""
    text, process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not text.isdigit() or not int(text) or process != str(os.getpid()):
        return None
    return int(text) / 2e6


def inherited_sockets(environ: MutableMapping[str, str]) -> list[tuple[socket.socket, str]]:
    """The sockets that the service manager opened for this process, with their names; the environment is cleared of them.

    Raises:
        ValueError: a descriptor that is no socket.
    """
    process, number = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if process != str(os.getpid()) or not number.isdigit():
        return []
    found = []
    for index in range(int(number)):
        try:
            sock = socket.socket(fileno=_FIRST_DESCRIPTOR + index)
        except OSError as error:
            raise ValueError(f"descriptor {_FIRST_DESCRIPTOR + index} of LISTEN_FDS is no socket: {error.strerror}") from None
        sock.set_inheritable(False)
        found.append((sock, names[index] if index < len(names) else ""))
    return found


def listener_of(sock: socket.socket, name: str) -> Listener:
    """What a server listens for at an inherited socket: UDP or TCP; DTLS or TLS where its name begins with ``tls``.

    Raises:
        ValueError: a socket that no server can use.
    """
    transport = _OF_KIND.get(sock.type)
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or transport is None:
        raise ValueError(f"the inherited socket {name or sock.fileno()} is neither UDP nor TCP")
    if name.startswith(("tls", "dtls")):
        transport = _SECURE[transport]
    return Listener(transport, Address(*from_sockaddr(sock.getsockname())))
