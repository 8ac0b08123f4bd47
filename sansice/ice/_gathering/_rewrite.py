"""Addresses that a 1:1 NAT gives to hosts: known from configuration, so that no server need be asked.

In clouds and containers a machine has a private address, and a public one leads to it, port by port. A rule says which. It yields
host candidates in the place of the private ones, or beside them, or server-reflexive ones (RFC 8445 5.1.1.2 without a server).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

import attrs

from sansice._enums import IdentityEnum
from sansice.ice._candidate import CandidateType
from sansice.machine import Address

_TYPES = (CandidateType.HOST, CandidateType.SERVER_REFLEXIVE)


class RewriteMode(IdentityEnum):
    """What becomes of the host candidate that a rule is about."""

    REPLACE = "replace"
    APPEND = "append"


def _literals(texts: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(Address.of(text, 0).host for text in ((texts,) if isinstance(texts, str) else texts))


def _literal(text: str | None) -> str | None:
    return None if text is None else Address.of(text, 0).host


def _network(text: str | None) -> str | None:
    return None if text is None else str(ipaddress.ip_network(text))


@attrs.frozen
class RewriteRule:
    """What is known about the outside of some addresses.

    The first rule that fits an address is the one for it; one that names nothing fits every address of its family. A lite agent
    has one host candidate for an address and no other (RFC 8445 5.2): it tells the first external address of a rule that yields
    host candidates in place of the address, whatever the mode, and nothing of the others.

    Attributes:
        external: the public address, or several; those of the other family than an address do not concern it.
        local: the one address that it is about.
        network: those that it is about, such as ``"10.0.0.0/8"``.
        interface: the interface that it is about, where interfaces are known (`HostAddress`).
        type: what the peer is told: ``HOST`` or ``SERVER_REFLEXIVE``.
        mode: whether the private address is told, too; left out, it is with ``SERVER_REFLEXIVE`` and not with ``HOST``.

    Raises:
        ValueError: an address or network that is none, no external address, or another type.
    """

    external: tuple[str, ...] = attrs.field(converter=_literals)
    local: str | None = attrs.field(default=None, converter=_literal)
    network: str | None = attrs.field(default=None, converter=_network)
    interface: str | None = None
    type: CandidateType = CandidateType.HOST
    mode: RewriteMode | None = None

    def __attrs_post_init__(self) -> None:
        if not self.external:
            raise ValueError("external: a rule without an address rewrites nothing")
        if self.type not in _TYPES:
            raise ValueError(f"type: a rule yields host or server-reflexive candidates, not {self.type.value}")

    @property
    def keeps(self) -> bool:
        """Whether the private address is told as well."""
        if self.mode is None:
            return self.type is not CandidateType.HOST
        return self.mode is RewriteMode.APPEND

    def fits(self, host: str, interface: str) -> bool:
        """Whether it is about this address."""
        if not self.externals_of(host):
            return False
        if self.local is not None and self.local != host:
            return False
        if self.interface is not None and self.interface != interface:
            return False
        return self.network is None or ipaddress.ip_address(host) in ipaddress.ip_network(self.network)

    def externals_of(self, host: str) -> tuple[str, ...]:
        """The external addresses of its family."""
        return tuple(one for one in self.external if (":" in one) == (":" in host))


@attrs.frozen
class Outside:
    """How a host address is told to the peer.

    Attributes:
        type: of the candidates for ``hosts``.
        hosts: external addresses; none where the address is told as it is.
        keeps: whether it is told itself.
    """

    type: CandidateType
    hosts: tuple[str, ...]
    keeps: bool


AS_IT_IS = Outside(CandidateType.HOST, (), True)


def outside_of(host: str, interface: str, rules: Iterable[RewriteRule]) -> Outside:
    """How an address is told to the peer, by the first rule that fits it."""
    for rule in rules:
        if rule.fits(host, interface):
            externals = rule.externals_of(host)
            return Outside(rule.type, tuple(one for one in externals if one != host), rule.keeps or host in externals)
    return AS_IT_IS
