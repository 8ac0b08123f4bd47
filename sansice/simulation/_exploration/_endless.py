"""Timers that are never done with: known by how much is done in one, for no clock may decide what an exploration finds."""

from __future__ import annotations

import sys
from collections.abc import Callable

MAX_CALLS = 250_000  # functions entered and left in one timer. In the worlds of the tests the most is some 2,000


class Endless(Exception):
    """So much was done that it will be done for ever."""


def counting(most: int) -> Callable[..., None]:
    """Something to be called ``most`` times and no more.

    Raises:
        Endless: from then on, when it is called.
    """
    left = most

    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Endless

    return count


def bounded(function: Callable[[], None]) -> None:
    """Call a function that may never return. Where a profiler has taken the one place there is, it is called unguarded.

    Raises:
        Endless: it entered and left more functions than `MAX_CALLS`.
    """
    if sys.getprofile() is not None:
        function()
        return
    sys.setprofile(counting(MAX_CALLS))
    try:
        function()
    finally:
        sys.setprofile(None)
