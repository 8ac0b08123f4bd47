"""How much a user, and all of them together, may have of a server (RFC 8656 5)."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import Final

import attrs

LARGEST_DATAGRAM: Final = 65535
"""Bytes; a token bucket that holds fewer would never let one of these pass."""

MOST_CHANNELS: Final = 4096  # RFC 8656 12: the numbers 0x4000 to 0x4FFF


@attrs.frozen
class TurnLimits:
    """Every bound of a `TurnServer` on what clients can make it hold, by user and in total. See `TurnServer.set_limits`.

    Two answers tell a client that a bound was reached: 486 for its own allocations, 508 for everything else.

    Attributes:
        allocations: at once, all users together. Each has a socket, hence a descriptor, for each family; beside that it
            costs less than 4 KB.
        allocations_per_user: at once. A calling program needs one or two; one user for a whole office needs more.
        permissions_per_allocation: peers' hosts at once. A conference has some dozens; each costs some hundred bytes.
        permissions_per_user: so that many allocations with few permissions each are bounded as well.
        permissions: all users together.
        channels_per_allocation: channels at once; there are 4096 numbers.
        channels_per_user, channels: as with permissions.
        reservations_per_user: ports held for a RESERVATION-TOKEN at once; each has a socket for half a minute.
        reservations: all users together.
        tcp_connections_per_user: connections to and from peers at once (RFC 6062); each has a socket.
        tcp_connections: all users together.
        pending_connects_per_user: of these, how many may be on their way or wait for their ConnectionBind: a Connect is
            a knock at somebody's door, and thirty seconds long.
        pending_connects: all users together.
        queued_bytes_per_user: bytes that wait in streams for clients and peers that read too slowly, or for a
            ConnectionBind.
        queued_bytes: all users together.
        bytes_per_second_per_user: of relayed data, both directions together; ``None`` for no limit. What is over it is
            dropped, and counted (RFC 8656 5).
        bytes_per_second: all users together; ``None`` for no limit.
        burst: seconds of the rate that may come at once; never less than one datagram.

    Raises:
        ValueError: a value that makes no sense; the text names it.
    """

    allocations: int = 10_000
    allocations_per_user: int = 500
    permissions_per_allocation: int = 500
    permissions_per_user: int = 10_000
    permissions: int = 200_000
    channels_per_allocation: int = 500
    channels_per_user: int = 10_000
    channels: int = 200_000
    reservations_per_user: int = 20
    reservations: int = 500
    tcp_connections_per_user: int = 100
    tcp_connections: int = 2_000
    pending_connects_per_user: int = 10
    pending_connects: int = 200
    queued_bytes_per_user: int = 2**22
    queued_bytes: int = 2**27
    bytes_per_second_per_user: int | None = None
    bytes_per_second: int | None = None
    burst: float = 1.0

    def __attrs_post_init__(self) -> None:
        for name in _COUNTS:
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: {getattr(self, name)!r} is below 0")
        for name in ("bytes_per_second_per_user", "bytes_per_second"):
            rate = getattr(self, name)
            if rate is not None and rate < 1:
                raise ValueError(f"{name}: {rate!r} is not a number of bytes above 0; None is for no limit")
        if not 0 < self.burst <= _LONGEST_BURST:
            raise ValueError(f"burst: {self.burst!r} is not a number of seconds above 0 and up to {_LONGEST_BURST:g}")
        if self.channels_per_allocation > MOST_CHANNELS:
            raise ValueError(f"channels_per_allocation: there are {MOST_CHANNELS} channel numbers (RFC 8656 12)")


_LONGEST_BURST = 60.0  # seconds: who has saved more than a minute's worth is not limited any more


class Resource(enum.Enum):
    """What `Quotas` counts; the values are the names in `TurnLimits`."""

    ALLOCATIONS = "allocations"
    PERMISSIONS = "permissions"
    CHANNELS = "channels"
    RESERVATIONS = "reservations"
    TCP_CONNECTIONS = "tcp_connections"
    PENDING_CONNECTS = "pending_connects"
    QUEUED_BYTES = "queued_bytes"


class Exceeded(enum.Enum):
    """Whose bound a wish goes over."""

    USER = "the user's"
    TOTAL = "that of all users together"


_PLACES = {resource: place for place, resource in enumerate(Resource)}
_COUNTS = tuple(attribute.name for attribute in attrs.fields(TurnLimits) if attribute.type in ("int", int))


class TokenBucket:
    """At most ``rate`` a second, and ``burst`` at once, in any stretch of time.

    What was taken is a whole number, and the time it is compared with begins where the bucket was last full. So no rounding
    adds up, however many takes there are, however close together.

    Args:
        rate: tokens a second, above 0.
        burst: tokens that a full bucket holds.
        now: seconds; the bucket is full.
    """

    __slots__ = ("_burst", "_rate", "_since", "_taken")

    def __init__(self, rate: float, burst: int, *, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._since = now
        self._taken = 0

    def take(self, size: int, now: float) -> bool:
        """Take ``size`` tokens; ``False``, and nothing is taken, where there are fewer."""
        taken = self._taken
        refilled = (now - self._since) * self._rate
        if refilled >= taken:  # full: time that has passed before is worth nothing
            self._since = now
            taken = refilled = 0
        if taken + size - refilled > self._burst:
            self._taken = taken
            return False
        self._taken = taken + size
        return True

    def charge(self, size: int, now: float) -> float:
        """Take ``size`` tokens whether they are there or not; seconds until those that were not have come."""
        taken = self._taken
        refilled = (now - self._since) * self._rate
        if refilled >= taken:
            self._since = now
            taken = refilled = 0
        self._taken = taken + size
        return max(0.0, (taken + size - refilled - self._burst) / self._rate)

    def put_back(self, size: int) -> None:
        """Undo a `take` of just now."""
        self._taken -= size

    def is_full(self, now: float) -> bool:
        """Whether nobody would miss the bucket: a new one would be the same."""
        return (now - self._since) * self._rate >= self._taken

    def change(self, rate: float, burst: int, now: float) -> None:
        """Another rate from now on. What is missing in the bucket is still missing, as far as that is less than all of it."""
        missing = 0 if self.is_full(now) else self._taken - int((now - self._since) * self._rate)
        self._rate = rate
        self._burst = burst
        self._since = now
        self._taken = min(missing, burst)


class User:
    """What the allocations of one account have together.

    Attributes:
        account: whom it is counted for.
    """

    __slots__ = ("_bucket", "_counts", "_quotas", "account")

    def __init__(self, account: str, quotas: Quotas) -> None:
        self.account = account
        self._quotas = quotas
        self._counts = [0] * len(_PLACES)
        self._bucket: TokenBucket | None = None

    def count(self, resource: Resource) -> int:
        """How much of something the account has."""
        return self._counts[_PLACES[resource]]

    def may_relay(self, size: int, now: float) -> bool:
        """Take ``size`` bytes from the account's bandwidth and from all users'; ``False``, and neither is touched: drop them.

        For the path of every packet: where nothing is limited it is two comparisons.
        """
        own = self._bucket
        if own is not None and not own.take(size, now):
            return False
        all_users = self._quotas.bucket
        if all_users is not None and not all_users.take(size, now):
            if own is not None:
                own.put_back(size)
            return False
        return True

    def relay_stream(self, size: int, now: float) -> float:
        """Take the bandwidth of what was read from a stream, of which nothing may be dropped.

        Returns:
            Seconds for which nothing more is to be read there: 0 while the user and all of them together are within bounds.
            These are exceeded by one read of each stream at most, and made up for before the next.
        """
        own, all_users = self._bucket, self._quotas.bucket
        wait = 0.0 if own is None else own.charge(size, now)
        return wait if all_users is None else max(wait, all_users.charge(size, now))

    def __repr__(self) -> str:
        return f"User({self.account!r})"


def same_account(username: str) -> str:
    """The account of a user name where names are given out once: the name."""
    return username


class Quotas:
    """Who has how much. Counts are of what is held now: whoever takes gives back.

    Args:
        limits: the bounds, to be changed by `set_limits`.
        account: whose a user name is, a pure function: where names carry an expiry or the like, all of a person's names
            are one account, or a new name would be a new quota. Should it change, who has something keeps it under the old.

    Attributes:
        limits: as they are now.
        bucket: the bandwidth of all users together; ``None`` without a limit.
    """

    __slots__ = ("_account", "_counts", "_leaving", "_users", "bucket", "limits")

    limits: TurnLimits
    bucket: TokenBucket | None

    def __init__(self, limits: TurnLimits, *, account: Callable[[str], str] = same_account) -> None:
        self.limits = limits
        self._account = account
        self._counts = [0] * len(_PLACES)
        self._users: dict[str, User] = {}
        self._leaving: dict[str, User] = {}  # without anything but an empty bucket, by the time they became so
        self.bucket = _changed(None, limits.bytes_per_second, limits.burst, -math.inf)

    def __len__(self) -> int:
        """Accounts that are remembered."""
        return len(self._users)

    def total(self, resource: Resource) -> int:
        """How much of something there is, all users together."""
        return self._counts[_PLACES[resource]]

    def user(self, username: str, *, now: float) -> User:
        """The account of an authenticated user."""
        account = self._account(username)
        user = self._users.get(account)
        if user is None:
            self._sweep(now)
            user = self._users[account] = self._leaving[account] = User(account, self)
            self._limit(user, now)
        return user

    def take(self, user: User, resource: Resource, amount: int = 1) -> Exceeded | None:
        """Count something for a user; why not, and then nothing is counted.

        Args:
            user: from `user`, asked for just now, or one that has something already.
            resource: what.
            amount: how much.
        """
        place = _PLACES[resource]
        if user._counts[place] + amount > getattr(self.limits, resource.value + "_per_user"):
            return Exceeded.USER
        if self._counts[place] + amount > getattr(self.limits, resource.value):
            return Exceeded.TOTAL
        user._counts[place] += amount
        self._counts[place] += amount
        self._users[user.account] = user
        self._leaving.pop(user.account, None)
        return None

    def give_back(self, user: User, resource: Resource, amount: int = 1) -> None:
        """Something that was counted is gone. A user who has nothing left is forgotten, once its bucket is full again."""
        place = _PLACES[resource]
        user._counts[place] -= amount
        self._counts[place] -= amount
        if not any(user._counts):
            self._leaving[user.account] = user

    def set_limits(self, limits: TurnLimits, *, now: float) -> None:
        """Use other bounds from now on. Nobody loses what he has; who has more than he may gets no more."""
        self.limits = limits
        self.bucket = _changed(self.bucket, limits.bytes_per_second, limits.burst, now)
        for user in self._users.values():
            self._limit(user, now)

    def _limit(self, user: User, now: float) -> None:
        user._bucket = _changed(user._bucket, self.limits.bytes_per_second_per_user, self.limits.burst, now)

    def _sweep(self, now: float) -> None:
        """Forget accounts without anything: not before their buckets are full, or leaving would be a way to fill them.

        Every account that comes sweeps, so they are never more than come in the time that it takes to fill a bucket.
        """
        while self._leaving:
            account, user = next(iter(self._leaving.items()))
            if user._bucket is not None and not user._bucket.is_full(now):
                break
            del self._leaving[account]
            del self._users[account]


def _changed(bucket: TokenBucket | None, rate: int | None, burst: float, now: float) -> TokenBucket | None:
    """The bucket for a rate; the one there is, where there is one."""
    if rate is None:
        return None
    size = max(int(rate * burst), LARGEST_DATAGRAM)
    if bucket is None:
        return TokenBucket(rate, size, now=now)
    bucket.change(rate, size, now)
    return bucket
