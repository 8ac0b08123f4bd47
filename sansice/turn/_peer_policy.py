"""Which peers a TURN server exchanges data with (RFC 8656 10.2, 21.1.6, 21.4)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeAlias

import attrs

from ._embedded_addresses import embedded_addresses, is_tunnelled, parse_host
from ._special_purpose import IPV4_BLOCKS, IPV6_BLOCKS

Network: TypeAlias = str | IPv4Network | IPv6Network | IPv4Address | IPv6Address
"""``192.0.2.0/24``, ``192.0.2.7``, ``192.0.2.7-192.0.2.19``, the same of IPv6, or an object of `ipaddress`."""

_REMEMBERED = 4096
"""Hosts whose judgement is kept: the peers of a busy minute, some hundred KB. Others are judged anew, in some 20 us."""

_V4_MAPPED = int(IPv6Address("::ffff:0:0"))
_MAPPED_PREFIX = 96


def _canonical_networks(values: Iterable[Network]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise ValueError(f"{values!r} is one network: several of them are wanted, ({values!r},)")
    return tuple(str(network) for value in values for network in _networks(value))


def _networks(value: Network) -> Iterable[IPv4Network | IPv6Network]:
    """The networks that a rule names.

    Raises:
        ValueError: it names none; the text says how one is written.
    """
    text = str(value).strip()
    first, dash, last = text.partition("-")
    try:
        if dash:
            return list(ipaddress.summarize_address_range(parse_host(first.strip()), parse_host(last.strip())))
        return [_unmapped(ipaddress.ip_network(text))]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{text!r} is not a network of peers, as in 192.0.2.0/24 or 192.0.2.1-192.0.2.9: {error}") from None


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """A network of IPv4-mapped addresses is one of IPv4: hosts are judged so as well."""
    length = network.prefixlen - _MAPPED_PREFIX
    if network.version == 4 or length < 0 or int(network.network_address) >> 32 != _V4_MAPPED >> 32:
        return network
    return IPv4Network((int(network.network_address) & 0xFFFFFFFF, length))


@attrs.frozen
class PeerPolicy:
    """Which hosts clients may reach through the relay, and may hear from.

    Without rules, everybody but the blocks of the IANA special-purpose registries (RFC 6890), multicast, and whatever is not
    global unicast: a relay that forwards to these lets strangers into the network that it stands in.

    Of the rules and blocks that a host is in, the smallest decides: ``allow=["10.1.0.0/16"], deny=["10.1.2.3"]`` opens a part
    of a private network but for one host, and ``deny=["0.0.0.0/0", "::/0"], allow=["8.8.8.0/24"]`` leaves only that one.
    So a rule opens a special block only if it names the block or a part of it: ``allow=["0.0.0.0/0"]`` opens none. Where two
    are equally small, ``deny`` comes before ``allow``, and ``allow`` before the blocks.

    An IPv6 address with an IPv4 address inside (mapped, compatible, NAT64, ISATAP) must be allowed itself, and so must be all
    that it may lead to. Addresses of 6to4 and Teredo are refused whatever the rules say (RFC 8656 21.4).

    Attributes:
        allow, deny: networks, as `Network` has them; kept as canonical texts.

    Raises:
        ValueError: a rule is no network, or has bits set behind its prefix.
    """

    allow: tuple[str, ...] = attrs.field(default=(), converter=_canonical_networks)
    deny: tuple[str, ...] = attrs.field(default=(), converter=_canonical_networks)

    def allows(self, host: str) -> bool:
        """Whether data may be exchanged with a host, a literal address."""
        return not self.refusal(host)

    def refusal(self, host: str) -> str:
        """Why no data may be exchanged with a host, in words for a log; "" where it may.

        Raises:
            ValueError: it is no literal address.
        """
        return self._judge.refusal(host)

    def opens(self, host: str) -> bool:
        """Whether a host is allowed by a rule of ``allow``, and not just because nothing is known against it."""
        return self._judge.opens(host)

    @cached_property
    def _judge(self) -> _Judge:
        return _Judge(self.allow, self.deny)


class _Judge:
    """The rules of a policy, laid out for looking up; and what was looked up before.

    For each version and length of prefix there is a table of networks, and the longest are asked first.
    """

    __slots__ = ("_known", "_tables")

    def __init__(self, allow: Iterable[str], deny: Iterable[str]) -> None:
        self._known: dict[str, str] = {}
        unsorted: dict[int, _Tables] = {4: {}, 6: {}}
        # Of two equal networks, the one that is entered last counts.
        for block in (*IPV4_BLOCKS, *IPV6_BLOCKS):
            _enter(unsorted, block.network, f"{block.name}, {block.source}")
        for network in allow:
            _enter(unsorted, network, _ALLOWED)
        for network in deny:
            _enter(unsorted, network, f"denied by the rule {network}")
        self._tables = {version: sorted(tables.items(), reverse=True) for version, tables in unsorted.items()}

    def refusal(self, host: str) -> str:
        known = self._known.get(host)
        if known is None:
            known = self._judge(parse_host(host))
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[host] = known
        return known

    def opens(self, host: str) -> bool:
        return self._find(parse_host(host)) == _ALLOWED and not self.refusal(host)

    def _judge(self, address: IPv4Address | IPv6Address) -> str:
        words = self._find(address)
        if words:
            return f"{address}: {words}"
        if isinstance(address, IPv6Address):
            if is_tunnelled(str(address)):
                return f"{address}: 6to4 or Teredo, which no rule can allow (RFC 8656 21.4)"
            for inner, how in embedded_addresses(address):
                refusal = self._judge(inner)
                if refusal:
                    return f"{address} leads to {refusal}; {how}"
        return ""

    def _find(self, address: IPv4Address | IPv6Address) -> str | None:
        """What the smallest network says that the address is in; ``None`` where there is none."""
        number, width = int(address), address.max_prefixlen
        for length, table in self._tables[address.version]:
            words = table.get(number >> width - length)
            if words is not None:
                return words
        return None


_Tables: TypeAlias = dict[int, dict[int, str]]
"""By the length of the prefix, by the prefix: why the network is refused, or `_ALLOWED`."""
_ALLOWED = ""


def _enter(tables: dict[int, _Tables], text: str, words: str) -> None:
    network = ipaddress.ip_network(text)
    table = tables[network.version].setdefault(network.prefixlen, {})
    table[int(network.network_address) >> network.max_prefixlen - network.prefixlen] = words


DEFAULT_PEER_POLICY: Final = PeerPolicy()

ANY_PEER: Final = PeerPolicy(allow=tuple(block.network for block in (*IPV4_BLOCKS, *IPV6_BLOCKS)))
"""Every host but those of 6to4 and Teredo: for simulated networks, and for nothing that is connected to a real one."""
