"""What a peer conceals of one component: names in place of addresses (draft-ietf-mmusic-mdns-ice-candidates 3.2, 3.3)."""

from __future__ import annotations

from sansice.ice._candidate import Candidate
from sansice.machine import Address


class PeerNames:
    """The candidates that have a name under ``.local``.

    Attributes:
        told: all of them, whether or not the name leads anywhere: statistics do not tell that (draft 3.3.1).
        lost: those of which it is known that the name leads nowhere.
        open: candidates without a name for an address that a name was found to conceal, by that address.
    """

    __slots__ = ("lost", "open", "told")

    def __init__(self) -> None:
        self.told: list[Candidate] = []
        self.lost: list[Candidate] = []
        self.open: dict[Address, Candidate] = {}

    def knows(self, candidate: Candidate) -> bool:
        """Whether it was told before, with whatever priority."""
        key = (candidate.transport, candidate.address)
        return any((one.transport, one.address) == key for one in self.told)
