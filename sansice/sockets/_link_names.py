"""The mDNS of this process: one `sansice.ice.MdnsAgent` for all of its agents, on sockets of its own, in a thread of its own.

Port 5353 is shared by all programs of a machine, and each of them hears everything that is said on a link; so one socket for each
interface does, whatever number of agents there are, in whichever runtime.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from sansice.driver import Driver, clock
from sansice.machine import Address, CloseMode, Event, LocalProtocolError, OpenSocket, QueryId, Resolve, SocketId

from ._interfaces import local_hosts
from ._sockets import Sockets

if TYPE_CHECKING:
    from sansice.ice import HostAddress, MdnsAgent, NameFailed, NameResolved

REFRESH = 5.0  # seconds between two looks at the interfaces, as for any listing of them
IDLE = 30.0  # seconds after which the thread ends, if nothing is looked for and no name is ours: what it has heard is of no use

_MANY = 4096  # of a pipe's bytes

Found = Callable[[str | None], None]
"""Told the address of a name; ``None``: there is none."""


class LinkNames:
    """See the module. Its methods may be called in any thread, and none waits for the network.

    Args:
        hosts: the addresses of this machine, asked for now and then.
    """

    __slots__ = (
        "_driver",
        "_ended",
        "_hosts",
        "_idle",
        "_lock",
        "_machine",
        "_refresh",
        "_sockets",
        "_thread",
        "_told",
        "_waiting",
        "_wake",
        "_woken",
    )

    def __init__(self, hosts: Callable[[], Sequence[HostAddress]] = local_hosts) -> None:
        from sansice.ice import MdnsAgent  # here, because hardly any driver meets such a name

        self._hosts = hosts
        addresses = hosts()  # before anything is open, as it may raise
        self._lock = threading.Lock()
        self._machine: MdnsAgent = MdnsAgent()
        self._sockets = Sockets()
        self._told: list[NameResolved | NameFailed] = []
        self._waiting: dict[QueryId, Found] = {}
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._ended = False
        self._refresh, self._idle = clock() + REFRESH, clock() + IDLE
        self._driver = Driver(self._machine, self)
        self._driver.call(self._machine.update_addresses, addresses)
        self._thread = threading.Thread(target=self._run, name="sansice mDNS", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether its thread has ended, or is about to."""
        return self._ended or not self._idle

    def find(self, name: str, found: Found) -> bool:
        """Look for the address of a name, for as long as `sansice.ice.MdnsConfig.query_timeout` says.

        Args:
            name: as a peer told it.
            found: called once, in the other thread. It must not wait.

        Returns:
            ``False``: the thread has ended, and nothing is looked for.
        """
        with self._lock:
            if self._ended or not self._idle:
                return False
            query = self._driver.call(self._machine.resolve, name)
            self._waiting[query] = found
            self._idle = clock() + IDLE
            self._stir()
        return True

    def publish(self, name: str, host: str) -> bool:
        """Answer for a name of an agent's, from now on until `withdraw`. Beyond ``MdnsConfig.max_names`` nobody answers for it.

        Returns:
            ``False``: the thread has ended, and nothing is answered for.
        """
        with self._lock:
            if self.ended:
                return False
            with contextlib.suppress(LocalProtocolError):  # the candidate is told all the same (draft 3.1.1)
                self._driver.call(self._machine.publish, name, host)
            self._refresh = 0.0  # the address may be newer than the last look
            self._stir()
        return True

    def withdraw(self, name: str) -> None:
        """Take a name back, and say so on the link; one that is not ours is a no-op."""
        with self._lock:
            if not self.ended:
                self._driver.call(self._machine.withdraw, name)
                self._idle = clock() + IDLE
                self._stir()

    def close(self) -> None:
        """End the thread, and wait for that; what is looked for is not found. The second time it is a no-op."""
        with self._lock:
            self._idle = 0.0
            self._stir()
        self._thread.join()

    # ------------------------------------------------------------- what the driver calls, with the lock held

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        return clock()

    def arm(self, deadline: float) -> None:
        """The thread asks the machine itself."""

    def open_socket(self, action: OpenSocket) -> None:
        """Open a member of a group."""
        self._sockets.open(action, self._driver)

    def close_socket(self, socket: SocketId, mode: CloseMode) -> None:
        """Close it."""
        self._sockets.close(socket, mode)

    def set_reading(self, socket: SocketId, enabled: bool) -> None:
        """It has no streams."""

    def send_stream(self, socket: SocketId, data: bytes) -> None:
        """It has no streams."""

    def set_dont_fragment(self, socket: SocketId, enabled: bool) -> None:
        """It does not ask for that."""

    def resolve(self, action: Resolve) -> None:
        """It asks nobody else."""

    def send_datagram(self, socket: SocketId, destination: Address, data: bytes) -> None:
        """Send or lose a message."""
        self._sockets.send(socket, destination, data)

    def deliver(self, event: Event) -> None:
        """Keep it until the lock is free."""
        self._told.append(cast("NameResolved | NameFailed", event))  # it has no others

    # ------------------------------------------------------------- inside

    def _run(self) -> None:
        deadline = 0.0
        poll = select.poll()  # not `select`, which knows no descriptors beyond 1023
        poll.register(self._sockets, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while True:
            poll.poll(max(0.0, deadline - clock()) * 1000)
            with self._lock:
                self._step()
                answers = self._take_answers()
                deadline = min(self._machine.deadline(), self._refresh, self._idle_until)
                ended = self._ended
            for found, host in answers:
                found(host)
            if ended:
                return

    def _step(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, _MANY)
        self._sockets.feed(self._driver)
        now = clock()
        if now >= self._machine.deadline():
            self._driver.timer(self._machine.deadline())
        if now >= self._idle_until:
            self._end()
        elif now >= self._refresh:
            self._refresh = now + REFRESH
            with contextlib.suppress(OSError):  # what is there at present stays
                self._driver.call(self._machine.update_addresses, self._hosts())

    @property
    def _idle_until(self) -> float:
        return self._idle if not self._idle or not self._machine.names else math.inf

    def _end(self) -> None:
        self._ended = True
        self._driver.call(self._machine.close)
        self._sockets.close_all()
        os.close(self._woken)
        os.close(self._wake)

    def _stir(self) -> None:
        """Have the thread look again; it does anyway where it has been told so often that the pipe is full."""
        if not self._ended:
            with contextlib.suppress(BlockingIOError):
                os.write(self._wake, b"x")

    def _take_answers(self) -> list[tuple[Found, str | None]]:
        from sansice.ice import NameResolved

        told, self._told = self._told, []
        return [(self._waiting.pop(event.query), event.host if isinstance(event, NameResolved) else None) for event in told]


_lock = threading.Lock()
_shared: dict[int, LinkNames] = {}  # by the id of the process: of a thread, the child of a fork has nothing


def find_on_link(name: str, found: Found) -> None:
    """Look for the address of a name, by what all of this process share. See `LinkNames.find`.

    Raises:
        OSError, ModuleNotFoundError: the interfaces of this machine cannot be listed.
    """
    while not _names().find(name, found):
        pass  # its thread has ended meanwhile, and there is another now


def publish_on_link(name: str, host: str) -> None:
    """Answer for a name, for all of this process. See `LinkNames.publish`; where there is no link, nobody does."""
    with contextlib.suppress(OSError, ModuleNotFoundError):
        while not _names().publish(name, host):
            pass


def withdraw_from_link(name: str) -> None:
    """Answer for it no more. See `LinkNames.withdraw`."""
    names = _shared.get(os.getpid())
    if names is not None:
        names.withdraw(name)


def _names() -> LinkNames:
    with _lock:
        names = _shared.get(os.getpid())
        if names is None or names.ended:
            names = _shared[os.getpid()] = LinkNames()
        return names
