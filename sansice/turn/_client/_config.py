"""Everything about a TURN client that may be tuned."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs

from sansice.stun import StunClientConfig

if TYPE_CHECKING:
    from sansice.stun import HttpProxy

RENEWAL_MARGIN = 60.0  # seconds before it ends that something is renewed: RFC 8656 8; a request over UDP takes up to 39.5

_STUN = StunClientConfig(alternate_servers=True)  # RFC 8656 7.4: a 300 is followed before any other server is tried


def _as_proxy(given: HttpProxy | str | None) -> HttpProxy | None:
    if given is None:
        return None
    from sansice.stun import as_proxy  # few have one

    return as_proxy(given)


@attrs.frozen(kw_only=True)
class TurnClientConfig:
    """Options, times in seconds, and bounds.

    Attributes:
        stun: of the requests: retransmission, SOFTWARE, FINGERPRINT, whether a 300 is followed.
        families: of the server's addresses, 6 and 4 or one of them, the preferred one first.
        understood: the families of relayed and mapped addresses that the application can use. A server that gives another one
            is left alone from then on (RFC 8656 7.3).
        relax: ask again at once, without EVEN-PORT or RESERVATION-TOKEN, where the server has no such port (508), and without
            DONT-FRAGMENT where it does not know that (420) (RFC 8656 7.4).
        proxy: an `HttpProxy`, or its text, ``http://USER:PASSWORD@HOST:PORT``: a server that is named by its URI is reached
            through it, over TCP or TLS, and its name is the proxy's to look up.
        alpn: protocols to offer over TLS and DTLS (RFC 7443), such as `ALPN_TURN`; some old servers hang up on any.
        attempt_delay: from one address of the server to the next (RFC 8305 5).
        transport_delay: from the last address over one transport to the first over the next one: longer, because a lost datagram
            shall not make a TCP relay of what could be a UDP one.
        reopen_delay: before another stream is opened beside one that is not open yet, once for each address: a system repeats a
            lost SYN after a second only (RFC 6298 2.1). The first that is open is used, the other one closed.
        allocate_timeout: until `AllocationFailed`, whatever is still under way; one whole request over UDP (RFC 8489 6.2.1).
        close_timeout: until `Closed`, though the server has not confirmed the deletion.
        retry_delay: before a renewal is tried again that nobody has answered; it goes on while what is renewed still lives.
        keepalive: longest silence towards the server over UDP and DTLS, so that NATs on the way keep their binding; `math.inf`
            for any. RFC 4787 4.3 wants two minutes of them, many have thirty seconds.
        max_permissions: hosts for which a permission is asked or held; over it `create_permission` refuses.
        max_channels: at most 4,096, the numbers that there are (RFC 8656 12).
        max_batch: hosts in one CreatePermission, so that it fits into one datagram with long names and nonces.
        max_in_flight: requests for permissions and channels at a time, so that a Refresh never waits for its turn: a client
            has ten with one server (RFC 8489 6.2).
        max_waiting: datagrams that wait for a permission; over it the oldest is dropped.
        max_waiting_bytes: the same in bytes.
        max_streams: connections with peers, whatever their state (RFC 6062); each has a socket.
        max_connecting: of these, how many the relay is asked for at a time; it may take half a minute for each, and other
            requests must have their turn meanwhile. More of them wait.
        max_unsent: bytes that may wait on a stream for a server that reads too slowly; over it data is dropped, as UDP would.

    Raises:
        ValueError: a field out of its range.
    """

    stun: StunClientConfig = _STUN
    families: tuple[int, ...] = (6, 4)
    understood: tuple[int, ...] = (4, 6)
    relax: bool = True
    proxy: HttpProxy | None = attrs.field(default=None, converter=_as_proxy)
    alpn: tuple[str, ...] = ()
    attempt_delay: float = 0.25
    transport_delay: float = 1.5
    reopen_delay: float = 0.5
    allocate_timeout: float = 39.5
    close_timeout: float = 5.0
    retry_delay: float = 5.0
    keepalive: float = 25.0
    max_permissions: int = 4096
    max_channels: int = 4096
    max_batch: int = 8
    max_in_flight: int = 8
    max_waiting: int = 64
    max_waiting_bytes: int = 65_536
    max_streams: int = 256
    max_connecting: int = 4
    max_unsent: int = 262_144

    def __attrs_post_init__(self) -> None:
        if self.stun.classic or self.stun.anycast:
            raise ValueError("TURN is never spoken with RFC 3489 servers or anycast addresses (RFC 8656 5, RFC 8155 3.4)")
        for name in ("families", "understood"):
            chosen = getattr(self, name)
            if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= {4, 6}:
                raise ValueError(f"{name} are 4 and 6 or one of them, not {chosen!r}")
        for name in ("attempt_delay", "transport_delay", "reopen_delay", "allocate_timeout", "close_timeout", "retry_delay"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite")
        if not self.keepalive >= 1:
            raise ValueError(f"a keepalive each {self.keepalive} s: at least 1, or math.inf for none")
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if not 1 <= self.max_channels <= 4096:
            raise ValueError(f"max_channels {self.max_channels} is outside 1..4096 (RFC 8656 12)")


def through(config: TurnClientConfig, proxy: HttpProxy | str | None) -> TurnClientConfig:
    """The same for a client that goes through a proxy: the argument of ``open_turn``; ``None`` leaves it as it is.

    Raises:
        ValueError: a text that is no proxy's.
    """
    return config if proxy is None else attrs.evolve(config, proxy=proxy)


_COUNTS = (
    "max_permissions",
    "max_batch",
    "max_in_flight",
    "max_waiting",
    "max_waiting_bytes",
    "max_streams",
    "max_connecting",
    "max_unsent",
)
