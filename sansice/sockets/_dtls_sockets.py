"""UDP sockets with DTLS on them: a client's, and a listener's, which has many peers."""

from __future__ import annotations

import abc
import math
import select
from collections.abc import Callable
from typing import TYPE_CHECKING

from sansice._tls_error import TlsError
from sansice.driver import Driver
from sansice.machine import Address, CloseMode, IcmpError, SocketError, SocketErrorKind, SocketId

from ._addresses import from_sockaddr, reason_of
from ._hub import Hub
from ._udp import UdpSocket

if TYPE_CHECKING:
    from OpenSSL import SSL

HANDSHAKE_TIMEOUT = 20.0  # seconds: room for repetitions after 1, 3, 7 and 15
_MIN_WAIT = 0.01  # seconds; OpenSSL's clock and the driver's need not agree on when it is time


class DtlsSocket(abc.ABC):
    """What both kinds share.

    Attributes:
        id: what the machine calls it.
    """

    __slots__ = ("_hub", "_udp", "id")

    def __init__(self, hub: Hub, udp: UdpSocket) -> None:
        self.id: SocketId = udp.id
        self._hub = hub
        self._udp = udp

    @abc.abstractmethod
    def send(self, destination: Address, data: bytes) -> None:
        """Encrypt and send a datagram, or count it as lost."""
        ...

    @abc.abstractmethod
    def farewell(self) -> None:
        """Say goodbye to whoever there is."""
        ...

    @abc.abstractmethod
    def take_in(self, batch: list[tuple[Address, bytes]], driver: Driver) -> None:
        """Make of what has arrived what the machine is told."""
        ...

    @abc.abstractmethod
    def expire(self, driver: Driver, now: float) -> None:
        """Its time has come."""
        ...

    def take_error(self, destination: Address, error: IcmpError, driver: Driver) -> None:
        """A datagram came back."""
        driver.icmp(self.id, destination, error)

    @property
    def local(self) -> Address:
        """What it is bound to."""
        return from_sockaddr(self._udp.getsockname())

    def fileno(self) -> int:
        """The descriptor; negative once it is closed."""
        return self._udp.fileno()

    def close(self) -> None:
        """Release the descriptor."""
        self._udp.close()

    def shut(self, mode: CloseMode) -> None:
        """Close, as the machine wants it: `CloseMode.FLUSH` says goodbye, once; nobody repeats it."""
        if mode is CloseMode.FLUSH:
            self.farewell()
        self._release()

    def feed(self, flags: int, driver: Driver) -> None:
        """Decrypt what has arrived."""
        if flags & select.EPOLLERR:
            for destination, error in self._udp.read_errors():
                if self._udp.fileno() < 0:
                    return  # closed by what was told a moment ago
                self.take_error(destination, error, driver)
        if batch := self._udp.read():
            self.take_in(batch, driver)

    def _release(self) -> None:
        self._hub.at(math.inf, self)
        self._hub.remove(self)

    def _transmit(self, destination: Address, data: bytes) -> None:
        try:
            self._udp.transmit(destination, data)
        except (OSError, ValueError, OverflowError) as error:
            self._hub.count(reason_of(error))


