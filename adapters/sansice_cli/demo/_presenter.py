"""What a session shows its progress to."""

from __future__ import annotations

from typing import Protocol

from ._echo import Echo
from ._outcome import Outcome
from ._reports import Report
from ._story import EndStory


class Presenter(Protocol):
    """Shows a person how it goes. Nothing here waits."""

    def report(self, end: EndStory, report: Report) -> None:
        """A step that ``end`` has told; its story knows it already."""
        ...

    def refresh(self, echo: Echo) -> None:
        """Called ten times a second, and once at the end."""
        ...

    def conclude(self, outcome: Outcome) -> None:
        """The end, after the block of the presenter."""
        ...
