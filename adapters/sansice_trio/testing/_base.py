"""What UDP and TCP sockets of a simulated network have in common."""

from __future__ import annotations

import builtins
import errno
import itertools
import socket
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, NoReturn, Self, TypeAlias

import trio

from sansice import Address
from sansice.simulation import Host, Network

from ._addresses import SockAddr, any_address, to_sockaddr
from ._errors import os_error
from ._options import Options

Buffer: TypeAlias = Any
"""Whatever `memoryview` takes; Python 3.11 has no name for it."""

_TRIES = 16  # ports to try until one is free at every address of a host
_NUMBERS = itertools.count(2**30)  # no system has as many files: whoever waits for one of these is told EBADF


class SimulatedSocket(trio.socket.SocketType):
    """A socket on a host of a simulated network. Its methods are those of `trio.socket.SocketType`."""

    _kind: socket.SocketKind
    _protocol: int

    def __init__(self, host: Host, network: Network, family: socket.AddressFamily) -> None:
        self._host = host
        self._network = network
        self._family = family
        self._number = next(_NUMBERS)
        self._options = Options()
        self._local: Address | None = None
        self._peer: Address | None = None
        self._is_closed = False
        self._ended_writing = False
        self._pending: int | None = None  # an errno that the next call is told
        self._readers = trio.lowlevel.ParkingLot()
        self._writers = trio.lowlevel.ParkingLot()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._local or 'unbound'} on {self._host.name}>"

    # ------------------------------------------------------------- what subclasses say

    def _release(self) -> None:
        """Give everything back to the host."""
        raise NotImplementedError

    def _is_readable(self) -> bool:
        raise NotImplementedError

    def _is_writable(self) -> bool:
        raise NotImplementedError

    def _receive(self, size: int, flags: int) -> tuple[bytes, bool, SockAddr | None]:
        """Data, whether it was cut, and the source."""
        raise NotImplementedError

    async def _send(self, data: bytes, given: Any | None) -> int:
        raise NotImplementedError

    # ------------------------------------------------------------- what they are

    @property
    def family(self) -> socket.AddressFamily:
        """AF_INET or AF_INET6."""
        return self._family

    @property
    def type(self) -> socket.SocketKind:
        """SOCK_DGRAM or SOCK_STREAM."""
        return self._kind

    @property
    def proto(self) -> int:
        """0, as `trio.socket.socket` was told."""
        return 0

    @property
    def did_shutdown_SHUT_WR(self) -> bool:
        """Whether this direction has ended."""
        return self._ended_writing

    def fileno(self) -> int:
        """A number that is no file of this process; -1 once the socket is closed."""
        return -1 if self._is_closed else self._number

    def getsockname(self) -> SockAddr:
        """What it is bound to."""
        self._check_open()
        return to_sockaddr(self._local or Address(any_address(self._family), 0))

    def getpeername(self) -> SockAddr:
        """What it is connected to."""
        self._check_open()
        if self._peer is None:
            raise os_error(errno.ENOTCONN)
        return to_sockaddr(self._peer)

    def get_inheritable(self) -> bool:
        """Whether child processes have it: never."""
        return False

    def set_inheritable(self, inheritable: bool) -> None:
        """Refused: no other process is in the simulated network."""
        if inheritable:
            self._refuse("set_inheritable")

    def detach(self) -> int:
        """Refused: there is no file to give away."""
        self._refuse("detach")

    def dup(self) -> trio.socket.SocketType:
        """Refused."""
        self._refuse("dup")

    def _refuse(self, what: str) -> NoReturn:
        raise os_error(errno.EOPNOTSUPP, f"{what} in a simulated network")

    # ------------------------------------------------------------- options

    def getsockopt(self, level: int, optname: int, buflen: int | None = None) -> Any:
        """An option, those of the socket itself included."""
        self._check_open()
        value = self._own_option(optname) if level == socket.SOL_SOCKET else None
        if value is None:
            value = self._options.get((level, optname))
        return value if buflen is None else value.to_bytes(4, "little", signed=True)[:buflen]

    def _own_option(self, name: int) -> int | None:
        if name == socket.SO_ERROR:
            pending, self._pending = self._pending, None
            return pending or 0
        own = {
            socket.SO_TYPE: int(self._kind),
            socket.SO_ACCEPTCONN: int(self._is_listening),
            getattr(socket, "SO_DOMAIN", None): int(self._family),
            getattr(socket, "SO_PROTOCOL", None): self._protocol,
        }
        return own.get(name)

    @property
    def _is_listening(self) -> bool:
        return False

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int | None = None) -> None:
        """Set an option that simulated sockets know; most change nothing."""
        self._check_open()
        self._options.set((level, optname), bytes(optlen) if value is None and optlen is not None else value)

    # ------------------------------------------------------------- its end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: builtins.type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it; who waits for it hears `trio.ClosedResourceError`."""
        if not self._is_closed:
            self._release()
            self._is_closed = True
            self._changed()

    def _changed(self) -> None:
        """Have everybody who waits look again."""
        self._readers.unpark_all()
        self._writers.unpark_all()

    def _check_open(self) -> None:
        if self._is_closed:
            raise os_error(errno.EBADF)

    def _raise_pending(self) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            raise os_error(pending)

    async def _wait(self, lot: trio.lowlevel.ParkingLot, ready: Callable[[], bool]) -> None:
        """Wait until something can be done, or an error is pending. Cancelling is safe: nothing has been done."""
        self._check_open()
        await trio.lowlevel.checkpoint()
        while not self._is_closed and self._pending is None and not ready():
            await lot.park()
        if self._is_closed:
            raise trio.ClosedResourceError("another task closed this socket")

    async def wait_writable(self) -> None:
        """Wait until something can be sent."""
        await self._wait(self._writers, self._is_writable)

    def is_readable(self) -> bool:
        """Whether reading would not wait."""
        return self._pending is not None or self._is_readable()

    # ------------------------------------------------------------- receiving, in all its forms

    async def _take(self, size: int, flags: int) -> tuple[bytes, bool, SockAddr | None]:
        if size < 0:
            raise ValueError(f"there are no {size} bytes")
        await self._wait(self._readers, self._is_readable)
        self._raise_pending()
        return self._receive(size, flags)

    async def recv(self, buflen: int, flags: int = 0, /) -> bytes:
        """Receive at most so many bytes."""
        return (await self._take(buflen, flags))[0]

    async def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into a buffer."""
        return (await self.recvfrom_into(buffer, nbytes, flags))[0]

    async def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:
        """Receive, and learn the source."""
        data, _, source = await self._take(bufsize, flags)
        return data, source

    async def recvfrom_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """Receive into a buffer, and learn the source."""
        with memoryview(buffer).cast("B") as view:
            data, _, source = await self._take(nbytes or len(view), flags)
            view[: len(data)] = data
        return len(data), source

    async def recvmsg(
        self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, Any]:
        """Receive; there is never ancillary data."""
        data, cut, source = await self._take(bufsize, flags)
        return data, [], socket.MSG_TRUNC if cut else 0, source

    async def recvmsg_into(
        self, buffers: Iterable[Buffer], ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[int, list[tuple[int, int, bytes]], int, Any]:
        """Receive into several buffers; there is never ancillary data."""
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        data, cut, source = await self._take(sum(map(len, views)), flags)
        rest = data
        for view in views:
            view[: len(rest)] = rest[: len(view)]
            rest = rest[len(view) :]
        return len(data), [], socket.MSG_TRUNC if cut else 0, source

    # ------------------------------------------------------------- sending, in all its forms

    async def send(self, bytes: Buffer, flags: int = 0, /) -> int:
        """Send to the peer."""
        return await self._send(_copy(bytes), None)

    async def sendto(self, *args: Any) -> int:
        """Send to an address: ``sendto(data, address)`` or ``sendto(data, flags, address)``."""
        if len(args) not in (2, 3):
            raise TypeError(f"sendto takes 2 or 3 arguments, not {len(args)}")
        return await self._send(_copy(args[0]), args[-1])

    async def sendmsg(
        self, buffers: Iterable[Buffer], ancdata: Iterable[tuple[int, int, Buffer]] = (), flags: int = 0, address: Any = None, /
    ) -> int:
        """Send from several buffers; ancillary data is refused."""
        if list(ancdata):
            self._refuse("ancillary data")
        return await self._send(b"".join(map(_copy, buffers)), address)


def _copy(data: Any) -> bytes:
    with memoryview(data) as view:
        return view.tobytes()


def at_every_address(bind: Callable[[int], int], undo: Callable[[], None], port: int) -> int:
    """Have ``bind(port)`` bind at all addresses; where any port will do, try others while one is in use somewhere.

    Raises:
        OSError: what ``bind`` raises. Nothing is bound then.
    """
    tries = 1 if port else _TRIES
    while True:
        tries -= 1
        try:
            return bind(port)
        except OSError as error:
            undo()
            if error.errno != errno.EADDRINUSE or not tries:
                raise
