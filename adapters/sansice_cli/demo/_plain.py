"""The story line by line, without control codes: for logs, pipes and ``--json``."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from ._echo import Echo
from ._outcome import Outcome
from ._reports import CandidateFound, DataArrived, Failed, PairMoved, PeerKnown, Report, Selected, StateMoved
from ._story import EndStory, Story


class Plain:
    """Prints a line for each step.

    Args:
        story: what the steps belong to.
        write: takes a line.
    """

    def __init__(self, story: Story, write: Callable[[str], None]) -> None:
        self._story = story
        self._write = write
        write("; ".join(f"{end.name} is {end.place}, {end.role.value}" for end in (story.a, story.b)) + ".")

    def report(self, end: EndStory, report: Report) -> None:
        """Print what happened, and when."""
        text = describe(self._story, end, report)
        if text:
            seconds = self._story.since_known(report.at)
            self._write(f"{'' if seconds is None else f'{seconds * 1000:.1f} ms':>9}  {end.name}  {text}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def refresh(self, echo: Echo) -> None:
        """Nothing: a line once written stays."""

    def conclude(self, outcome: Outcome) -> None:
        """Print the result."""
        for line in outcome.sentences():
            self._write(line)


def describe(story: Story, end: EndStory, report: Report) -> str:
    """A step in words; "" for what is not worth a line."""
    if isinstance(report, CandidateFound):
        candidate = report.candidate
        return f"candidate {story.label(candidate)}: {candidate.type.value} {candidate.address}"
    if isinstance(report, PeerKnown):
        return f"knows {'B' if end is story.a else 'A'}'s description"
    if isinstance(report, StateMoved):
        return f"is {report.state.value}"
    if isinstance(report, PairMoved):
        return f"{story.label(report.local)} -> {story.label(report.remote)} {words(report)}"
    if isinstance(report, Selected):
        return f"{story.label(report.local)} -> {story.label(report.remote)} selected"
    if isinstance(report, DataArrived):
        return "first datagram delivered"
    return "failed" if isinstance(report, Failed) else ""


def words(report: PairMoved) -> str:
    """A pair's state."""
    return "not needed any more" if report.state is None else report.state.value.replace("-", " ")
