"""Later offers: what is nominated, what failed, and the race between offer and check (RFC 8839 4.3.4, 4.4)."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

import attrs

from sansice.ice._candidate import Candidate, CandidateAddress
from sansice.ice._pair import CandidatePair, PairState

from ._attributes import RemoteCandidate
from ._section import MediaSection
from ._session import SessionSdp


@attrs.frozen
class StreamOutcome:
    """How a stream's checks ended, as far as they have.

    Attributes:
        selected: the nominated pair of each component; empty before there is one for every component.
        failed: whether there will be none.
    """

    selected: tuple[CandidatePair, ...] = ()
    failed: bool = False

    @property
    def is_over(self) -> bool:
        """Whether the checklist is Completed or Failed."""
        return self.failed or bool(self.selected)

    @property
    def nominated(self) -> tuple[Candidate, ...]:
        """The local candidates of the nominated pairs."""
        return tuple(pair.local for pair in self.selected)

    @property
    def remote_candidates(self) -> tuple[RemoteCandidate, ...]:
        """The peer's candidates of the nominated pairs, as ``a=remote-candidates`` has them."""
        return tuple(RemoteCandidate(pair.remote.component, pair.remote.address) for pair in self.selected)


def needs_offer(local: SessionSdp, remote: SessionSdp, outcomes: Mapping[str, StreamOutcome]) -> bool:
    """Whether a controlling agent must send another offer now (RFC 8839 4.3.4).

    It must where a stream failed, to remove it; and for a partner that does not know ``ice2``, once all streams are over,
    where a nominated pair is not the one that both descriptions have as default.

    Args:
        local, remote: the offer and the answer as they stand.
        outcomes: by the name of the section; only streams that use ICE.
    """
    sections = local.by_mid
    if any(outcome.failed and sections[mid].is_active for mid, outcome in outcomes.items()):
        return True
    if not all(outcome.is_over for outcome in outcomes.values()):
        return False
    return any(
        "ice2" not in remote.descriptions[mid].options and not _is_default(outcome, sections[mid], remote.by_mid[mid])
        for mid, outcome in outcomes.items()
        if mid in remote.descriptions
    )


def _is_default(outcome: StreamOutcome, local: MediaSection, remote: MediaSection) -> bool:
    ours, theirs = local.destinations, remote.destinations
    return all(
        ours.get(pair.local.component) == pair.local.address and theirs.get(pair.remote.component) == pair.remote.address
        for pair in outcome.selected
    )


class RaceVerdict(enum.Enum):
    """What an offer with ``a=remote-candidates`` finds (RFC 8839 4.4.2, appendix B)."""

    AGREED = "the pairs are valid here, too: answer with them"
    WAIT = "checks are in progress: look again as each of them ends"
    LOST = "no check will make them valid: answer as if the offer had not named them, and restart the stream"


def judge_remote_candidates(
    offered: MediaSection, valid: Iterable[CandidatePair], checklist: Iterable[CandidatePair]
) -> RaceVerdict:
    """Whether the controlled agent already knows the pairs that the controlling one has selected.

    Args:
        offered: the section of the offer.
        valid: the pairs that this agent knows to work.
        checklist: all of its pairs of this stream.
    """
    destinations = offered.destinations
    known = {(pair.local.address, pair.remote.address) for pair in valid}
    losing = [
        destinations.get(one.component)
        for one in offered.ice.remote_candidates
        if (one.address, destinations.get(one.component)) not in known
    ]
    if not losing:
        return RaceVerdict.AGREED
    states = [pair.state for pair in checklist if pair.remote.address in losing]
    if PairState.IN_PROGRESS not in states and PairState.FAILED in states:
        return RaceVerdict.LOST
    # Nothing has failed yet: what is Frozen or Waiting is still to be checked, as what is in progress is.
    return RaceVerdict.WAIT


def named_candidates(named: Iterable[RemoteCandidate], candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Of our candidates those that the peer has named as selected: one for each, or none at all."""
    known: dict[tuple[int, CandidateAddress], Candidate] = {}
    for candidate in candidates:
        known.setdefault((candidate.component, candidate.address), candidate)
    found = [known.get((one.component, one.address)) for one in named]
    return () if None in found else tuple(candidate for candidate in found if candidate is not None)
