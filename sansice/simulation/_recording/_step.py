"""One call of a machine, with everything that came of it."""

from __future__ import annotations

import json

import attrs

from ._values import Json, without_secrets


@attrs.define
class Step:
    """One call of a machine and everything that came of it, as JSON forms.

    Attributes:
        method: its name; "" is the machine's construction.
        arguments: the positional ones.
        keywords: the others; ``now`` is one of them.
        drawn: the entropy, in hex, draw by draw.
        answers: [name, answer] of the policy functions asked.
        result: what the call returned.
        raised: the exception it raised instead, as text, or "".
        outputs: what the machine wanted done and known.
        deadline: the machine's afterwards.
    """

    method: str = ""
    arguments: list[Json] = attrs.field(factory=list)
    keywords: dict[str, Json] = attrs.field(factory=dict)
    drawn: list[str] = attrs.field(factory=list)
    answers: list[Json] = attrs.field(factory=list)
    result: Json = None
    raised: str = ""
    outputs: list[Json] = attrs.field(factory=list)
    deadline: float = 0.0

    def __str__(self) -> str:
        if not self.method:
            return "construction"
        arguments = [json.dumps(without_secrets(argument)) for argument in self.arguments]
        arguments += [f"{name}={json.dumps(without_secrets(argument))}" for name, argument in self.keywords.items()]
        return f"{self.method}({', '.join(arguments)})"


@attrs.frozen
class Made:
    """How a machine was constructed.

    Attributes:
        machine: its class: "sansice.ice:IceAgent".
        arguments, keywords: as JSON forms, ``entropy`` apart; empty for a class that is not one of sansice's machines,
            which a replay cannot construct.
    """

    machine: str
    arguments: list[Json] = attrs.field(factory=list)
    keywords: dict[str, Json] = attrs.field(factory=dict)


def check_step(step: Step) -> None:
    """Find out whether a step that was read has the shape of one, whatever is in its values.

    Raises:
        ValueError: it has not; the text names the part.
    """
    for name, kind, words in _SHAPE:
        if not isinstance(getattr(step, name), kind):
            raise ValueError(f"{name}: not {words}")
    for draw in step.drawn:
        bytes.fromhex(_as_text("drawn", draw))
    for answer in step.answers:
        if not isinstance(answer, list) or len(answer) != 2 or not isinstance(answer[0], str):
            raise ValueError("answers: not pairs of a name and an answer")


def check_made(made: Made) -> None:
    """The same of how a machine was constructed."""
    _as_text("class", made.machine)
    if not isinstance(made.arguments, list) or not isinstance(made.keywords, dict):
        raise ValueError("arguments: not a list and an object")


def _as_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name}: not a text")
    return value


_SHAPE: tuple[tuple[str, type | tuple[type, ...], str], ...] = (
    ("method", str, "a text"),
    ("arguments", list, "a list"),
    ("keywords", dict, "an object"),
    ("drawn", list, "a list"),
    ("answers", list, "a list"),
    ("raised", str, "a text"),
    ("outputs", list, "a list"),
    ("deadline", (int, float), "a number"),
)
