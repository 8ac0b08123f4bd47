"""The sockets that a server listens at, and who may ask there (RFC 8489 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from sansice.machine import Address, LocalProtocolError, OpenSocket, SocketId, SocketOptions, TlsOptions
from sansice.stun._authentication._server import ServerAuthentication, ShortTermServerAuthentication
from sansice.stun._authentication._third_party import ThirdPartyServerAuthentication

from ._behavior import Corner, check_behavior_listeners
from ._config import Listener, StunServerConfig

Authentication: TypeAlias = ServerAuthentication | ShortTermServerAuthentication | ThirdPartyServerAuthentication
Authentications: TypeAlias = Mapping[Listener, Authentication | None]


class Listening:
    """A socket that `StunServer.start` asked for.

    Attributes:
        listener: as given.
        authentication: of requests that arrive there.
        local: the address, once it is open.
        at: that address and the transport, to which nonces are bound.
        corner: the alternates of that address, where RFC 5780 is on and there are any.
    """

    __slots__ = ("at", "authentication", "corner", "listener", "local")

    def __init__(self, listener: Listener, authentication: Authentication | None) -> None:
        self.listener = listener
        self.authentication = authentication
        self.local: Address | None = None
        self.at = ""
        self.corner: Corner | None = None

    def open(self, local: Address) -> None:
        """The socket is open."""
        self.local = local
        self.at = f"{self.listener.transport.value} {local}"


def check_authentication(config: StunServerConfig, authentication: Authentication | Authentications | None) -> None:
    """Refuse what would not do what it says.

    Raises:
        LocalProtocolError: redirection of requests that nobody authenticates.
    """
    every = list(authentication.values()) if isinstance(authentication, Mapping) else [authentication]
    if config.alternates and (None in every or not every):
        raise LocalProtocolError("alternates: only authenticated requests are redirected (RFC 8489 14.8)")


def authentication_at(listener: Listener, authentication: Authentication | Authentications | None) -> Authentication | None:
    """What requests at a listener are authenticated by.

    Raises:
        LocalProtocolError: there is a choice, and the listener is not in it: it would be open to everybody by oversight.
    """
    if not isinstance(authentication, Mapping):
        return authentication
    if listener not in authentication:
        raise LocalProtocolError(f"authentication: it says nothing about the listener {listener}; None would open it to all")
    return authentication[listener]


def opening(socket: SocketId, listener: Listener, config: StunServerConfig) -> OpenSocket:
    """What opens a listener."""
    transport = listener.transport
    tls = TlsOptions(alpn=config.alpn, context=listener.tls) if transport.is_secure else None
    buffer = 0 if transport.is_stream else config.receive_buffer
    options = SocketOptions(
        tls=tls, reuse_port=listener.reuse_port, receive_buffer=buffer, trusted_proxies=listener.trusted_proxies
    )
    return OpenSocket(socket, transport, listener.address, options=options)


def check_listeners(listed: Sequence[Listener], config: StunServerConfig) -> None:
    """Refuse listeners that cannot all be open, or that do not serve the purpose.

    Raises:
        LocalProtocolError: none; the same one twice; with ``behavior``, not what RFC 5780 6 asks for.
    """
    if not listed:
        raise LocalProtocolError("start() needs at least one listener")
    fixed = [(one.transport, one.address) for one in listed if one.address.port]
    if len(set(fixed)) < len(fixed):
        twice = next(one for one in listed if fixed.count((one.transport, one.address)) > 1)
        raise LocalProtocolError(f"start(): the same transport and address twice: {twice}")
    if config.behavior:
        check_behavior_listeners(listed)
