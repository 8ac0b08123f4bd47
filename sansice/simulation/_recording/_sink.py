"""Where `Recorded` writes to: what a recording in memory and one in a file have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, cast

from sansice.machine import Action, Entropy, Event, LocalProtocolError, Machine

from ._authentications import tapped
from ._machines import name_of, own_machines
from ._recorded import Recorded
from ._step import Made
from ._tap import Raised, Tap
from ._values import Json, to_json

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=Machine)
C = TypeVar("C")


class Sink(Generic[C]):
    """Receives steps, and keeps what is drawn and answered meanwhile. ``C`` is the form of a step that has begun.

    Attributes:
        tap: construct the machine with this in place of its entropy.
        made: how the machine was constructed, where `make` did that.
    """

    __slots__ = ("_answers", "_drawn", "_source", "made", "tap")

    def __init__(self, entropy: Entropy = os.urandom) -> None:
        self.tap: Tap = _RecordingTap(self)
        self.made: Made | None = None
        self._source = entropy
        self._drawn: list[bytes] = []
        self._answers: list[Json] = []

    def make(self, kind: Callable[P, M], /, *args: P.args, **kwargs: P.kwargs) -> M:
        """Construct a machine that is recorded here; it draws its entropy, and asks its policies, through `tap`.

        The recording then says how it was constructed: a replay of one of sansice's own machines needs no factory::

            agent = RecordingFile("call.sansice").make(IceAgent, controlling=True)

        Args:
            kind: the machine's class, which takes the keyword ``entropy``.
            args, kwargs: of its constructor; ``entropy`` is where `tap` draws from.

        Returns:
            A `Recorded` machine, in the place of the one of that class.

        Raises:
            LocalProtocolError: this has recorded another machine.
            TypeError: an argument of one of sansice's machines is not a value.
        """
        if self.made is not None:
            raise LocalProtocolError("a recording holds one machine: open another one for the next")
        keywords = dict(kwargs)
        self._source = cast(Entropy, keywords.pop("entropy", self._source))
        arguments = [_settled(one) for one in args]
        keywords = {name: _settled(one) for name, one in keywords.items()}
        self.describe(made_by(kind, arguments, keywords))
        inner = cast(Callable[..., M], kind)(
            *[tapped(one, self.tap) for one in arguments],
            **{name: tapped(one, self.tap) for name, one in keywords.items()},
            entropy=self.tap,
        )
        return cast(M, Recorded(inner, self))

    def describe(self, made: Made) -> None:
        """Say how the machine is constructed; `make` does."""
        self.made = made

    @property
    def stopped(self) -> bool:
        """Whether nothing is recorded any more."""
        return False

    def draw(self, count: int) -> bytes:
        """Draw from the source, and write it down."""
        drawn = self._source(count)
        self.note(drawn)
        return drawn

    def note(self, drawn: bytes) -> None:
        """Write down what was drawn elsewhere."""
        if not self.stopped:
            self._drawn.append(drawn)

    def answer(self, name: str, answer: object) -> None:
        """Write down what a policy function answered."""
        if not self.stopped:
            self._answers.append([name, to_json(answer, strict=True)])

    def _take_drawn(self) -> tuple[list[bytes], list[Json]]:
        taken = self._drawn, self._answers
        self._drawn, self._answers = [], []
        return taken

    # ------------------------------------------------------------- what `Recorded` calls

    def begin(self, method: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> C | None:
        """A step begins; `None`: nothing is recorded any more.

        Raises:
            TypeError: an argument cannot be recorded.
        """
        raise NotImplementedError

    def end(self, begun: C, result: object, raised: str, outputs: Sequence[Action | Event], deadline: float) -> None:
        """The step that began has ended."""
        raise NotImplementedError


def made_by(kind: Callable[..., Machine], arguments: list[Any], keywords: dict[str, Any]) -> Made:
    """How a machine is constructed, for the recording.

    Raises:
        TypeError: an argument of one of sansice's machines is not a value.
    """
    name = name_of(kind)
    if name not in own_machines():
        return Made(name)
    forms = [to_json(one, strict=True) for one in arguments]
    return Made(name, forms, {key: to_json(one, strict=True) for key, one in keywords.items()})


def _settled(argument: Any) -> Any:
    """An iterator can be read but once, and two want to: the machine and the recording."""
    return tuple(argument) if isinstance(argument, Iterator) else argument


class _RecordingTap:
    __slots__ = ("_sink",)

    def __init__(self, sink: Sink[Any]) -> None:
        self._sink = sink

    def __call__(self, count: int, /) -> bytes:
        return self._sink.draw(count)

    def policy(self, name: str, function: Callable[P, R]) -> Callable[P, R]:
        def asked(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                answer = function(*args, **kwargs)
            except Exception as error:
                self._sink.answer(name, Raised.of(error))
                raise
            self._sink.answer(name, answer)
            return answer

        return asked
