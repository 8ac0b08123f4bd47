"""What stands between a machine and the two things that it may ask the world: entropy, and its policy functions."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

import attrs

P = ParamSpec("P")
R = TypeVar("R")


class Tap(Protocol):
    """What a machine is constructed with instead of `os.urandom`, so that what it draws is recorded, or replayed."""

    def __call__(self, count: int, /) -> bytes:
        """Bytes: an `Entropy`."""
        ...

    def policy(self, name: str, function: Callable[P, R]) -> Callable[P, R]:
        """``function``, with its answers recorded; in a replay the recorded answers, without asking ``function``.

        What it raises is an answer, too; of an exception that is none of Python's own, a replay knows name and text alone.

        Args:
            name: says in the recording whose answer it is.
            function: a policy that the machine is given, such as ``lookup_key``.
        """
        ...


@attrs.frozen
class Raised:
    """What a policy function raised instead of answering.

    Attributes:
        kind: the name of the exception's class.
        arguments: of the exception; its text where they are no plain values, or the class is not Python's own.
    """

    kind: str
    arguments: tuple[object, ...]

    @classmethod
    def of(cls, error: Exception) -> Raised:
        """Of an exception that was raised."""
        plain = type(error).__module__ == "builtins" and all(type(one) in _PLAIN for one in error.args)
        return cls(type(error).__qualname__, error.args if plain else (str(error),))

    def error(self) -> Exception:
        """An exception of the same class, or of one that has its name."""
        own = getattr(builtins, self.kind, None)
        if isinstance(own, type) and issubclass(own, Exception):
            try:
                return own(*self.arguments)
            except TypeError:  # it wants others than were recorded, such as a text alone
                pass
        stranger: type[Exception] = type(self.kind, (Exception,), {})
        return stranger(*self.arguments)


_PLAIN = (str, bytes, int, float, bool, type(None))
