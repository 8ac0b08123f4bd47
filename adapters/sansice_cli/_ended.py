"""A command that a signal has ended."""

from __future__ import annotations

import signal


class EndedBySignalError(Exception):
    """A signal ended the work, which has cleaned up.

    Attributes:
        number: which one; the exit code is what a shell makes of it.
    """

    def __init__(self, number: signal.Signals) -> None:
        super().__init__("Interrupted." if number is signal.SIGINT else f"Ended by {number.name}.")
        self.number = number
