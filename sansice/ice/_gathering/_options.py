"""How candidates are gathered, as far as it is a matter of choice."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import attrs

from sansice.ice._candidate import TcpType

if TYPE_CHECKING:
    from sansice.stun import HttpProxy
    from sansice.turn import Family, TurnClientConfig

    from ._hosts import HostAddress
    from ._rewrite import RewriteRule


def _rules(value: Iterable[RewriteRule]) -> tuple[RewriteRule, ...]:
    return tuple(value)


def _ports(value: Iterable[int] | None) -> tuple[int, int] | None:
    if value is None:
        return None
    first, last = value
    return first, last


def _tcp_types(value: Iterable[TcpType | str]) -> tuple[TcpType, ...]:
    if isinstance(value, str):
        raise ValueError(f"tcp: {value!r} is one word; a tuple of them is needed")
    try:
        wanted = [TcpType(one) for one in value]
    except ValueError as error:
        raise ValueError(f"tcp: {error}; there are {', '.join(one.value for one in TcpType)}") from None
    return tuple([one for one in TcpType if one in wanted])


def _proxy(value: HttpProxy | str | None) -> HttpProxy | None:
    if value is None:
        return None
    from sansice.stun import as_proxy  # few have one

    return as_proxy(value)


@attrs.frozen(kw_only=True)
class GatheringOptions:
    """Which candidates there are and how they are preferred. The functions are pure: they decide by what they are given.

    Attributes:
        accept: the addresses to use; of those that it refuses no socket is opened.
        cost: what an address costs, 0 to 999, instead of what it says itself (`HostAddress`); from 900 on it comes last.
        link_local: whether link-local addresses are used; ``None`` uses them only where there is nothing else.
        rewrite: what is known about the outside of addresses; the first rule that fits an address decides.
        udp: whether there are candidates for UDP: without them there are no server-reflexive and relayed ones either.
        tcp: the kinds of TCP candidates that there are (RFC 6544), as `TcpType` or its word: active ones connect, passive ones
            listen, and ``so`` ones do both from one port, which few networks let pass. Without any, which is the default, the
            peer's are not used. A lite agent has passive ones only.
        dscp: differentiated services code point of the host candidates' sockets, 0 to 63: of data, and so of checks and
            consent checks too, which must fare as the data does (RFC 7675 6).
        port_range: first and last port of host candidates' sockets; each socket gets one of its own. Left out, any.
        relayed_family: of relayed addresses: 4, 6, or ``"both"`` where a server has both; ``None`` for what it gives whom nothing
            is said, which is IPv4.
        max_relays: allocations at a time; each costs a server a port, and an agent with many interfaces and servers asks for
            one of each.
        answering_timeout: seconds for servers that have begun to answer when ``IceConfig.gathering_timeout`` has passed: what is
            far away takes five round trips to relay over TLS.
        turn: of the TURN clients.
        proxy: an HTTP proxy (`sansice.stun.HttpProxy`, or ``"http://user:password@host:port"``), through which TURN servers are
            reached over TCP and TLS, and only through it; their names are the proxy's to look up. UDP, which no such proxy
            carries, is tried beside it. It is said here, and not of servers, because it belongs to the network that the agent is
            in, and they come from somewhere else. Variables of the environment are never looked at.
        every_url: every URL of a server is asked for an allocation, at once, as a tool does that finds out which of them work.
        continual: whether gathering goes on for as long as another pair may be used: candidates of addresses that
            `IceAgent.update_addresses` brings are told the peer, too, before any pair is selected and, where both agents
            renominate, afterwards. So the end of candidates is not told meanwhile (RFC 8838 13): `GatheringCompleted` says that
            it is not final, and a description has no end-of-candidates. A lite agent tells everything at once, and ignores this.

    Raises:
        ValueError: a port outside 1 to 65535, or a range without ports; a bound below 1; a code point, a time or a word
            that is none; neither UDP nor TCP; a text that is no proxy's, or a proxy in ``turn``.
    """

    accept: Callable[[HostAddress], bool] | None = None
    cost: Callable[[HostAddress], int] | None = None
    link_local: bool | None = None
    rewrite: tuple[RewriteRule, ...] = attrs.field(default=(), converter=_rules)
    udp: bool = True
    tcp: tuple[TcpType, ...] = attrs.field(default=(), converter=_tcp_types)
    dscp: int = 0
    port_range: tuple[int, int] | None = attrs.field(default=None, converter=_ports)
    relayed_family: Family | None = "both"
    max_relays: int = 32
    answering_timeout: float = 10.0
    turn: TurnClientConfig | None = None
    proxy: HttpProxy | None = attrs.field(default=None, converter=_proxy)
    every_url: bool = False
    continual: bool = False

    def __attrs_post_init__(self) -> None:
        if self.port_range is not None:
            first, last = self.port_range
            if not 1 <= first <= last <= 65535:
                raise ValueError(f"port_range: {first} to {last} is not a range within 1..65535")
        if not (self.udp or self.tcp):
            raise ValueError("udp: neither UDP nor TCP leaves nothing to gather")
        if not 0 <= self.dscp <= 63:
            raise ValueError(f"dscp: {self.dscp!r} is outside 0..63")
        if self.relayed_family not in (None, 4, 6, "both"):
            raise ValueError(f"relayed_family: 4, 6, 'both' or None, not {self.relayed_family!r}")
        if self.turn is not None and self.turn.proxy is not None:
            raise ValueError("turn: the proxy of an agent is said by proxy=, because its servers are found by it as well")
        if self.max_relays < 1:
            raise ValueError(f"max_relays: {self.max_relays!r} is below 1")
        if not 0 <= self.answering_timeout < math.inf:
            raise ValueError(f"answering_timeout: {self.answering_timeout!r} is not a number of seconds")

    @property
    def chooses_hosts(self) -> bool:
        """Whether addresses need more than the plain rules."""
        return self.accept is not None or self.cost is not None or self.link_local is not None


DEFAULT_OPTIONS = GatheringOptions()