class DtlsClient(DtlsSocket):
    """An association with one server. The machine hears of it once the server is verified."""

    __slots__ = ("_began", "_remote", "_session")

    def __init__(self, hub: Hub, udp: UdpSocket, remote: Address, context: SSL.Context, server_hostname: str) -> None:
        from sansice._dtls import DtlsSession  # here, because most drivers never speak DTLS

        super().__init__(hub, udp)
        self._remote = remote
        self._began = hub.driver.now()
        try:
            self._session = DtlsSession(context, server_hostname=server_hostname)
        except ValueError:
            udp.close()
            raise

    def begin(self) -> None:
        """Send the first message."""
        self._hub.add(self)
        self._session.start()
        self._go_on(self._began)

    def send(self, destination: Address, data: bytes) -> None:
        """Encrypt and send; there is one destination."""
        if destination != self._remote:
            self._hub.count("DTLS: no association")
            return
        try:
            self._session.send(data)
        except TlsError:
            self._hub.count("DTLS: not sendable")
        self._flush()

    def farewell(self) -> None:
        """Say goodbye to the server."""
        self._session.close()
        self._flush()

    def take_in(self, batch: list[tuple[Address, bytes]], driver: Driver) -> None:
        """Go on with the handshake, or decrypt."""
        session, remote = self._session, self._remote
        was_ready = session.is_ready
        received: list[tuple[Address, bytes]] = []
        for source, datagram in batch:
            if source != remote:
                continue
            try:
                received += [(remote, data) for data in session.receive(datagram)]
            except TlsError as error:
                self._fail(SocketError(SocketErrorKind.TLS, str(error)))
                return
        self._go_on(driver.now())
        if session.is_ready and not was_ready:
            driver.socket_opened(self.id, self.local)
        if received and self._udp.fileno() >= 0:
            driver.datagrams(self.id, received)
        if session.at_end and self._udp.fileno() >= 0:
            self._fail(SocketError(SocketErrorKind.RESET, "the server ended the association"))

    def take_error(self, destination: Address, error: IcmpError, driver: Driver) -> None:
        """During the handshake nobody else hears of a closed port."""
        if self._session.is_ready:
            driver.icmp(self.id, destination, error)
        elif error.is_hard:
            self._fail(SocketError(SocketErrorKind.REFUSED, "nobody is at that port"))

    def expire(self, driver: Driver, now: float) -> None:
        """Repeat what was lost, or give up."""
        if now - self._began >= HANDSHAKE_TIMEOUT:
            self._fail(SocketError(SocketErrorKind.TIMEOUT, f"DTLS was not ready within {HANDSHAKE_TIMEOUT:g} seconds"))
            return
        try:
            self._session.handle_timeout()
        except TlsError as error:
            self._fail(SocketError(SocketErrorKind.TIMEOUT, str(error)))
            return
        self._go_on(now)

    def _go_on(self, now: float) -> None:
        self._flush()
        if self._session.is_ready:
            self._hub.at(math.inf, self)
            return
        wait = self._session.timeout()
        end = self._began + HANDSHAKE_TIMEOUT
        self._hub.at(end if wait is None else min(end, now + max(wait, _MIN_WAIT)), self)

    def _flush(self) -> None:
        for datagram in self._session.take():
            self._transmit(self._remote, datagram)

    def _fail(self, error: SocketError) -> None:
        self._flush()
        self._release()
        self._hub.driver.socket_failed(self.id, error)


class DtlsListener(DtlsSocket):
    """Associations with many clients, which the machine knows by the addresses that their datagrams come from."""

    __slots__ = ("_server",)

    def __init__(self, hub: Hub, udp: UdpSocket, context: Callable[[], SSL.Context]) -> None:
        from sansice._dtls_server import DtlsServer  # here, because most drivers never speak DTLS

        super().__init__(hub, udp)
        self._server = DtlsServer(context, hub.count)

    def send(self, destination: Address, data: bytes) -> None:
        """Encrypt and send to a peer that has an association."""
        self._server.send(destination, data)
        self._flush()

    def farewell(self) -> None:
        """Say goodbye to all peers."""
        self._server.close()
        self._flush()

    def take_in(self, batch: list[tuple[Address, bytes]], driver: Driver) -> None:
        """Go on with handshakes, and decrypt."""
        server, now = self._server, driver.now()
        received = [(source, data) for source, datagram in batch for data in server.receive(source, datagram, now=now)]
        self._go_on()
        if received:
            driver.datagrams(self.id, received)

    def expire(self, driver: Driver, now: float) -> None:
        """Repeat, give up, forget."""
        self._server.handle_timer(now=now)
        self._go_on()

    def _go_on(self) -> None:
        self._flush()
        self._hub.at(self._server.deadline(), self)

    def _flush(self) -> None:
        for destination, datagram in self._server.take():
            self._transmit(destination, datagram)
