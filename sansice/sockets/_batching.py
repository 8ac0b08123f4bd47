"""What this system can do with many datagrams at once, found out by trying when it is first wanted."""

from __future__ import annotations

import errno
import functools
import socket
import sys
import threading
from typing import TYPE_CHECKING, Final

import attrs

from sansice.machine import Address

if TYPE_CHECKING:
    from ._mmsg import Receiver, Sender

UDP_SEGMENT: Final = 103  # <linux/udp.h>
LOOPBACK: Final = "127.0.0.1"


@attrs.frozen
class Batching:
    """How datagrams that come or go together are read and sent; whatever is missing is done one by one.

    Attributes:
        many: several datagrams are read, and sent to different places, in one system call (recvmmsg, sendmmsg).
        segmentation: datagrams of one size for one place leave as one that the system cuts (UDP_SEGMENT).
        reasons: why not, for a person; empty where everything is there.
    """

    many: bool
    segmentation: bool
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = [word for word, there in (("recvmmsg, sendmmsg", self.many), ("UDP_SEGMENT", self.segmentation)) if there]
        return ", ".join(words) + "".join(f"; {reason}" for reason in self.reasons) if words else "; ".join(self.reasons)


@functools.cache
def batching() -> Batching:
    """What there is, tried once in the life of a process."""
    if sys.platform != "linux":
        return Batching(False, False, ("datagrams are sent and read one by one: only Linux has calls for many",))
    many, segmentation = _try_many(), _try_segmentation()
    return Batching(not many, not segmentation, tuple(filter(None, (many, segmentation))))


class _OfThread(threading.local):
    """What must not be used by two threads at a time."""

    def __init__(self) -> None:
        self.receivers: dict[bool, Receiver] = {}
        self.senders: dict[bool, Sender] = {}


_of_thread = _OfThread()


def receiver(ipv6: bool) -> Receiver | None:
    """What reads many datagrams at once in this thread, if anything does."""
    found = _of_thread.receivers.get(ipv6)
    if found is None and batching().many:
        from ._mmsg import Receiver  # here, because most programs never have several datagrams at once

        found = _of_thread.receivers[ipv6] = Receiver(ipv6)
    return found


def sender(ipv6: bool) -> Sender | None:
    """What sends many datagrams at once in this thread, if anything does."""
    found = _of_thread.senders.get(ipv6)
    if found is None and batching().many:
        from ._mmsg import Sender

        found = _of_thread.senders[ipv6] = Sender(ipv6)
    return found


def _try_many() -> str:
    """Why many datagrams cannot be sent and read at once; "" where they can. What the libraries promise is tried."""
    from ._mmsg import Receiver, Sender, why_not

    reason = why_not()
    if reason:
        return reason
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((LOOPBACK, 0))
        except OSError as error:
            return f"recvmmsg and sendmmsg could not be tried on {LOOPBACK}: {error.strerror}"
        local = Address(*sock.getsockname())
        batch = [(local, b"1"), (local, b""), (local, b"22")]
        sent = Sender(False).send(sock.fileno(), batch)
        if sent != len(batch) or Receiver(False).receive(sock.fileno(), len(batch)) != batch:
            return "recvmmsg and sendmmsg do not work here (a sandbox may refuse them)"
    return ""


def _try_segmentation() -> str:
    """Why the system does not cut datagrams; "" where it does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)
        except OSError as error:
            return f"no UDP_SEGMENT: {errno.errorcode.get(error.errno or 0, error.errno)}; it came with Linux 4.18"
    return ""
