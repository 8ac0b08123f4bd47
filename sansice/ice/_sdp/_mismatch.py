"""ICE mismatch: a default destination that is no candidate (RFC 8839 4.2.5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sansice.ice._candidate import Candidate, CandidateAddress

from ._section import DISCARD, RTCP, RTP, UNSPECIFIED, MediaSection, is_named
from ._session import SessionSdp


def find_mismatches(sdp: SessionSdp) -> tuple[str, ...]:
    """The sections of a received offer or answer with a default destination that is none of their candidates.

    Then something between the agents has rewritten the one without the other (RFC 8839 4.2.5). What an agent says
    that has nothing to say yet is no mismatch: 0.0.0.0 or :: with port 9, or port 9 of an agent that trickles
    (RFC 8840 4.1.2). Neither is a name.
    """
    sections = sdp.by_mid
    described = sdp.descriptions
    return tuple(
        mid
        for mid, tag in sdp.tags.items()
        if tag in described and _is_mismatched(sections[mid], described[tag].candidates, trickles=sdp.trickles)
    )


def _is_mismatched(section: MediaSection, candidates: Iterable[Candidate], *, trickles: bool) -> bool:
    if section.port == 0:  # bundle-only: it has no destination of its own
        return False
    known = {(one.component, one.address) for one in candidates if one.transport is section.transport}
    destinations = section.destinations
    return any(
        (component, address) not in known and not _is_excused(component, address, destinations, section, trickles)
        for component, address in destinations.items()
    )


def _is_excused(
    component: int, address: CandidateAddress, destinations: Mapping[int, CandidateAddress], section: MediaSection, trickles: bool
) -> bool:
    if is_named(address) or (address[1] == DISCARD and (trickles or address[0] in UNSPECIFIED)):
        return True
    # RFC 5761: multiplexed RTCP goes where RTP goes, and some say so.
    return component == RTCP and section.rtcp_mux and address == destinations[RTP]
