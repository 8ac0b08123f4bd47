"""Which address to prefer where no check tells (RFC 6724, as RFC 8445 5.2 and 8.2 want it of lite agents)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from sansice.ice._gathering._host_list import Seat
from sansice.ice._priority import MAX_LOCAL_PREFERENCE

# RFC 6724 2.1: prefix, precedence, label; the longest prefix first, so that the first match is the one.
_POLICY = tuple(
    (ipaddress.IPv6Network(prefix), precedence, label)
    for prefix, precedence, label in (
        ("::1/128", 50, 0),
        ("::ffff:0:0/96", 35, 4),
        ("::/96", 1, 3),
        ("2001::/32", 5, 5),
        ("2002::/16", 30, 2),
        ("3ffe::/16", 1, 12),
        ("fec0::/10", 1, 11),
        ("fc00::/7", 3, 13),
        ("::/0", 40, 1),
    )
)
_LINK_LOCAL, _SITE_LOCAL, _GLOBAL = 0x2, 0x5, 0xE  # scopes, RFC 6724 3.1
_SITE_LOCAL_PREFIX = ipaddress.IPv6Network("fec0::/10")
_MAPPED = 0xFFFF << 32  # ::ffff:0:0, where the policy table has IPv4
_BITS = 128


class _Rank(NamedTuple):
    """What RFC 6724 knows of one address."""

    precedence: int
    label: int
    scope: int
    number: int


@lru_cache(256)  # the few addresses of a machine, and of its peers, come again with each session
def _rank(host: str) -> _Rank:
    plain = ipaddress.ip_address(host)
    if isinstance(plain, ipaddress.IPv4Address):
        scope = _LINK_LOCAL if plain.is_link_local or plain.is_loopback else _GLOBAL  # RFC 6724 3.2
        address = ipaddress.IPv6Address(_MAPPED | int(plain))
    else:
        address = ipaddress.IPv6Address(int(plain))  # without the zone
        is_near = plain.is_link_local or plain.is_loopback  # RFC 6724 3.4
        scope = _LINK_LOCAL if is_near else _SITE_LOCAL if address in _SITE_LOCAL_PREFIX else _GLOBAL
    precedence, label = next((precedence, label) for prefix, precedence, label in _POLICY if address in prefix)
    return _Rank(precedence, label, scope, int(address))


def precedence(host: str) -> int:
    """The precedence of a literal address in the default policy table (RFC 6724 2.1): 35 for all of IPv4."""
    return _rank(host).precedence


def assign_preferences(seats: Sequence[Seat], known: Mapping[Seat, int]) -> dict[Seat, int]:
    """Local preferences for the candidates of ``seats`` (RFC 8445 5.2), none of them given twice.

    65535 where all is IPv4, the precedence of RFC 6724 otherwise; several of one precedence lie above it, or below 65535,
    the first one highest. What is ``known`` stays as it is.
    """
    given = dict(known)
    every = [*given, *seats]
    if not any(":" in seat.host for seat in every):
        for seat in seats:
            given.setdefault(seat, _free(MAX_LOCAL_PREFERENCE, -1, given))
        return given
    # Upwards, for below the least precedence, 1, there is no room; in ascending order, so that none is overtaken.
    for _, _, seat in sorted((precedence(seat.host), -index, seat) for index, seat in enumerate(seats)):
        given.setdefault(seat, _free(precedence(seat.host), 1, given))
    return given


@lru_cache(16)  # agents with the same addresses share them
def first_preferences(seats: tuple[Seat, ...]) -> Mapping[Seat, int]:
    """The same where nothing is known yet."""
    return assign_preferences(seats, {})


def _free(preference: int, step: int, given: Mapping[Seat, int]) -> int:
    taken = list(given.values())
    while preference in taken:
        preference += step
    return preference


def affinity(one: str, other: str) -> tuple[int, ...]:
    """How well two literal addresses of one family go together, the greater the better (RFC 6724 6).

    Rules 2, 5, 6, 8 and 9 in their order, made symmetric: two lite agents that know the same addresses choose the same pair.
    """
    a, b = _rank(one), _rank(other)
    low, high = sorted((a.precedence, b.precedence))
    common = _BITS - (a.number ^ b.number).bit_length()
    return (a.scope == b.scope, a.label == b.label, low, high, -max(a.scope, b.scope), common)
