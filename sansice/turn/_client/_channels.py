"""Channels: numbers for peers, bound, renewed in time, and kept back for five minutes after their end (RFC 8656 12)."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from sansice._timers import Timers
from sansice.machine import Address, Event, LocalProtocolError
from sansice.stun import CHANNEL_NUMBER, XOR_PEER_ADDRESS, Attribute, Method, Path, TransactionSucceeded
from sansice.turn._channel_data import FIRST_CHANNEL, LAST_CHANNEL

from ._codes import BAD_REQUEST, may_pass
from ._config import RENEWAL_MARGIN, TurnClientConfig
from ._events import ChannelBound, ChannelFailed, PermissionCreated
from ._permissions import Permissions
from ._requests import Outcome, Requests, refusal
from ._routes import Routes
from ._states import HOLD_TRANSITIONS, HoldInput, HoldState

CHANNEL_LIFETIME = 600.0  # seconds; RFC 8656 12
QUARANTINE = 300.0  # seconds; RFC 8656 12: after its end neither number nor peer gets another partner
NUMBERS = LAST_CHANNEL - FIRST_CHANNEL + 1


class Channel:
    """One peer's, bound or not.

    Attributes:
        peer: transport address.
        number: kept until the quarantine is over.
        state: by `HOLD_TRANSITIONS`.
        expires: when the server forgets it, at the earliest.
        latest: when the server has forgotten it for certain: a request that nobody answered may have arrived.
        header: the number as it is on the wire.
    """

    __slots__ = ("expires", "header", "latest", "number", "peer", "state")

    def __init__(self, peer: Address, number: int) -> None:
        self.peer = peer
        self.number = number
        self.header = number.to_bytes(2, "big")
        self.state = HoldState.ASKING
        self.expires = self.latest = -math.inf

    @property
    def bound(self) -> bool:
        """Whether data may be sent on it."""
        return self.state is HoldState.HELD or self.state is HoldState.RENEWING

    def move(self, step: HoldInput) -> None:
        """Change the state."""
        self.state = HOLD_TRANSITIONS[self.state, step]


class Channels:
    """The channels of one allocation.

    Args:
        config: of the client.
        requests: of the allocation.
        permissions: of the allocation: a channel brings one with it.
        routes: where data goes by a channel once it is bound.
        emit: takes events.

    Attributes:
        broken: what a server said that disagrees about who has which channel: only a new allocation helps (RFC 8656 12.3).
    """

    __slots__ = (
        "_config",
        "_cursor",
        "_emit",
        "_numbers",
        "_paused",
        "_permissions",
        "_queue",
        "_requests",
        "_routes",
        "_table",
        "_timers",
        "broken",
    )

    def __init__(
        self,
        config: TurnClientConfig,
        requests: Requests,
        permissions: Permissions,
        routes: Routes,
        emit: Callable[[Event], None],
    ) -> None:
        self._config = config
        self._requests = requests
        self._permissions = permissions
        self._routes = routes
        self._emit = emit
        self._table: dict[Address, Channel] = {}
        self._numbers: dict[int, Channel] = {}
        self._cursor = 0
        self._paused: dict[Address, Channel] = {}  # bound, and their hosts have no permission
        self._queue: dict[Address, None] = {}
        self._timers: Timers[Address] = Timers()
        self.broken: str | None = None

    def get(self, peer: Address) -> Channel | None:
        """What is known of a peer's channel."""
        return self._table.get(peer)

    def check_room(self, peer: Address) -> None:
        """Refuse one channel too many.

        Raises:
            LocalProtocolError: says how many there are.
        """
        if peer not in self._table and len(self._table) >= self._config.max_channels:
            raise LocalProtocolError(f"{len(self._table)} channels are in use, or were until five minutes ago (RFC 8656 12)")

    def want(self, peer: Address) -> int:
        """Ask for a channel, or say again that there is one; its number. `check_room` comes before."""
        channel = self._table.get(peer)
        if channel is None:
            channel = Channel(peer, self._free_number())
            self._table[peer] = self._numbers[channel.number] = channel
            self._queue[peer] = None
        elif channel.bound:
            self._emit(ChannelBound(peer, channel.number))
        elif channel.state is HoldState.LOST:
            channel.move(HoldInput.ASK)
            self._timers.cancel(peer)
            self._queue[peer] = None
        return channel.number

    def forget(self, peer: Address, now: float) -> None:
        """Let a channel expire; neither number nor peer is used with another one until that is certain."""
        channel = self._table.get(peer)
        if channel is not None and channel.state is not HoldState.LOST:
            if peer not in self._queue and channel.state in (HoldState.ASKING, HoldState.RENEWING):
                channel.latest = now + CHANNEL_LIFETIME  # a request is on its way
            self._lose(channel, HoldInput.FORGET, now)

    def forget_host(self, host: str, now: float) -> None:
        """Let all channels to one host go."""
        for peer in [peer for peer in self._table if peer.host == host]:
            self.forget(peer, now)

    def forget_family(self, *, ipv6: bool, now: float) -> None:
        """Let all of one family go."""
        for peer in [peer for peer in self._table if peer.is_ipv6 is ipv6]:
            self.forget(peer, now)

    def pause(self, hosts: Collection[str]) -> None:
        """These hosts have lost their permission: nothing is sent to them, by a channel either (RFC 8656 11.1)."""
        for peer, channel in self._table.items():
            if channel.bound and peer.host in hosts:
                self._paused[peer] = channel
                self._routes.pause(peer)

    def resume(self, hosts: Collection[str]) -> None:
        """They have one again."""
        for peer, channel in [(peer, channel) for peer, channel in self._paused.items() if peer.host in hosts]:
            del self._paused[peer]
            self._routes.bind(channel.header, peer)

    def ask_next(self, path: Path, now: float) -> bool:
        """Send one request of those that wait; whether there was one."""
        if not self._queue:
            return False
        peer = next(iter(self._queue))
        del self._queue[peer]
        channel = self._table[peer]
        attributes: list[tuple[Attribute[Any], Any]] = [(CHANNEL_NUMBER, channel.number), (XOR_PEER_ADDRESS, peer)]
        try:
            self._requests.ask(Method.CHANNEL_BIND, attributes, path, partial(self._answered, channel, now), now=now)
        except LocalProtocolError as error:
            self._unanswered(channel, None, str(error), now)
        else:
            self._routes.listen(channel.header, peer)  # RFC 8656 12: data may overtake the answer
        return True

    def handle_timer(self, now: float) -> None:
        """Renew what is due, give up what has expired, free what has been forgotten for long enough."""
        while (peer := self._timers.pop_due(now)) is not None:
            channel = self._table[peer]
            if channel.state is HoldState.LOST:
                self._remove(channel)
                continue
            if channel.state is HoldState.HELD:
                channel.move(HoldInput.DUE)
            if now >= channel.expires:
                self._lose(channel, HoldInput.EXPIRE, now)
                self._emit(ChannelFailed(peer, None, "it expired before the server answered"))
                continue
            self._queue[peer] = None
            self._timers.set(peer, channel.expires)

    def deadline(self) -> float:
        """When one is due next."""
        return self._timers.deadline()

    def __len__(self) -> int:
        return sum(channel.state is not HoldState.LOST for channel in self._table.values())

    def _free_number(self) -> int:
        while True:
            number = FIRST_CHANNEL + self._cursor
            self._cursor = (self._cursor + 1) % NUMBERS
            if number not in self._numbers:
                return number

    def _answered(self, channel: Channel, asked: float, outcome: Outcome, now: float) -> None:
        code, reason = (None, "") if isinstance(outcome, TransactionSucceeded) else refusal(outcome)
        if code is None:  # granted, or perhaps granted
            channel.latest = now + CHANNEL_LIFETIME
        if channel.state is HoldState.LOST:  # forgotten or expired meanwhile
            self._timers.set(channel.peer, channel.latest + QUARANTINE)
        elif isinstance(outcome, TransactionSucceeded):
            self._grant(channel, asked if outcome.rtt is None else now - outcome.rtt)
        elif code == BAD_REQUEST:
            self.broken = reason
        elif channel.state is HoldState.HELD:  # by another request, made before the channel was forgotten, or after
            pass
        elif may_pass(code):
            self._unanswered(channel, code, reason, now)
        else:
            self._refuse(channel, code, reason, now)

    def _unanswered(self, channel: Channel, code: int | None, reason: str, now: float) -> None:
        """What is bound already is asked for again a little later, as long as it lasts; the rest has failed."""
        if channel.state is HoldState.RENEWING:
            self._timers.set(channel.peer, min(now + self._config.retry_delay, channel.expires))
        else:
            self._refuse(channel, code, reason, now)

    def _grant(self, channel: Channel, asked: float) -> None:
        was_bound = channel.bound
        channel.move(HoldInput.GRANT)
        channel.expires = asked + CHANNEL_LIFETIME
        self._queue.pop(channel.peer, None)
        self._timers.set(channel.peer, channel.expires - RENEWAL_MARGIN)
        created = self._permissions.granted_by_channel(channel.peer, asked)
        if created:
            self._emit(PermissionCreated(created))
        self._paused.pop(channel.peer, None)
        self._routes.bind(channel.header, channel.peer)
        if not was_bound:
            self._emit(ChannelBound(channel.peer, channel.number))

    def _refuse(self, channel: Channel, code: int | None, reason: str, now: float) -> None:
        self._lose(channel, HoldInput.REFUSE, now)
        self._emit(ChannelFailed(channel.peer, code, reason))

    def _lose(self, channel: Channel, step: HoldInput, now: float) -> None:
        """No data goes by this channel; what the server may still have of it is waited for."""
        channel.move(step)
        self._queue.pop(channel.peer, None)
        self._paused.pop(channel.peer, None)
        self._routes.unbind(channel.header, channel.peer)
        free = channel.latest + QUARANTINE
        if free <= now:
            self._remove(channel)
        else:
            self._timers.set(channel.peer, free)

    def _remove(self, channel: Channel) -> None:
        self._timers.cancel(channel.peer)
        del self._table[channel.peer]
        del self._numbers[channel.number]
