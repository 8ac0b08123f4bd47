"""What both ends have told, put together: the one model that every presentation draws from."""

from __future__ import annotations

import attrs

from sansice.ice import Candidate, IceRole, IceState, PairState

from ._reports import CandidateFound, DataArrived, PairMoved, PeerKnown, Report, Selected, StateMoved

PairKey = tuple[object, object]


@attrs.define(eq=False)
class PairStory:
    """A pair as one end saw it.

    Attributes:
        local, remote, priority: as that end has them.
        steps: when it reached each state; ``None``: it left the checklist.
        selected_at: when it was selected, if it was.
    """

    local: Candidate
    remote: Candidate
    priority: int
    steps: list[tuple[float, PairState | None]] = attrs.field(factory=list)
    selected_at: float | None = None

    @property
    def state(self) -> PairState | None:
        """The last state it had on the checklist."""
        return next((state for _, state in reversed(self.steps) if state is not None), None)


@attrs.define(eq=False)
class EndStory:
    """One end.

    Attributes:
        name: ``A`` or ``B``.
        place: where it runs, in words.
        role: the first guess.
        candidates: local ones, in order; candidate ``A1`` is the first of end ``A``.
        known_at: when the other end's description was known here.
        data_at: when the first datagram was delivered here.
    """

    name: str
    place: str
    role: IceRole
    state: IceState = IceState.NEW
    candidates: list[Candidate] = attrs.field(factory=list)
    pairs: dict[PairKey, PairStory] = attrs.field(factory=dict)
    selected: PairStory | None = None
    known_at: float | None = None
    data_at: float | None = None

    def take(self, report: Report) -> None:
        """Know one thing more."""
        if isinstance(report, CandidateFound):
            self.candidates.append(report.candidate)
        elif isinstance(report, PeerKnown):
            self.known_at = report.at
        elif isinstance(report, StateMoved):
            self.state = report.state
        elif isinstance(report, PairMoved):
            self._pair(report.local, report.remote, report.priority).steps.append((report.at, report.state))
        elif isinstance(report, Selected):
            self.selected = self._pair(report.local, report.remote, report.priority)
            self.selected.selected_at = report.at
        elif isinstance(report, DataArrived):
            self.data_at = report.at

    def _pair(self, local: Candidate, remote: Candidate, priority: int) -> PairStory:
        return self.pairs.setdefault((local.address, remote.address), PairStory(local, remote, priority))


class Story:
    """Both ends, ``a`` being the one that sends first.

    Args:
        a, b: how it begins.
    """

    def __init__(self, a: EndStory, b: EndStory) -> None:
        self.a = a
        self.b = b

    @classmethod
    def of_processes(cls, a_pid: int, b_pid: int) -> Story:
        """Of this process, which controls, and the other."""
        return cls(
            EndStory("A", f"this process (pid {a_pid})", IceRole.CONTROLLING),
            EndStory("B", f"the other process (pid {b_pid})", IceRole.CONTROLLED),
        )

    def label(self, candidate: Candidate) -> str:
        """``A1``, or the address of a candidate that no end has gathered."""
        for end in (self.a, self.b):
            for number, known in enumerate(end.candidates, 1):
                if known.address == candidate.address:
                    return f"{end.name}{number}"
        return str(candidate.address)

    def since_known(self, at: float) -> float | None:
        """Seconds since the first end knew the other; ``None`` before."""
        known = [end.known_at for end in (self.a, self.b) if end.known_at is not None]
        return max(0.0, at - min(known)) if known else None

    @property
    def is_connected(self) -> bool:
        """Whether both ends have selected a pair, and the same one."""
        a, b = self.a.selected, self.b.selected
        if a is None or b is None:
            return False
        return (a.local.address, a.remote.address) == (b.remote.address, b.local.address)

    @property
    def setup(self) -> float | None:
        """Seconds from the moment both ends knew the other's description until both had selected a pair."""
        begin, a, b = self._both_known, self.a.selected, self.b.selected
        if begin is None or a is None or b is None or a.selected_at is None or b.selected_at is None:
            return None
        return max(a.selected_at, b.selected_at) - begin

    @property
    def first_byte(self) -> float | None:
        """Seconds from the same moment until the first datagram was delivered."""
        begin = self._both_known
        return None if begin is None or self.b.data_at is None else self.b.data_at - begin

    @property
    def _both_known(self) -> float | None:
        a, b = self.a.known_at, self.b.known_at
        return None if a is None or b is None else max(a, b)
