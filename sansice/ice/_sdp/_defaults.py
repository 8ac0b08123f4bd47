"""Which candidate the default destination names (RFC 8839 4.2.1.2, RFC 8445 5.2)."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from sansice.ice._candidate import Candidate, CandidateAddress, CandidateType
from sansice.machine import Address, Transport

from ._section import RTP, is_named


class DefaultFamily(enum.Enum):
    """Which family the default destination of a dual-stack host has; its administrator knows (RFC 8445 5.2)."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


# Who does not use ICE is reached by whatever is reachable for most: a relay, then what a NAT shows, then a host's own address.
_LIKELIHOOD = (CandidateType.RELAYED, CandidateType.SERVER_REFLEXIVE, CandidateType.PEER_REFLEXIVE, CandidateType.HOST)


def choose_defaults(candidates: Iterable[Candidate], transport: Transport, family: DefaultFamily) -> dict[int, Address]:
    """The default destination of each component; empty where no candidate of the transport has an address (RFC 8839 4.3.2).

    All components have one of the same type and family as the first, where there is one: RTP that works
    promises that RTCP does.
    """
    usable = [one for one in candidates if one.transport is transport and _is_public(one.address)]
    chosen: dict[int, Candidate] = {}
    for component in sorted({one.component for one in usable}):
        first = chosen.get(RTP)
        own = [one for one in usable if one.component == component]
        chosen[component] = min(own, key=lambda one: (not _is_alike(one, first), *_rank(one, family)))
    return {component: Address(*one.address) for component, one in chosen.items()} if RTP in chosen else {}


def _rank(candidate: Candidate, family: DefaultFamily) -> tuple[bool, int, int]:
    is_other_family = (":" in candidate.address[0]) != (family is DefaultFamily.IPV6)
    return is_other_family, _LIKELIHOOD.index(candidate.type), -candidate.priority


def _is_alike(one: Candidate, other: Candidate | None) -> bool:
    return other is None or (one.foundation, one.type) == (other.foundation, other.type)


def _is_public(address: CandidateAddress) -> bool:
    """A literal that may stand in ``c=``: no link-local one, which means nothing outside of its link."""
    return not is_named(address) and not address[0].startswith(("fe8", "fe9", "fea", "feb")) and address[1] != 0
