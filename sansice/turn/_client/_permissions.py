"""Permissions: which hosts may reach the relayed address, asked for in batches and renewed in time (RFC 8656 9, 10)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial

from sansice._timers import Timers
from sansice.machine import Address, Event, LocalProtocolError
from sansice.stun import XOR_PEER_ADDRESS, Method, Path, TransactionSucceeded

from ._codes import may_pass
from ._config import RENEWAL_MARGIN, TurnClientConfig
from ._events import PermissionCreated, PermissionFailed
from ._requests import Outcome, Requests, refusal
from ._states import HOLD_TRANSITIONS, HoldInput, HoldState

PERMISSION_LIFETIME = 300.0  # seconds; RFC 8656 9
_GRID = 10.0  # ours: renewals are due at multiples of this, so that those of many hosts share requests


class Permission:
    """One host's.

    Attributes:
        peer: what the application named last; the port means nothing (RFC 8656 9), except to servers that tell by it whether a
            relayed address of theirs is meant.
        state: by `HOLD_TRANSITIONS`.
        expires: when the server forgets it, at the earliest; of one that was never granted, never.
    """

    __slots__ = ("expires", "peer", "state")

    def __init__(self, peer: Address) -> None:
        self.peer = peer
        self.state = HoldState.ASKING
        self.expires = math.inf

    @property
    def active(self) -> bool:
        """Whether the server is believed to let datagrams pass."""
        return self.state is HoldState.HELD or self.state is HoldState.RENEWING

    def move(self, step: HoldInput) -> None:
        """Change the state."""
        self.state = HOLD_TRANSITIONS[self.state, step]


class Permissions:
    """The permissions of one allocation.

    Args:
        config: of the client.
        requests: of the allocation.
        emit: takes events.
    """

    __slots__ = ("_alone", "_config", "_emit", "_queue", "_requests", "_table", "_timers")

    def __init__(self, config: TurnClientConfig, requests: Requests, emit: Callable[[Event], None]) -> None:
        self._config = config
        self._requests = requests
        self._emit = emit
        self._table: dict[str, Permission] = {}
        self._queue: dict[str, None] = {}  # to be asked for, in order
        self._alone: dict[str, None] = {}  # the same, each in a request of its own: one of them has spoilt a batch
        self._timers: Timers[str] = Timers()

    def get(self, host: str) -> Permission | None:
        """What is known of a host."""
        return self._table.get(host)

    def want(self, peers: Iterable[Address]) -> None:
        """Ask for hosts that have no permission; of those that have one, say so again.

        Raises:
            LocalProtocolError: there would be too many.
        """
        named = {peer.host: peer for peer in peers}
        total = len(self._table) + sum(host not in self._table for host in named)
        excess = total - self._config.max_permissions
        if excess > 0:
            lost = [host for host, one in self._table.items() if one.state is HoldState.LOST and host not in named]
            if len(lost) < excess:
                raise LocalProtocolError(f"{total - len(lost)} permissions: max_permissions is {self._config.max_permissions}")
            for host in lost[:excess]:  # the oldest; what was refused or has expired takes up no room
                self.forget(host)
        held: list[str] = []
        for host, peer in named.items():
            permission = self._table.get(host)
            if permission is None:
                self._table[host] = Permission(peer)
                self._queue[host] = None
                continue
            if peer.port:
                permission.peer = peer
            if permission.active:
                held.append(host)
            elif permission.state is HoldState.LOST:
                permission.move(HoldInput.ASK)
                self._queue[host] = None
        if held:
            self._emit(PermissionCreated(tuple(held)))

    def forget(self, host: str) -> None:
        """Let a permission expire; data from there is not taken any more."""
        self._table.pop(host, None)
        self._unqueue(host)
        self._timers.cancel(host)

    def forget_family(self, *, ipv6: bool) -> tuple[str, ...]:
        """Let all of one family go; which these are."""
        hosts = tuple(host for host in self._table if (":" in host) is ipv6)
        for host in hosts:
            self.forget(host)
        return hosts

    def granted_by_channel(self, peer: Address, asked: float) -> tuple[str, ...]:
        """A ChannelBind installs the permission as well (RFC 8656 12.1). Returns the hosts that had none."""
        permission = self._table.setdefault(peer.host, Permission(peer))  # one that was lost may have made room
        if permission.state is HoldState.LOST:
            permission.move(HoldInput.ASK)
        return self._grant([peer.host], asked)

    def ask_next(self, path: Path, now: float) -> bool:
        """Send one request of those that wait; whether there was one."""
        if self._alone:
            hosts = [next(iter(self._alone))]
            del self._alone[hosts[0]]
        elif self._queue:
            hosts = list(self._queue)[: self._config.max_batch]
            for host in hosts:
                del self._queue[host]
        else:
            return False
        attributes = [(XOR_PEER_ADDRESS, self._table[host].peer) for host in hosts]
        try:
            self._requests.ask(Method.CREATE_PERMISSION, attributes, path, partial(self._answered, hosts, now), now=now)
        except LocalProtocolError as error:
            self._unanswered(hosts, None, str(error), now)
        return True

    def handle_timer(self, now: float) -> None:
        """Renew what is due, give up what has expired."""
        expired: list[str] = []
        while (host := self._timers.pop_due(now)) is not None:
            permission = self._table[host]
            if now >= permission.expires:
                if permission.state is HoldState.HELD:  # the machine has slept
                    permission.move(HoldInput.DUE)
                permission.move(HoldInput.EXPIRE)
                self._unqueue(host)
                expired.append(host)
                continue
            if permission.state is HoldState.HELD:
                permission.move(HoldInput.DUE)
            self._queue[host] = None
            self._timers.set(host, permission.expires)
        if expired:
            self._emit(PermissionFailed(tuple(expired), None, "it expired before the server answered"))

    def deadline(self) -> float:
        """When one is due next."""
        return self._timers.deadline()

    def __len__(self) -> int:
        return len(self._table)

    def _answered(self, hosts: list[str], asked: float, outcome: Outcome, now: float) -> None:
        # What was forgotten or has expired meanwhile is beyond help.
        known = [host for host in hosts if host in self._table and self._table[host].state is not HoldState.LOST]
        if isinstance(outcome, TransactionSucceeded):
            created = self._grant(known, asked if outcome.rtt is None else now - outcome.rtt)
            if created:
                self._emit(PermissionCreated(created))
            return
        # A refusal takes nothing back that a ChannelBind, or another request for the same host, has been granted meanwhile.
        known = [host for host in known if self._table[host].state is not HoldState.HELD]
        code, reason = refusal(outcome)
        if may_pass(code):
            self._unanswered(known, code, reason, now)
        elif len(hosts) > 1:
            self._alone.update(dict.fromkeys(known))  # RFC 8656 10.2: one bad host, and none of them is installed
        else:
            self._refuse(known, code, reason)

    def _grant(self, hosts: Iterable[str], asked: float) -> tuple[str, ...]:
        created: list[str] = []
        for host in hosts:
            permission = self._table[host]
            if not permission.active:
                created.append(host)
            permission.move(HoldInput.GRANT)
            self._unqueue(host)
            permission.expires = asked + PERMISSION_LIFETIME
            self._timers.set(host, (permission.expires - RENEWAL_MARGIN) // _GRID * _GRID)
        return tuple(created)

    def _unqueue(self, host: str) -> None:
        self._queue.pop(host, None)
        self._alone.pop(host, None)

    def _unanswered(self, hosts: list[str], code: int | None, reason: str, now: float) -> None:
        """What is held already is asked for again a little later, as long as it lasts; the rest has failed."""
        for host in hosts:
            permission = self._table[host]
            if permission.state is HoldState.RENEWING:
                self._timers.set(host, min(now + self._config.retry_delay, permission.expires))
        self._refuse([host for host in hosts if self._table[host].state is HoldState.ASKING], code, reason)

    def _refuse(self, hosts: list[str], code: int | None, reason: str) -> None:
        for host in hosts:
            self._table[host].move(HoldInput.REFUSE)
            self._unqueue(host)
            self._timers.cancel(host)
        if hosts:
            self._emit(PermissionFailed(tuple(hosts), code, reason))
