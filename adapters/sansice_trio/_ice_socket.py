"""A channel as trio's own libraries want it: a datagram socket."""

from __future__ import annotations

import errno
import socket
import weakref
from types import TracebackType
from typing import Any, Self

import trio

from sansice import Address
from sansice.ice import AsyncIceChannel, Candidate, IceError, NotConnected
from sansice.sockets import to_sockaddr


class IceSocket(trio.socket.SocketType):
    """One component of an ICE connection as a UDP socket that has one peer: for `trio.DTLSEndpoint`, above all.

    ``IceSocket(ice.channel()).dtls()`` speaks DTLS over ICE; docs/howto/dtls.md has the whole of it. The peer is
    called `getpeername`, whatever its address is or becomes: ICE may choose another path at any time, and that is
    nobody's business here. What is sent to anybody else is refused.

    Args:
        channel: of a connection that has selected a pair.

    Raises:
        NotConnected: it has not.
    """

    def __init__(self, channel: AsyncIceChannel) -> None:
        pair = channel.selected_pair
        if pair is None:
            raise NotConnected("IceSocket(): no pair is selected yet; await ice.connected() first")
        local, remote = _literal(pair.local), _literal(pair.remote)
        self._channel = channel
        self._family = socket.AF_INET6 if remote.is_ipv6 else socket.AF_INET
        self._own_name = to_sockaddr(local, local.is_ipv6)
        self._peer_name = to_sockaddr(remote, remote.is_ipv6)
        self._is_closed = False
        self._reading: list[trio.CancelScope] = []
        self._endpoint: weakref.ref[trio.DTLSEndpoint] | None = None  # weak, as in trio's own reader

    def dtls(self, *, incoming_packets_buffer: int = 10) -> trio.DTLSEndpoint:
        """An endpoint over this socket, which is closed when ICE ends.

        Who receives on one of its channels then gets `trio.ClosedResourceError`. Of a ``trio.DTLSEndpoint`` that is made by hand
        they would wait for ever, for trio takes the end of a socket to be its owner's doing.

        Args:
            incoming_packets_buffer: as trio has it.

        Raises:
            trio.ClosedResourceError: the socket was closed.
        """
        self._check_open()
        endpoint = trio.DTLSEndpoint(self, incoming_packets_buffer=incoming_packets_buffer)
        self._endpoint = weakref.ref(endpoint)
        return endpoint

    def __repr__(self) -> str:
        return f"<IceSocket of {self._channel!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def family(self) -> socket.AddressFamily:
        """Of the first path; later ones may have another."""
        return self._family

    @property
    def type(self) -> socket.SocketKind:
        """Datagrams."""
        return socket.SOCK_DGRAM

    @property
    def proto(self) -> int:
        """UDP's."""
        return socket.IPPROTO_UDP

    def getsockname(self) -> Any:
        """The local address of the first path."""
        return self._own_name

    def getpeername(self) -> Any:
        """Who is at the other end: the name to send to."""
        return self._peer_name

    async def sendto(self, *args: Any) -> int:
        """Send a datagram: ``sendto(data, address)``, or with flags in between, of which none means anything here.

        Cancelling is safe: then it was not sent.

        Raises:
            OSError: the address is not `getpeername` (``EDESTADDRREQ``), or ICE is not connected any more (``ENOTCONN``).
            trio.ClosedResourceError: the socket was closed.
        """
        data, address = args[0], args[-1]
        self._check_open()
        if address != self._peer_name:
            raise OSError(errno.EDESTADDRREQ, f"ICE connects with {self._peer_name} alone, not with {address}")
        try:
            await self._channel.send(data)
        except IceError as error:
            raise OSError(errno.ENOTCONN, str(error)) from error
        return len(data)

    async def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """Wait for a datagram, and cut it to ``bufsize`` bytes. Cancelling is safe: no data is lost.

        Raises:
            trio.ClosedResourceError: the socket was closed, meanwhile perhaps, or the ICE connection has ended; it is the cause.
        """
        self._check_open()
        with trio.CancelScope() as scope:
            self._reading.append(scope)
            try:
                data = await self._channel.receive()
            except IceError as error:
                self._end_dtls()
                raise trio.ClosedResourceError("the ICE connection has ended") from error
            finally:
                self._reading.remove(scope)
            return data[:bufsize], self._peer_name
        raise trio.ClosedResourceError("the socket was closed while it was being read")

    def close(self) -> None:
        """Close this view of the channel; the connection goes on."""
        self._is_closed = True
        for scope in self._reading:
            scope.cancel()

    def _end_dtls(self) -> None:
        endpoint = None if self._endpoint is None else self._endpoint()
        if endpoint is not None:
            endpoint.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("the socket was closed")


def _literal(candidate: Candidate) -> Address:
    """An address to call a candidate by; for one that was told by a name, any that nobody else has will do."""
    return candidate.address if isinstance(candidate.address, Address) else Address("192.0.2.1", candidate.address.port)
