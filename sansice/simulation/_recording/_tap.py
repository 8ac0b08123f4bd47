"""What stands between a machine and the two things that it may ask the world: entropy, and its policy functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Tap(Protocol):
    """What a machine is constructed with instead of `os.urandom`, so that what it draws is recorded, or replayed."""

    def __call__(self, count: int, /) -> bytes:
        """Bytes: an `Entropy`."""
        ...

    def policy(self, name: str, function: Callable[P, R]) -> Callable[P, R]:
        """``function``, with its answers recorded; in a replay the recorded answers, without asking ``function``.

        Args:
            name: says in the recording whose answer it is.
            function: a policy that the machine is given, such as ``lookup_key``.
        """
        ...
