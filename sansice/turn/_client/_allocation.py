"""An allocation as the client sees it: kept alive, given back, or lost (RFC 8656 6, 8)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from sansice._enums import IdentityEnum
from sansice._timers import FewTimers
from sansice.machine import (
    Action,
    Address,
    DecodeError,
    Entropy,
    Event,
    IcmpError,
    LocalProtocolError,
    SendDatagram,
    SendStream,
    SocketId,
)
from sansice.stun import (
    LIFETIME,
    REQUESTED_ADDRESS_FAMILY,
    Attribute,
    Method,
    Path,
    ServerTarget,
    StunClient,
    TransactionFailed,
    TransactionSucceeded,
    TransactionTimedOut,
)

from ._channels import Channels
from ._codes import ALLOCATION_MISMATCH, BAD_REQUEST, FORBIDDEN, may_pass
from ._config import RENEWAL_MARGIN, TurnClientConfig
from ._events import AllocationLost, AllocationRefreshed, PeerUnreachable, PermissionCreated, PermissionFailed
from ._grant import Grant, ip_version_of
from ._mover import Mover
from ._permissions import Permissions
from ._requests import Outcome, Requests, refusal
from ._routes import Routes
from ._stats import TurnClientStats
from ._wish import ADDRESS_FAMILIES, LARGEST_LIFETIME, AllocateWish

_SHORT_LIFE = 240.0  # ours: of shorter lives three quarters pass before the refresh


class _Timer(IdentityEnum):
    REFRESH = "time for a Refresh"
    EXPIRY = "the server forgets the allocation"
    KEEPALIVE = "time for a sign of life"


@attrs.frozen
class Origin:
    """Where an allocation came from.

    Attributes:
        target: the server.
        path: the way to it.
        local: what the socket is bound to.
        wish: what was asked for in the end.
    """

    target: ServerTarget
    path: Path
    local: Address
    wish: AllocateWish


class ClientAllocation:
    """One allocation and what belongs to it; it ends by itself when the server has forgotten it.

    Args:
        origin: where it came from.
        grant: what the server said.
        asked: when the request left that was granted, or earlier.
        stun: sends the requests.
        config, entropy, stats: of the client.
        put: takes actions and events.
        now: the present.

    Attributes:
        relayed: addresses that it has left.
        lifetime: seconds, as the server said last.
        mapped: how the server sees the client; ``None`` where it has not said so since a move.
        expires: when the server may forget it, at the earliest.
        lost: why it has ended, once it has.
        unsent: bytes that a stream to the server has not taken yet.
        wanted: the lifetime to ask for, if any in particular.
        mover: takes it along to other addresses.
    """

    __slots__ = (
        "_activity",
        "_config",
        "_is_stream",
        "_put",
        "_stats",
        "_stun",
        "_timers",
        "channels",
        "expires",
        "grant",
        "lifetime",
        "lost",
        "mapped",
        "mover",
        "origin",
        "path",
        "permissions",
        "relayed",
        "requests",
        "routes",
        "unsent",
        "wanted",
    )

    def __init__(
        self,
        origin: Origin,
        grant: Grant,
        asked: float,
        *,
        stun: StunClient,
        config: TurnClientConfig,
        entropy: Entropy,
        stats: TurnClientStats,
        put: Callable[[Action | Event], None],
        now: float,
    ) -> None:
        self.origin = origin
        self.grant = grant
        self.path: Path = origin.path
        self.relayed: tuple[Address, ...] = grant.relayed
        self.mapped: Address | None = grant.mapped
        self.lifetime: int = grant.lifetime
        self.expires: float = asked + grant.lifetime
        self.lost: AllocationLost | None = None
        self.unsent: int = 0
        self._config = config
        self._put = put
        self._stats = stats
        self._stun = stun
        self._timers: FewTimers[_Timer] = FewTimers()
        self._activity = -1
        self.wanted = origin.wish.lifetime
        self.requests = Requests(stun)
        self.permissions = Permissions(config, self.requests, self._tell)
        self._is_stream = origin.path.reliable  # asked once: each packet wants to know
        self.routes = Routes(config, self.permissions, padded=self._is_stream, entropy=entropy, stats=stats)
        self.channels = Channels(config, self.requests, self.permissions, self.routes, self._tell)
        self.mover = Mover(self, grant.ticket, stun=stun, config=config, put=put)
        self._live(asked)
        self._rest(now)

    @property
    def families(self) -> tuple[int, ...]:
        """Which of 4 and 6 it has an address of."""
        return tuple(ip_version_of(address) for address in self.relayed)

    # ------------------------------------------------------------- life

    def check_refresh(self, lifetime: int | None, family: int | None) -> None:
        """Refuse a Refresh that means nothing, or the end (RFC 8656 8.1).

        Raises:
            LocalProtocolError: says why.
        """
        if lifetime is not None and not 0 <= lifetime <= LARGEST_LIFETIME:
            raise LocalProtocolError(f"a lifetime of {lifetime} s is outside 0..{LARGEST_LIFETIME}")
        if family is None:
            if lifetime == 0:
                raise LocalProtocolError("a lifetime of 0 deletes the allocation: close() does that")
        elif lifetime != 0:
            raise LocalProtocolError("one family alone is deleted, with a lifetime of 0; otherwise both live equally long")
        elif family not in self.families or len(self.families) == 1:
            words = " and ".join(f"IPv{one}" for one in self.families)
            raise LocalProtocolError(f"the allocation is one of {words}: IPv{family} cannot be deleted from it")

    def refresh(self, lifetime: int | None, family: int | None, now: float) -> None:
        """Send a Refresh (RFC 8656 8.1).

        Raises:
            LocalProtocolError: as `StunClient.request` does.
        """
        if family is None:
            self.wanted = lifetime
        attributes: list[tuple[Attribute[Any], Any]] = []
        if lifetime is not None:
            attributes.append((LIFETIME, lifetime))
        if family is not None:
            attributes.append((REQUESTED_ADDRESS_FAMILY, ADDRESS_FAMILIES[family]))
        self.requests.ask(Method.REFRESH, attributes, self.path, partial(self._refreshed, family, now), now=now)

    def settle(self, outcome: Outcome, now: float) -> bool:
        """Take the outcome of one of its requests; whether it was one."""
        if self.mover.settle(outcome, now):
            return True
        if outcome.id not in self.requests:
            return False
        if self.lost is not None:
            return True
        if isinstance(outcome, TransactionFailed) and outcome.code == ALLOCATION_MISMATCH:
            if not self.mismatch(now):
                return True
            if self.mover.is_asking:  # the server is being told who this is
                self.requests.park(outcome.id)
                return True
            outcome = TransactionTimedOut(outcome.id)
        self.requests.settle(outcome, now)
        if self.channels.broken is not None:
            self.end(self.channels.broken, BAD_REQUEST)
        else:
            self.pump(now)
        return True

    def pump(self, now: float) -> None:
        """Send what waits for its turn."""
        if self.mover.is_stranded:
            return
        while len(self.requests) < self._config.max_in_flight and self.lost is None:
            if not self.permissions.ask_next(self.path, now) and not self.channels.ask_next(self.path, now):
                return

    def mismatch(self, now: float) -> bool:
        """The server has answered 437: it is gone (RFC 8656 5), unless a ticket helps, which this returns."""
        if self.mover.retrace(now):
            return True
        self.end("the server does not know the allocation any more", ALLOCATION_MISMATCH)
        return False

    def relocate(self, path: Path, local: Address) -> None:
        """Everything takes another way from now on."""
        self.path = path
        self.origin = attrs.evolve(self.origin, path=path, local=local)
        self.unsent = 0

    def hears(self, socket: SocketId, source: Address) -> bool:
        """Whether what arrives from there may be data."""
        path, left = self.path, self.mover.left
        return (socket == path.socket and source == path.remote) or (
            left is not None and socket == left.socket and source == left.remote
        )

    def stop(self, now: float) -> None:
        """Ask nothing any more, and let go of every way but `path`."""
        self.requests.forget(now=now)
        self.mover.stop(now)

    def end(self, reason: str, code: int | None = None) -> None:
        """It is gone; the first reason counts."""
        if self.lost is None:
            self.lost = AllocationLost(reason, code)

    def handle_timer(self, now: float) -> None:
        """Refresh, renew, or notice that it is too late."""
        if now >= self.expires:  # perhaps long ago, where the machine has slept: nothing is asked any more
            self.end("it expired before the server answered a refresh")
            return
        while (timer := self._timers.pop_due(now)) is not None:
            if timer is _Timer.REFRESH:
                self.refresh_again(now)
            else:
                self._keep_alive(now)
        self.permissions.handle_timer(now)
        self.channels.handle_timer(now)
        self.mover.handle_timer(now)
        self.pump(now)

    def deadline(self) -> float:
        """When something is due next."""
        return min(self._timers.earliest, self.permissions.deadline(), self.channels.deadline(), self.mover.deadline())

    def refresh_again(self, now: float) -> None:
        """Refresh as before, or a little later where too much waits for this server."""
        try:
            if not self.mover.is_stranded:  # otherwise that refreshes
                self.refresh(self.wanted, None, now)
        except LocalProtocolError:  # too much waits for this server
            self._timers.set(_Timer.REFRESH, now + self._config.retry_delay)

    def live(self, lifetime: int | None, asked: float) -> None:
        """It has been refreshed; a server that does not say for how long is taken to mean as long as before."""
        if lifetime == 0:
            self.end("the server has given it no more time")
            return
        self.lifetime = lifetime or self.lifetime
        self._live(asked)

    def _live(self, asked: float) -> None:
        """It lives for another `lifetime` since ``asked``."""
        self.expires = asked + self.lifetime
        early = RENEWAL_MARGIN if self.lifetime >= _SHORT_LIFE else self.lifetime / 4
        self._timers.set(_Timer.EXPIRY, self.expires)
        self._timers.set(_Timer.REFRESH, self.expires - early)

    def _refreshed(self, family: int | None, asked: float, outcome: Outcome, now: float) -> None:
        if isinstance(outcome, TransactionSucceeded):
            self._take_lifetime(family, asked if outcome.rtt is None else now - outcome.rtt, outcome, now)
            return
        code, reason = refusal(outcome)
        if may_pass(code):
            self._timers.set(_Timer.REFRESH, now + self._config.retry_delay)
        elif family is None:
            self.end(reason, code)

    def _take_lifetime(self, family: int | None, asked: float, outcome: TransactionSucceeded, now: float) -> None:
        try:
            lifetime = outcome.response.get(LIFETIME)
        except DecodeError:
            lifetime = None
        if family is not None:
            ipv6 = family == 6
            self.relayed = tuple(address for address in self.relayed if address.is_ipv6 is not ipv6)
            self.channels.forget_family(ipv6=ipv6, now=now)
            self._drop_waiting(self.permissions.forget_family(ipv6=ipv6))
        else:
            self.live(lifetime, asked)
        if self.lost is None:
            self._put(AllocationRefreshed(self.lifetime, self.relayed))

    # ------------------------------------------------------------- data

    def check_peer(self, peer: Address) -> None:
        """Refuse a peer that the relayed addresses cannot reach (RFC 8656 10.1, 12.1).

        Raises:
            LocalProtocolError: names them.
        """
        if ip_version_of(peer) not in self.families:
            relayed = " and ".join(str(address) for address in self.relayed)
            raise LocalProtocolError(f"{peer} cannot be reached from {relayed}: another family (RFC 8656 10.1)")

    def forget(self, hosts: tuple[str, ...], now: float) -> None:
        """Let permissions and channels expire, and drop what waits for them."""
        for host in hosts:
            self.permissions.forget(host)
            self.channels.forget_host(host, now)
        self._drop_waiting(hosts)

    def send(self, peer: Address, data: bytes, *, dont_fragment: bool) -> None:
        """Send a datagram, or count it where that cannot be."""
        path = self.path
        if self.mover.is_stranded or self.unsent > self._config.max_unsent:
            self._stats.unsent += 1
            return
        message = self.routes.indication(peer, data, dont_fragment=True) if dont_fragment else self.routes.wrap(peer, data)
        if message is None:
            self._stats.unsent += 1
        elif self._is_stream:
            self._put(SendStream(path.socket, message))
        else:
            self._put(SendDatagram(path.socket, path.remote, message))

    def take_stray(self, data: bytes) -> None:
        """A message about data that has none for the application: dropped, or the news of an ICMP error (RFC 8656 11.6)."""
        try:
            peer, icmp = self.routes.read_stray(data)
        except DecodeError as error:
            self._stats.dropped[error.reason] += 1
        else:
            self._put(PeerUnreachable(peer, IcmpError(icmp.type, icmp.code, peer.is_ipv6, icmp.data)))

    def _tell(self, event: Event) -> None:
        """An event; what waited for a permission follows it."""
        if isinstance(event, PermissionFailed) and event.code == FORBIDDEN:
            event = attrs.evolve(event, reason=event.reason + self._hint(event.hosts))
        self._put(event)
        if isinstance(event, PermissionCreated):
            self.channels.resume(event.hosts)
            for one in self.routes.take_waiting(event.hosts):
                self.send(one.peer, one.data, dont_fragment=one.dont_fragment)
        elif isinstance(event, PermissionFailed):
            self.channels.pause(event.hosts)
            self._drop_waiting(event.hosts)

    def _hint(self, hosts: tuple[str, ...]) -> str:
        """Why a relay may refuse a permission for itself: a port says that it is another client's, not a service of its own."""
        for address in (*self.relayed, self.path.remote):
            permission = self.permissions.get(address.host) if address.host in hosts else None
            if permission is not None and not permission.peer.port:
                return f" (a relayed address of the same server is permitted with its port: {address._replace(port=49152)})"
        return ""

    def _drop_waiting(self, hosts: tuple[str, ...]) -> None:
        self._stats.unsent += len(self.routes.take_waiting(hosts))

    # ------------------------------------------------------------- NATs on the way

    def _rest(self, now: float) -> None:
        if not self._is_stream and self._config.keepalive < math.inf:
            # Seen twice as often: what has been silent since the last look was so for less than twice the time.
            self._timers.set(_Timer.KEEPALIVE, now + self._config.keepalive / 2)

    def _keep_alive(self, now: float) -> None:
        """Tell the server something, if nothing has left since the last time: it is NATs that are meant to see it."""
        activity = self._stats.sent_packets + self._stun.stats.requests
        if activity == self._activity and not self.mover.is_stranded:
            if self.mover.ticket is None:
                self._stun.indicate(Method.BINDING, path=self.path, now=now)
            else:
                self.mover.nudge(now)
        self._activity = activity
        self._rest(now)
