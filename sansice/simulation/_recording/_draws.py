"""Which of the bytes that a machine drew are secret or make secrets, and what stands for them in a scrubbed recording."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from sansice.machine import Machine

from ._difference import public_values
from ._secrets import Secrets, secret_texts, stand_in_bytes
from ._step import Step
from ._tap import Raised, Tap
from ._values import Json, from_json, to_json, without_secrets

P = ParamSpec("P")
R = TypeVar("R")


class GivenTap:
    """A tap that gives what it was given, and tells each of it to ``note`` and ``answer``."""

    __slots__ = ("_answer", "_answers", "_draws", "_note")

    def __init__(self, note: Callable[[bytes], None], answer: Callable[[str, object], None]) -> None:
        self._note = note
        self._answer = answer
        self.begin([], [])

    def begin(self, draws: list[bytes], answers: list[Json]) -> None:
        """What there is in the next step."""
        self._draws = deque(draws)
        self._answers = deque(answers)

    @property
    def left(self) -> int:
        """How much of it was not asked for."""
        return len(self._draws) + len(self._answers)

    def __call__(self, count: int, /) -> bytes:
        drawn = self._draws.popleft() if self._draws else b""
        if len(drawn) != count:
            raise Unlike(f"it draws {count} bytes")
        self._note(drawn)
        return drawn

    def policy(self, name: str, function: Callable[P, R]) -> Callable[P, R]:
        def asked(*args: P.args, **kwargs: P.kwargs) -> R:
            expected, form = self._answers.popleft() if self._answers else ("", None)
            if expected != name:
                raise Unlike(f"it asks {name}")
            answer = from_json(form)
            self._answer(name, answer)
            if isinstance(answer, Raised):
                raise answer.error()
            return cast(R, answer)

        return asked


class Unlike(Exception):
    """A machine does something else than in the recording."""


class Draws:
    """What a machine draws instead.

    Args:
        first: its construction.
        make: constructs it.
        secrets: takes up the passwords that it makes itself.
        all_are_keys: everything that it draws is secret.
    """

    __slots__ = ("_all_are_keys", "_construction", "_first", "_make")

    def __init__(self, first: Step, make: Callable[[Tap], Machine], secrets: Secrets, *, all_are_keys: bool) -> None:
        self._all_are_keys = all_are_keys
        self._first = first
        self._make = make
        self._construction = [bytes.fromhex(one) for one in first.drawn]
        if not all_are_keys:
            self._replace_what_makes_passwords(secrets)

    def of(self, index: int, step: Step) -> list[bytes]:
        """What the machine draws in a step instead."""
        if self._all_are_keys:
            return [stand_in_bytes(f"draw {index}.{number}", len(one) // 2) for number, one in enumerate(step.drawn)]
        return self._construction if index == 0 else [bytes.fromhex(one) for one in step.drawn]

    def _replace_what_makes_passwords(self, secrets: Secrets) -> None:
        """Find by trial which bytes change a password that can be read of the machine, and nothing else that can."""
        original = self._construction
        shown, hidden = self._look(original)
        replaced = []
        for number, drawn in enumerate(original):
            stand_in = stand_in_bytes(f"draw 0.{number}", len(drawn))
            makes_one = [self._makes_password(number, at, shown, hidden) for at in range(len(drawn))]
            replaced.append(bytes(new if made else old for old, new, made in zip(drawn, stand_in, makes_one, strict=True)))
        self._construction = replaced
        for old, new in zip(hidden, self._look(replaced)[1], strict=True):
            if old != new:
                secrets.put(old, new)

    def _makes_password(self, number: int, at: int, shown: str, hidden: list[str]) -> bool:
        draws = [bytearray(one) for one in self._construction]
        draws[number][at] ^= 1
        also_shown, also_hidden = self._look([bytes(one) for one in draws])
        return also_shown == shown and also_hidden != hidden

    def _look(self, draws: list[bytes]) -> tuple[str, list[str]]:
        """What can be read of a machine that was constructed with these draws, and the passwords in that."""
        tap = GivenTap(_ignore, _ignore)
        tap.begin(draws, self._first.answers)
        form = [[name, to_json(value, strict=False)] for name, value in public_values(self._make(tap))]
        return json.dumps(without_secrets(form)), list(secret_texts(form))


def _ignore(*_: object) -> None:
    """Nobody wants to know."""
