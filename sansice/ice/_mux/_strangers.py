"""Checks for ufrags that nobody has: they wait, few and not for long, for what the application says to them."""

from __future__ import annotations

import ipaddress
import math
from collections import Counter
from collections.abc import Sized
from typing import NamedTuple

from sansice.machine import Address, DropReason, SocketId

from ._config import MuxConfig

# Bytes of a check that is kept. Both ufrags may have 256 characters each; all the rest of a check is below 200 bytes.
MAX_CHECK = 800

_IPV6_PREFIX = 7  # bytes: /56 is what a provider gives to one customer (RFC 6177)


class FirstCheck(NamedTuple):
    """A check that waits."""

    socket: SocketId
    source: Address
    data: bytes
    remote_ufrag: bytes = b""


class _Waiting(NamedTuple):
    until: float
    check: FirstCheck


class Strangers:
    """What is known of ufrags that no agent has.

    All entries of a table last equally long, so the first is always the next to go, and no timer is needed.
    """

    __slots__ = ("_config", "_declined", "_forgers", "_offered", "_refused", "_waiting", "_window_ends")

    def __init__(self, config: MuxConfig) -> None:
        self._config = config
        self._waiting: dict[bytes, _Waiting] = {}
        self._refused: dict[bytes, float] = {}  # ufrags, and of those whose agents are gone, both ufrags of who was theirs
        self._declined: dict[bytes, float] = {}  # in the present window
        self._offered: Counter[bytes] = Counter()  # by prefix, in the present window, whatever has become of them since
        self._forgers: dict[tuple[bytes, Address], None] = {}  # in the same window, as many as may wait
        self._window_ends = -math.inf

    def admit(self, ufrag: bytes, check: FirstCheck, *, now: float) -> DropReason | None:
        """Let a check wait that is the first for its ufrag; or say why not."""
        config = self._config
        self._forget(now)
        if ufrag in self._waiting or ufrag in self._refused or _both(ufrag, check.remote_ufrag) in self._refused:
            return DropReason.BAD_USERNAME
        if len(check.data) > MAX_CHECK or len(self._waiting) >= config.max_unknown:
            return DropReason.LIMIT
        if now >= self._window_ends:
            self._offered.clear()
            self._declined.clear()
            self._forgers.clear()
            self._window_ends = now + config.unknown_timeout
        if (ufrag, check.source) in self._forgers:
            return DropReason.BAD_INTEGRITY
        again_at = self._declined.get(ufrag)
        if again_at is not None and now < again_at:
            return DropReason.BAD_USERNAME
        if again_at is None:  # one ufrag counts once, however often it is asked for
            prefix = prefix_of(check.source.host)
            if self._offered[prefix] >= config.max_unknown_per_prefix:
                return DropReason.RATE_LIMITED
            if len(self._offered) >= config.max_refused:
                return DropReason.LIMIT
            self._offered[prefix] += 1
        self._waiting[ufrag] = _Waiting(now + config.unknown_timeout, check)
        return None

    def find(self, ufrag: bytes, *, now: float) -> FirstCheck | None:
        """The check that waits for a ufrag."""
        self._forget(now)
        waiting = self._waiting.get(ufrag)
        return None if waiting is None else waiting.check

    def welcome(self, ufrag: bytes) -> None:
        """Somebody has this ufrag now, and was given the check, if one waited."""
        self._refused.pop(ufrag, None)
        self._waiting.pop(ufrag, None)

    def forget(self, ufrag: bytes, *, now: float) -> None:
        """The check that waits is nobody's, and says nothing about the ufrag."""
        self._forget(now)
        self._waiting.pop(ufrag, None)

    def distrust(self, ufrag: bytes, *, now: float) -> None:
        """The same, and its sender is not listened to in this window: his retransmissions are not to use up what his whole
        network may offer.
        """
        first = self.find(ufrag, now=now)
        if first is not None and len(self._forgers) < self._config.max_unknown:
            self._forgers[ufrag, first.source] = None
        self.forget(ufrag, now=now)

    def vouch(self, source: Address) -> None:
        """Who was offered from there has turned out to know a password: it is no stranger to count."""
        prefix = prefix_of(source.host)
        if self._offered[prefix] > 1:
            self._offered[prefix] -= 1
        else:
            del self._offered[prefix]

    def refuse(self, ufrag: bytes, *, now: float) -> None:
        """Nobody is to have this ufrag, or nobody has it any more: for a while it is not offered."""
        self._forget(now)
        self._waiting.pop(ufrag, None)
        self._remember(ufrag, now)

    def retire(self, ufrag: bytes, remote_ufrag: bytes, *, now: float) -> None:
        """The agent that had this ufrag is gone: its peer's late checks are not offered, though the password in them may be that
        of whoever is let in next. Another's are.
        """
        self._forget(now)
        self._remember(_both(ufrag, remote_ufrag), now)

    def _remember(self, key: bytes, now: float) -> None:
        self._refused.pop(key, None)
        self._refused[key] = now + self._config.refused_timeout
        if len(self._refused) > self._config.max_refused:
            del self._refused[next(iter(self._refused))]

    def decline(self, ufrag: bytes, *, now: float) -> None:
        """Nobody has this ufrag yet: it is offered again with a check that comes a little later."""
        self.forget(ufrag, now=now)
        self._declined.pop(ufrag, None)
        self._declined[ufrag] = now + self._config.declined_timeout
        if len(self._declined) > self._config.max_refused:
            del self._declined[next(iter(self._declined))]

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()
        self._offered.clear()
        self._declined.clear()
        self._forgers.clear()
        self._refused.clear()

    def __len__(self) -> int:
        tables: tuple[Sized, ...] = (self._waiting, self._refused, self._offered, self._declined, self._forgers)
        return sum([len(table) for table in tables])

    def _forget(self, now: float) -> None:
        while self._waiting:
            ufrag = next(iter(self._waiting))
            if self._waiting[ufrag].until > now:
                break
            del self._waiting[ufrag]
        while self._refused:
            ufrag = next(iter(self._refused))
            if self._refused[ufrag] > now:
                break
            del self._refused[ufrag]


def _both(ufrag: bytes, remote_ufrag: bytes) -> bytes:
    """What no ufrag is, for none has a colon."""
    return ufrag + b":" + remote_ufrag


def prefix_of(host: str) -> bytes:
    """The bytes that stand for the prefix of a literal address: /24 of IPv4, /56 of IPv6."""
    if ":" in host:
        return ipaddress.IPv6Address(host).packed[:_IPV6_PREFIX]
    return host[: host.rindex(".")].encode()
