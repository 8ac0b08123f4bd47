"""The allocations of a server: how they come, how long they and what belongs to them live, how they go (RFC 8656 6, 9, 12)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sansice._timers import Timers
from sansice.machine import Action, CloseMode, CloseSocket, Event, SocketId
from sansice.stun import Path, TransactionId

from ._allocation import Allocation, AllocationId, Channel, Permission, Relay
from ._config import CHANNEL_LIFETIME, PERMISSION_LIFETIME
from ._events import AllocationClosed, AllocationInfo, AllocationOpened, AllocationStats, CloseReason
from ._limits import Quotas, Resource, User
from ._own import OwnAddresses
from ._peers import BindWish, address_family_of
from ._places import OpenRelay, Places
from ._relay import DataPath
from ._stats import TurnServerStats
from ._tcp_relay import TcpRelay

Outputs = list[Action | Event]

_CHANNELS, _PERMISSIONS, _ALLOCATIONS = Resource.CHANNELS, Resource.PERMISSIONS, Resource.ALLOCATIONS


class Allocations:
    """What there is, and when it ends.

    Each relayed address, permission and channel is its own key in one timer table, and goes at its instant: what the data
    path finds is valid, without a look at the clock.

    Args:
        data: relays for whom is added here.
        own: knows the relayed addresses.
        places: gives ports, and takes them back.
        quotas: of the users.
        tcp: has the connections of relayed addresses.
        stats: the server's.
    """

    __slots__ = ("_by_id", "_data", "_last", "_own", "_places", "_quotas", "_stats", "_tcp", "_timers")

    def __init__(
        self, data: DataPath, own: OwnAddresses, places: Places, quotas: Quotas, tcp: TcpRelay, stats: TurnServerStats
    ) -> None:
        self._data = data
        self._own = own
        self._places = places
        self._quotas = quotas
        self._stats = stats
        self._tcp = tcp
        self._timers: Timers[Relay | Permission | Channel] = Timers()
        self._by_id: dict[AllocationId, Allocation] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def last(self) -> int:
        """The last id handed out; 0 before the first."""
        return self._last

    def all(self) -> list[Allocation]:
        """Every one, oldest first."""
        return list(self._by_id.values())

    def get(self, id: AllocationId) -> Allocation | None:
        """The allocation of that id, if it still exists."""
        return self._by_id.get(id)

    def of_socket(self, socket: SocketId) -> list[Allocation]:
        """Those of the clients of a listener, or of a stream."""
        return list(self._data.clients.get(socket, {}).values())

    # ------------------------------------------------------------- allocations

    def open(
        self,
        path: Path,
        transaction: TransactionId,
        username: str,
        user: User,
        relays: Iterable[OpenRelay],
        lifetime: float,
        outputs: Outputs,
        *,
        protocol: int,
        now: float,
    ) -> Allocation:
        """Make an allocation of open sockets; it has been counted for the user already."""
        self._last += 1
        allocation = Allocation(AllocationId(self._last), path, transaction, username, user, protocol=protocol)
        self._by_id[allocation.id] = allocation
        self._data.add(allocation)
        for socket, address, local in relays:
            family = address_family_of(address.host)
            relay = allocation.relays[family] = Relay(allocation, family, socket, address, local, now + lifetime)
            self._data.relays[socket] = relay
            self._own.add_relay(relay)
            self._timers.set(relay, relay.expires)
        self._stats.opened += 1
        self._stats.allocations = len(self._by_id)
        relayed = tuple(relay.address for relay in allocation.relays.values())
        outputs.append(AllocationOpened(allocation.id, username, path, protocol, relayed, lifetime))
        return allocation

    def refresh(self, relays: Sequence[Relay], lifetime: float, *, now: float) -> None:
        """Let relayed addresses live for so long from now on."""
        for relay in relays:
            relay.expires = now + lifetime
            self._timers.set(relay, relay.expires)

    def close(self, allocation: Allocation, reason: CloseReason, outputs: Outputs) -> None:
        """End an allocation and all that belongs to it."""
        for relay in list(allocation.relays.values()):
            self.close_relay(relay, reason, outputs)

    def close_relay(self, relay: Relay, reason: CloseReason, outputs: Outputs) -> None:
        """End one relayed address, with its permissions and channels; the last takes the allocation with it."""
        allocation = relay.allocation
        for channel in list(relay.channels.values()):
            self._remove_channel(channel)
        for permission in list(relay.permissions.values()):
            self._remove_permission(permission)
        self._tcp.close_relay(relay)
        self._timers.cancel(relay)
        del allocation.relays[relay.family]
        del self._data.relays[relay.socket]
        self._own.remove_relay(relay)
        self._places.give_back(relay.local)
        outputs.append(CloseSocket(relay.socket, CloseMode.FLUSH))
        if not allocation.relays:
            self._data.remove(allocation)
            del self._by_id[allocation.id]
            self._quotas.give_back(allocation.user, _ALLOCATIONS)
            self._stats.allocations = len(self._by_id)
            outputs.append(AllocationClosed(allocation.id, allocation.username, reason, _stats_of(allocation)))

    # ------------------------------------------------------------- permissions and channels

    def permit(self, allocation: Allocation, wanted: Sequence[tuple[Relay, str]], *, now: float) -> bool:
        """Install or refresh permissions: all of them, or none where a bound is reached (508)."""
        missing = [(relay, host) for relay, host in wanted if host not in relay.permissions]
        if missing and not self._take(allocation, _PERMISSIONS, len(missing)):
            return False
        for relay, host in missing:
            relay.permissions[host] = Permission(relay, host, is_own=self._own.is_own(host))
        for relay, host in wanted:
            self._timers.set(relay.permissions[host], now + PERMISSION_LIFETIME)
        return True

    def bind(self, wish: BindWish, *, now: float) -> bool:
        """Bind or refresh a channel, and with it the permission (RFC 8656 12.2); ``False`` where a bound is reached (508)."""
        relay, peer = wish.relay, wish.peer
        allocation = relay.allocation
        channel = relay.channels.get(peer)
        if channel is None and not self._take(allocation, _CHANNELS, 1):
            return False
        if not self.permit(allocation, [(relay, peer.host)], now=now):
            if channel is None:
                self._quotas.give_back(allocation.user, _CHANNELS)
            return False
        if channel is None:
            channel = Channel(relay, wish.number, peer, is_own=self._own.is_own(peer.host))
            relay.channels[peer] = allocation.channels[channel.header] = channel
        self._timers.set(channel, now + CHANNEL_LIFETIME)
        return True

    def _take(self, allocation: Allocation, resource: Resource, amount: int) -> bool:
        has = len(allocation.channels) if resource is _CHANNELS else _permissions_of(allocation)
        bound: int = getattr(self._quotas.limits, f"{resource.value}_per_allocation")
        return has + amount <= bound and self._quotas.take(allocation.user, resource, amount) is None

    def _remove_channel(self, channel: Channel) -> None:
        allocation = channel.relay.allocation
        del channel.relay.channels[channel.peer]
        del allocation.channels[channel.header]
        self._timers.cancel(channel)
        self._quotas.give_back(allocation.user, _CHANNELS)

    def _remove_permission(self, permission: Permission) -> None:
        del permission.relay.permissions[permission.host]
        self._timers.cancel(permission)
        self._quotas.give_back(permission.relay.allocation.user, _PERMISSIONS)

    # ------------------------------------------------------------- time

    def expire(self, outputs: Outputs, *, now: float) -> list[Allocation]:
        """End what is due; the allocations whose last relayed address it was."""
        ended: list[Allocation] = []
        while (key := self._timers.pop_due(now)) is not None:
            if isinstance(key, Channel):
                self._remove_channel(key)
            elif isinstance(key, Permission):
                self._remove_permission(key)
            else:
                self.close_relay(key, CloseReason.EXPIRED, outputs)
                if not key.allocation.relays:
                    ended.append(key.allocation)
        return ended

    def deadline(self) -> float:
        """When the next of them ends, or `math.inf`."""
        return self._timers.deadline()


def _permissions_of(allocation: Allocation) -> int:
    return sum(len(relay.permissions) for relay in allocation.relays.values())


def _stats_of(allocation: Allocation) -> AllocationStats:
    return AllocationStats(
        allocation.received_packets,
        allocation.received_bytes,
        allocation.sent_packets,
        allocation.sent_bytes,
        allocation.dropped,
    )


def describe(allocation: Allocation, *, now: float) -> AllocationInfo:
    """An allocation, for whoever asks what there is."""
    relays = allocation.relays.values()
    return AllocationInfo(
        allocation.id,
        allocation.username,
        allocation.path,
        allocation.protocol,
        tuple(relay.address for relay in relays),
        max(relay.expires for relay in relays) - now,
        _permissions_of(allocation),
        len(allocation.channels),
        _stats_of(allocation),
    )
